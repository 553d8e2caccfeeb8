import { expect, test } from 'vitest';
import { Zones, zonesPrefix } from '../../src/inventory/zones.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { openFakeCloud } from '../support/fake-cloud.ts';

test('more bindings at once than one commit takes: all are durable, and bound', async () => {
  const shape = { hypervisors: 2, networks: 4, ports: 100, rules: 0 };
  const store = openMemoryStore({ writes: 200 });
  await using cloud = await openFakeCloud(shape, store, undefined, 100);
  expect(cloud.core.engine.bindings.placement.size).toBe(400);
  const { entries } = await store.list(zonesPrefix);
  expect(new Zones().load(entries)).toHaveLength(400);
  expect(cloud.core.engine.compiler.recompute().different).toEqual([]);
});
