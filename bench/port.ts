/**
 * One port, one rule and a thousand ports, from the HTTP request to the last switch's barrier (`?wait=programmed`), on
 * real vswitchds with VIFs plugged before. The floor of the same run: bundles of as many flows, sent by hand-made
 * sessions to as many switches, two barriers each, no controller.
 *
 * node bench/port.ts [hypervisors=20] [networks=50] [spread=20]
 */
import { frame, openBenchCloud, type Place, portSpec } from './support/cloud.ts';
import { milliseconds, quantile } from './support/figures.ts';
import { measureFloor } from './support/floor.ts';

const [hypervisors = 20, networks = 50, spread = 20] = process.argv.slice(2).map(Number);
const shape = { hypervisors, networks, ports: 10, rules: 10, spread: Math.min(spread, hypervisors) };

await using cloud = await openBenchCloud(shape, 4);
const { request, places, spares } = cloud;
console.log(
  `${hypervisors} hypervisors, ${networks} networks of 2 tiers x ${shape.ports} ports over ${shape.spread} hypervisors, ${shape.rules} rules per tier`,
);

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

await request('POST', 'apply', { resources: frame(shape), wait: 'programmed', timeout: '60s' });
const ordered = places.map((p) => ({ path: p.path, spec: portSpec(p) }));
const all = await timed(() => request('POST', 'apply', { resources: ordered, wait: 'programmed', timeout: '60s' }));
console.log(`${places.length} ports through one /v1/apply: ${(all / 1000).toFixed(2)} s`);

const add = (p: Place) => timed(() => request('PUT', `${p.path}?wait=programmed&timeout=30s`, portSpec(p)));
const one: number[] = [];
for (const p of spares) one.push(await add(p));
console.log(`one port: ${milliseconds(one)}`);

const rules: number[] = [];
for (let i = 0; i < 200; i++) {
  const network = `tenants/t${i % networks}/networks/n`;
  const spec = {
    action: 'allow',
    priority: 100,
    from: { tier: 'web' },
    to: { tier: 'web' },
    protocol: 'tcp',
    ports: [String(3000 + i)],
  };
  rules.push(await timed(() => request('PUT', `${network}/rules/web0?wait=programmed&timeout=30s`, spec)));
}
console.log(`one rule: ${milliseconds(rules)}`);

// The same flows a port brings: about 9 where it is, 3 wherever else its network is.
const floor = await measureFloor(cloud.switches.slice(0, shape.spread), { first: 9, others: 3, rounds: 200 });
console.log(`floor, the same bundles without a controller: ${milliseconds(floor)}`);
console.log(
  `ratio one port / floor: p50 ${(quantile(one, 0.5) / quantile(floor, 0.5)).toFixed(2)}, p95 ${(quantile(one, 0.95) / quantile(floor, 0.95)).toFixed(2)}`,
);

for (const p of [...places, ...spares]) await request('DELETE', p.path);
const put = await timed(async () => {
  const queue = [...places];
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let p = queue.shift(); p !== undefined; p = queue.shift()) await request('PUT', p.path, portSpec(p));
    }),
  );
  const last = places.at(-1)!;
  await request('PUT', `${last.path}?wait=programmed&timeout=60s`, { ...portSpec(last), description: 'last' });
});
console.log(`${places.length} PUTs over 16 connections: ${(put / 1000).toFixed(2)} s`);
const flows = (await cloud.switches[0]!.ofctl('dump-flows')).split('\n').length - 1;
console.log(
  `flows on a hypervisor: ${flows}; memory of this process, controller and benchmark: ${Math.round(process.memoryUsage.rss() / 1e6)} MB`,
);
