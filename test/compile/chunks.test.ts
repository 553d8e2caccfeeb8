/** Large buckets as several units: all the flows, each once, and a change touches few of them. */
import { expect, test } from 'vitest';
import { encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import { DesiredFlows } from '../../plugins/openvswitch/switch/desired.ts';
import { Slab } from '../../plugins/openvswitch/switch/slab.ts';
import { chunked } from '../../src/compile/chunks.ts';
import type { Unit } from '../../src/compile/state.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { flowsOfRules } from './bucket-flows.ts';
import type { Block, ModelRule } from './bucket-model.ts';

const on = [1];

function flowsOf(clients: number, family: 4 | 6): Flow[] {
  const group = (from: number, size: number): Block[] =>
    Array.from({ length: size }, (_, i) => ({ family, base: 2 * (from + i), bits: 0 }));
  const services = Array.from({ length: 20 }, (_, i) => `${2000 + 7 * i}`);
  const common = { holdsIn: [7], priority: 10, action: 'allow' as const, log: false };
  const rule: ModelRule = {
    id: 1,
    ...common,
    from: group(0, clients),
    to: group(1000, 500),
    service: { protocol: 'tcp', ports: services },
  };
  return flowsOfRules([rule]);
}

const unitsOf = (clients: number, family: 4 | 6 = 4): Unit[] => chunked('rules/1', on, flowsOf(clients, family));

const bytes = (units: readonly Unit[]): Map<string, string> =>
  new Map(units.map(({ key, flows }) => [key, Buffer.from(encodeFlows(flows)).toString('hex')]));

test('one more in a group of 500 changes one unit of sixteen', () => {
  for (const family of [4, 6] as const) {
    const before = unitsOf(500, family);
    expect(before).toHaveLength(16);
    expect(before.flatMap(({ flows }) => flows)).toHaveLength(1021);
    for (const { flows } of before) expect(flows.length).toBeLessThan(128);
    const [old, now] = [bytes(before), bytes(unitsOf(501, family))];
    expect([...now].filter(([key, text]) => old.get(key) !== text)).toHaveLength(1);
    expect([...old.keys()].filter((key) => !now.has(key))).toEqual([]);
  }
});

test('what is small is one unit', () => {
  expect(chunked('rules/1', on, [])).toEqual([]);
  const units = unitsOf(2);
  expect(units.length).toBeGreaterThan(1);
  const few = units[0]!.flows.slice(0, 5);
  expect(chunked('rules/1', on, few)).toEqual([{ key: 'rules/1', on, flows: few }]);
});

test('more units than before: the switch is told of the flows that are new, and no other', () => {
  const slab = new Slab();
  const desired = new DesiredFlows(slab);
  const operations = (before: readonly Unit[], now: readonly Unit[]): number => {
    const changes = new Map(before.map(({ key }) => [key, undefined as ReturnType<Slab['add']> | undefined]));
    for (const { key, flows } of now) changes.set(key, slab.add(key, encodeFlows(flows)));
    return desired.merge(changes).operations.length;
  };
  const flows = flowsOf(500, 4);
  const at = (count: number): Unit[] => chunked('rules/1', on, flows.slice(0, count));
  const sizes = [100, 127, 128, 300, 1021, 400, 128, 127];
  sizes.forEach((size, i) => {
    const before = sizes[i - 1] ?? 0;
    expect(operations(at(before), at(size)), `${before} to ${size}`).toBe(Math.abs(size - before));
  });
});
