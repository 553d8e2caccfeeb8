/**
 * Debian's OVN and Keyway, each with the same cloud on the same kind of switches, one after the other in one go. Wall time
 * beside processor seconds, because on real hosts the agents of the hypervisors run beside each other and here they share
 * the cores. Each network's two tiers are joined by a router, and every second rule of a tier is for what comes from the
 * other one.
 *
 * node bench/vs-ovn/run.ts [hypervisors=20] [networks=50] [spread=hypervisors] [--flat] [--dual-stack]
 *
 * --flat: rules within tiers only, and OVN without routers. --dual-stack: IPv6 beside IPv4 everywhere.
 */
import { openVswitchVersion } from '../support/farm.ts';
import { machine, megabytes, options, quantile, table } from '../support/figures.ts';
import { type CloudShape, describeShape, places } from '../support/shape.ts';
import { openKeyway } from './keyway.ts';
import { type Cpu, measure, type Result } from './measure.ts';
import { openOvn } from './ovn.ts';

const { numbers, given } = options(['--flat', '--dual-stack'], 20, 50);
const [hypervisors = 20, networks = 50, spread = hypervisors] = numbers;
const shape: CloudShape = {
  hypervisors,
  networks,
  ports: 10,
  rules: 10,
  spread: Math.min(spread, hypervisors),
  routed: !given.has('--flat'),
  dualStack: given.has('--dual-stack'),
};
// OVN is slow: fewer samples of it tell as much.
const samples = { ovn: 60, keyway: 200 };
const spare = (count: number): number => Math.ceil(count / networks);

const line = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);
console.log(`${machine()}, Open vSwitch ${await openVswitchVersion()}\n${describeShape(shape)}`);

async function ovnResult(): Promise<Result> {
  await using ovn = await openOvn(shape, line);
  const plan = { ports: samples.ovn, spare: spare(samples.ovn), rules: samples.ovn };
  const { ordered, spares } = places(shape, plan.spare);
  await ovn.farm.plug([...ordered, ...spares]);
  return await measure(ovn, shape, plan, line);
}

async function keywayResult(): Promise<Result> {
  const plan = { ports: samples.keyway, spare: spare(samples.keyway), rules: samples.keyway };
  await using keyway = await openKeyway(shape, plan.spare);
  return await measure(keyway, shape, plan, line);
}

const ovn = await ovnResult();
const keyway = await keywayResult();

const seconds = (value: number): string => `${value.toFixed(2)} s`;
const ms = (value: number): string => `${value.toFixed(1)} ms`;

/** @param unit of one value; a row without a ratio where both have nothing */
function row(what: string, of: (r: Result) => number, unit: (value: number) => string): string[] {
  const [theirs, ours] = [of(ovn), of(keyway)];
  return [what, unit(theirs), unit(ours), ours === 0 ? '-' : (theirs / ours).toFixed(1)];
}

/** Milliseconds of processor time for each of the samples. */
const each = (cpu: Cpu, part: 'central' | 'agents' | 'vswitchds' | 'databases', count: number): number =>
  (cpu[part] * 1000) / count;

const rows = [['', ovn.name, keyway.name, 'ratio']];
rows.push(
  row(`${2 * shape.ports * networks} ports, wall`, (r) => r.bulk.wall / 1000, seconds),
  row('  processor: central', (r) => r.bulk.cpu.central, seconds),
  row('  processor: agents, per hypervisor', (r) => r.bulk.cpu.agents / hypervisors, seconds),
  row('  processor: ovs-vswitchd, per hypervisor', (r) => r.bulk.cpu.vswitchds / hypervisors, seconds),
  row('  processor: ovsdb-server, per hypervisor', (r) => r.bulk.cpu.databases / hypervisors, seconds),
);
for (const [what, of] of [
  ['one port', (r: Result) => r.ports],
  ['one rule', (r: Result) => r.rules],
] as const) {
  rows.push(
    row(`${what}, p50`, (r) => quantile(of(r).samples, 0.5), ms),
    row(`${what}, p95`, (r) => quantile(of(r).samples, 0.95), ms),
    row('  processor: central', (r) => each(of(r).cpu, 'central', of(r).samples.length), ms),
    row('  processor: agents, all', (r) => each(of(r).cpu, 'agents', of(r).samples.length), ms),
    row('  processor: ovs-vswitchd, all', (r) => each(of(r).cpu, 'vswitchds', of(r).samples.length), ms),
  );
}
rows.push(
  row('memory: central', (r) => r.memory.central, megabytes),
  row('memory: central, at its peak', (r) => r.memory.centralPeak, megabytes),
  row('memory: agent, per hypervisor', (r) => r.memory.agent, megabytes),
  row('memory: ovs-vswitchd, per hypervisor', (r) => r.memory.vswitchd, megabytes),
  row(
    'flows per hypervisor',
    (r) => r.flows,
    (value) => value.toFixed(0),
  ),
);
console.log(`\n${table(rows)}`);
for (const { name, bulk } of [ovn, keyway]) {
  const parts = Object.entries(bulk.cpu.parts).map(([part, value]) => `${part} ${seconds(value)}`);
  console.log(`${name}, central processor time in the bulk: ${parts.join(', ')}`);
}
const pairs = ({ judged }: Result): string => `${judged.bridged + judged.routed} (${judged.routed} routed)`;
console.log(
  `samples: ports ${ovn.ports.samples.length} and ${keyway.ports.samples.length}, rules ${ovn.rules.samples.length} and ${keyway.rules.samples.length}; pairs traced ${pairs(ovn)} and ${pairs(keyway)}; load at the end: ${machine()}`,
);
