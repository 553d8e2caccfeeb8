/**
 * One port, one rule and a thousand ports, from the HTTP request to the last switch's barrier (`?wait=programmed`), on
 * real vswitchds with VIFs plugged before. The floor of the same run: bundles of as many flows, sent by hand-made
 * sessions to as many switches, in one write each and with a barrier before the commit, no controller.
 *
 * node bench/port.ts [hypervisors=20] [networks=50] [spread=hypervisors] [--routed] [--dual-stack]
 * --routed: every second rule is between the tiers.
 */
import { inSync, openBenchCloud } from './support/cloud.ts';
import { openVswitchVersion } from './support/farm.ts';
import { machine, megabytes, milliseconds, options, quantile, timed } from './support/figures.ts';
import { measureFloor } from './support/floor.ts';
import { type CloudShape, describeShape, frame, type Place, portResource, ruleSpec } from './support/shape.ts';
import { judgeSample, keywayTracer } from './support/trace.ts';
import { memoryOf } from './support/usage.ts';

const { numbers, given } = options(['--routed', '--dual-stack'], 20, 50);
const [hypervisors = 20, networks = 50, spread = hypervisors] = numbers;
const shape: CloudShape = {
  hypervisors,
  networks,
  ports: 10,
  rules: 10,
  spread: Math.min(spread, hypervisors),
  routed: given.has('--routed'),
  dualStack: given.has('--dual-stack'),
};
const samples = 200;

console.log(`${machine()}, Open vSwitch ${await openVswitchVersion()}\n${describeShape(shape)}`);
await using cloud = await openBenchCloud(shape, Math.ceil(samples / networks));
const { places, spares, controller, farm } = cloud;
const { api } = controller;

const programmed = { wait: 'programmed', timeout: '120s' };
const put = (p: Place, query = '') => api.request('PUT', `${p.path}${query}`, portResource(p).spec);

await api.request('POST', 'apply', { resources: frame(shape), ...programmed });
const all = await timed(() => api.request('POST', 'apply', { resources: places.map(portResource), ...programmed }));
console.log(`${places.length} ports through one /v1/apply: ${(all / 1000).toFixed(2)} s`);

const one: number[] = [];
for (const p of spares) one.push(await timed(() => put(p, '?wait=programmed&timeout=30s')));
console.log(`one port: ${milliseconds(one)}`);

const rules: number[] = [];
for (let i = 0; i < samples; i++) {
  const path = `tenants/t${i % networks}/networks/n/rules/web0?wait=programmed&timeout=30s`;
  const tcpPort = i + networks < samples ? 3000 + i : 1000;
  rules.push(await timed(() => api.request('PUT', path, ruleSpec('web', 0, tcpPort))));
}
console.log(`one rule: ${milliseconds(rules)}`);

const judged = await judgeSample(keywayTracer(shape, farm.switches), [...places, ...spares], 10);
console.log(`${judged.bridged} pairs traced at both ends: what is allowed arrives, what is not does not`);

// The same flows a port brings: 9 where it is, 4 wherever else its network is.
const floor = await measureFloor(farm.switches.slice(0, shape.spread), { first: 9, others: 4, rounds: samples });
console.log(`floor, the same bundles without a controller: ${milliseconds(floor.atOnce)}`);
console.log(`floor with a barrier before the commit: ${milliseconds(floor.checked)}`);
const ratio = (q: number): string => (quantile(one, q) / quantile(floor.atOnce, q)).toFixed(2);
console.log(`one port against the floor: p50 ${ratio(0.5)} times, p95 ${ratio(0.95)} times`);

/** All ports anew, over 16 connections. @returns the highest revision that was answered */
async function putAll(query: string): Promise<number> {
  const queue = [...places];
  let last = 0;
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let p = queue.shift(); p !== undefined; p = queue.shift()) {
        const { revision } = (await put(p, query)) as { revision: number };
        last = Math.max(last, revision);
      }
    }),
  );
  return last;
}

async function deleteAll(): Promise<void> {
  const resources = places.map(({ path }) => ({ path, delete: true }));
  await api.request('POST', 'apply', { resources, ...programmed });
}

await deleteAll();
const puts = await timed(async () => inSync(api, hypervisors, await putAll('')));
console.log(`${places.length} PUTs over 16 connections, until every switch has all: ${(puts / 1000).toFixed(2)} s`);
await deleteAll();
const waited = await timed(() => putAll('?wait=programmed&timeout=60s'));
console.log(`the same, each answered when it is programmed: ${(waited / 1000).toFixed(2)} s`);
const { rss, peak } = memoryOf(controller.pid());
console.log(
  `flows on a hypervisor: ${(await farm.flowCounts())[0]}; memory of the controller: ${megabytes(rss)}, at its peak ${megabytes(peak)}`,
);
