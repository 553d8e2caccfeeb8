/** Output is a function of state: one scenario in many orders, split, joined, after a restart, ends in the same flows. */
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type Core, startCore } from '../../src/core.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import { ifaceId, orders, world } from '../model/arbitrary.ts';
import type { World } from '../model/reference.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

const hosts = 3;

type Rig = { core: Core; fake: FakeSwitches; disk: MemoryDisk };

async function open(disk = new MemoryDisk()): Promise<Rig> {
  const fake = new FakeSwitches();
  const core = await startCore({ store: openMemoryStore({ disk }), plugin: fake, log: pino({ level: 'silent' }) });
  return { core, fake, disk };
}

async function quiet({ core }: Rig): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await core.engine.idle();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function join(rig: Rig): Promise<void> {
  for (let h = 1; h <= hosts; h++) {
    await rig.core.intent.transact([{ op: 'put', path: `hypervisors/hv${h}`, spec: { admission: 'approved' } }], {
      restrictedAllowed: true,
    });
    rig.fake.connect(`hv${h}`, `192.0.2.${h}`);
    rig.fake.interfaces(h, []);
  }
  await quiet(rig);
}

const hostOf = (index: number): number => (index % hosts) + 1;

/** Interface lists per host, growing one by one in the order given. */
function* plugs(
  w: World,
  order: readonly number[],
): Iterable<{ host: number; list: { ifaceId: string; name: string; ofport: number }[] }> {
  const lists = new Map<number, { ifaceId: string; name: string; ofport: number }[]>();
  for (const i of order) {
    const p = w.ports[i]!;
    if (!p.bound) continue;
    const list = [...(lists.get(hostOf(i)) ?? []), { ifaceId: ifaceId(p), name: `v${i}`, ofport: 10 + i }];
    lists.set(hostOf(i), list);
    yield { host: hostOf(i), list };
  }
}

/** Ids depend on the order of creation, so the orders go in one way round; the rest is shuffled. */
async function build(w: World, options: { plugFirst: boolean; split: number; order: readonly number[] }): Promise<Rig> {
  const rig = await open();
  await join(rig);
  const ordered = orders(w);
  const place = async () => {
    for (const { host, list } of plugs(w, options.order)) {
      rig.fake.interfaces(host, list);
      if (options.split > 1) await quiet(rig);
    }
  };
  const submit = async () => {
    await rig.core.intent.transact(
      ordered.map(({ path, spec }) => ({ op: 'put' as const, path, spec })),
      { restrictedAllowed: true, many: true },
    );
  };
  if (options.plugFirst) {
    await place();
    await submit();
  } else {
    await submit();
    await place();
  }
  await quiet(rig);
  return rig;
}

/** Zones depend on the order of binding, like ids: they are facts of their own. */
const withoutZones = (lines: string[]): string[] =>
  lines
    .map((l) =>
      l
        .replace(/set_field:0x4[0-9a-f]{2}(\/0xffff)?->reg6/g, 'set_field:ZONE->reg6')
        .replace(/reg6=0x4[0-9a-f]{2}\/0xffff/, 'reg6=ZONE'),
    )
    .sort();

test('plugged before or after the order, one by one or together, in any order: the same flows', {
  timeout: 180_000,
}, async () => {
  let flows = 0;
  await fc.assert(
    fc.asyncProperty(world, fc.infiniteStream(fc.nat()), async (w, noise) => {
      const straight = w.ports.map((_, i) => i);
      const shuffled = [...straight].sort(() => ((noise.next().value as number) % 2) - 0.5);
      const a = await build(w, { plugFirst: false, split: 1, order: straight });
      const expected = withoutZones(a.fake.texts());
      flows += expected.length;
      expect(a.core.engine.compiler.recompute().different).toEqual([]);
      for (const options of [
        { plugFirst: true, split: 1, order: straight },
        { plugFirst: false, split: 2, order: shuffled },
        { plugFirst: true, split: 2, order: [...straight].reverse() },
      ]) {
        const b = await build(w, options);
        expect(withoutZones(b.fake.texts())).toEqual(expected);
        expect(b.core.engine.compiler.recompute().different).toEqual([]);
      }
    }),
    { numRuns: 12 },
  );
  expect(flows).toBeGreaterThan(1_000);
});

test('a restart compiles the same flows from what is durable, towards hypervisors that are not back yet too', async () => {
  await fc.assert(
    fc.asyncProperty(world, async (w) => {
      const straight = w.ports.map((_, i) => i);
      const before = await build(w, { plugFirst: false, split: 1, order: straight });
      const expected = before.fake.texts();
      const after = await open(before.disk);
      // Only the first hypervisor is back: what it holds must be complete all the same.
      const lists = new Map<number, { ifaceId: string; name: string; ofport: number }[]>();
      for (const { host, list } of plugs(w, straight)) lists.set(host, list);
      after.fake.connect('hv1', '192.0.2.1');
      after.fake.interfaces(1, lists.get(1) ?? []);
      await quiet(after);
      const on1 = (lines: string[]) => lines.filter((l) => l.startsWith('1: '));
      expect(after.fake.readied.has(1)).toBe(true);
      expect(on1(after.fake.texts())).toEqual(on1(expected));
      for (let h = 2; h <= hosts; h++) {
        after.fake.connect(`hv${h}`, `192.0.2.${h}`);
        after.fake.interfaces(h, lists.get(h) ?? []);
      }
      await quiet(after);
      expect(after.fake.texts()).toEqual(expected);
      expect(after.core.engine.compiler.recompute().different).toEqual([]);
    }),
    { numRuns: 12 },
  );
});

test('everything that goes leaves nothing behind', async () => {
  await fc.assert(
    fc.asyncProperty(world, async (w) => {
      const rig = await build(w, { plugFirst: false, split: 1, order: w.ports.map((_, i) => i) });
      const empty = await open();
      await join(empty);
      const base = empty.fake.texts();
      for (let h = 1; h <= hosts; h++) rig.fake.interfaces(h, []);
      await quiet(rig);
      expect(rig.fake.texts()).toEqual(base);
      // Zones given up are flushed once their flows are gone, and free again.
      expect(rig.fake.flushed.length).toBe(w.ports.filter((p) => p.bound).length);
      expect(rig.core.engine.zones.hasRetired(1)).toBe(false);
    }),
    { numRuns: 10 },
  );
});

test('changes of rules, groups and ports one by one never part from full recompute', async () => {
  await fc.assert(
    fc.asyncProperty(world, world, async (w, other) => {
      const rig = await build(w, { plugFirst: false, split: 1, order: w.ports.map((_, i) => i) });
      const { intent } = rig.core;
      // Rules of the second world replace those of the first, one at a time; then ports change groups and go.
      const rules = orders(other).filter(
        ({ path, spec }) => path.includes('/rules/') && !JSON.stringify(spec).includes('"port"'),
      );
      for (const { path, spec } of rules) {
        await intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });
        await quiet(rig);
        expect(rig.core.engine.compiler.recompute().different).toEqual([]);
      }
      for (const { path, spec } of orders(w).filter((o) => o.path.includes('/ports/'))) {
        await intent.transact([{ op: 'put', path, spec: { ...spec, groups: ['blue'] } }], { restrictedAllowed: true });
        await quiet(rig);
        expect(rig.core.engine.compiler.recompute().different).toEqual([]);
      }
      for (const t of intent.children('tenant', '')) {
        for (const n of intent.children('network', t.path)) {
          for (const r of [...intent.children('rule', n.path)])
            await intent.transact([{ op: 'delete', path: r.path }], { restrictedAllowed: true });
          for (const r of [...intent.children('route', n.path)])
            await intent.transact([{ op: 'delete', path: r.path }], { restrictedAllowed: true });
          for (const p of [...intent.children('port', n.path)])
            await intent.transact([{ op: 'delete', path: p.path }], { restrictedAllowed: true });
        }
      }
      await quiet(rig);
      expect(rig.core.engine.compiler.recompute().different).toEqual([]);
      // What is left serves the pipeline itself.
      const left = rig.fake.texts().filter((l) => !/cookie=0x[0-9a-f]*0{10},/.test(l));
      expect(left).toEqual([]);
    }),
    { numRuns: 10 },
  );
});
