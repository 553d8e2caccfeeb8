/**
 * How one port grows with the cloud: 100 and 1,000 hypervisors of 100 ports each, on simulated switches (bench/simulator),
 * which keep every flow. From the HTTP request to the last switch's barrier.
 *
 * node bench/scale.ts [hypervisors=100,1000] [anywhere]
 * `anywhere`: any hypervisor may share a network with any other, so that each has tunnels to hundreds, not to its neighbours.
 */
import { machine, megabytes, milliseconds, quantile, table, timed } from './support/figures.ts';
import { type CloudShape, describeShape, portResource, ruleSpec } from './support/shape.ts';
import { openSimulatedCloud, orderNetworks } from './support/simulated-cloud.ts';
import { cpuSeconds, memoryOf } from './support/usage.ts';

const words = process.argv.slice(2);
const sizes = (words.find((word) => /^[\d,]+$/.test(word)) ?? '100,1000').split(',').map(Number);
const placement = words.includes('anywhere') ? 'anywhere' : 'neighbours';
const samples = 500;

type Figures = {
  hypervisors: number;
  ports: number;
  whole: number;
  one: number[];
  rules: number[];
  cpu: number;
  rss: number;
  peak: number;
  flows: number;
  tunnels: number;
};

async function measure(hypervisors: number): Promise<Figures> {
  // Networks of 100 ports over 20 hypervisors, and 100 ports on each of these.
  const shape: CloudShape = { hypervisors, networks: hypervisors, ports: 50, rules: 10, spread: 20, placement };
  console.log(describeShape(shape));
  await using cloud = await openSimulatedCloud(shape, Math.ceil(samples / shape.networks));
  const { controller, simulator, places, spares } = cloud;
  const { api } = controller;
  const whole = await timed(() => orderNetworks(shape, cloud));
  const { peak } = memoryOf(controller.pid());
  console.log(`${places.length} ports and all rules: ${(whole / 1000).toFixed(1)} s`);

  const before = cpuSeconds(controller.pid());
  const one: number[] = [];
  for (const p of spares.slice(0, samples)) {
    const { path, spec } = portResource(p);
    one.push(await timed(() => api.request('PUT', `${path}?wait=programmed&timeout=30s`, spec)));
  }
  const cpu = ((cpuSeconds(controller.pid()) - before) * 1000) / one.length;
  console.log(`one port: ${milliseconds(one)}`);
  const rules: number[] = [];
  for (let i = 0; i < samples; i++) {
    const path = `tenants/t${i % shape.networks}/networks/n/rules/web0?wait=programmed&timeout=30s`;
    rules.push(await timed(() => api.request('PUT', path, ruleSpec('web', 0, 3000 + i))));
  }
  console.log(`one rule: ${milliseconds(rules)}`);

  const { flows, meters, refused, interfaces } = await simulator.stats();
  if (refused > 0) throw new Error(`${refused} messages were beyond the simulator`);
  const desired = [...(await api.metric('keyway_switch_flows')).values()].reduce((sum, n) => sum + n, 0);
  const kept = flows.reduce((sum, n) => sum + n, 0);
  if (desired !== kept + meters)
    throw new Error(`the switches have ${kept} flows and ${meters} meters, ${desired} of both are desired`);
  const { rss } = memoryOf(controller.pid());
  return {
    hypervisors,
    ports: places.length,
    whole,
    one,
    rules,
    cpu,
    rss,
    peak: Math.max(peak, memoryOf(controller.pid()).peak),
    flows: kept / hypervisors,
    tunnels: (interfaces - places.length - spares.length - hypervisors) / hypervisors,
  };
}

console.log(`${machine()}, ${placement}`);
const all: Figures[] = [];
for (const hypervisors of sizes) all.push(await measure(hypervisors));

const head = ['hypervisors', ...all.map((f) => String(f.hypervisors))];
const row = (what: string, value: (f: Figures) => string): string[] => [what, ...all.map(value)];
const ms = (value: number): string => `${value.toFixed(1)} ms`;
const rows = [
  head,
  row('ports', (f) => String(f.ports)),
  row('flows of a hypervisor', (f) => f.flows.toFixed(0)),
  row('tunnels of a hypervisor', (f) => f.tunnels.toFixed(0)),
  row('all of it ordered, in requests of 4,000 resources', (f) => `${(f.whole / 1000).toFixed(1)} s`),
  ...(['p50', 'p95', 'p99'] as const).flatMap((name) => [
    row(`one port, ${name}`, (f) => ms(quantile(f.one, Number(name.slice(1)) / 100))),
  ]),
  row('one port, processor time of the controller', (f) => ms(f.cpu)),
  row('one rule, p50', (f) => ms(quantile(f.rules, 0.5))),
  row('one rule, p99', (f) => ms(quantile(f.rules, 0.99))),
  row('memory of the controller', (f) => megabytes(f.rss)),
  row('memory of the controller, at its peak', (f) => megabytes(f.peak)),
];
console.log(`\n${table(rows)}\n${machine()}`);
