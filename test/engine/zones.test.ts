/** Conntrack zones as ports, hypervisors and the controller come and go. */
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type Core, startCore } from '../../src/core.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';
import { quiet } from '../support/fake-cloud.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

const network = 'tenants/acme/networks/shop';
const [a, b] = [`${network}/ports/a`, `${network}/ports/b`];

type Rig = { core: Core; fake: FakeSwitches };

async function start(store: Store): Promise<Rig> {
  const fake = new FakeSwitches();
  const core = await startCore({ store, plugin: fake, log: pino({ level: 'silent' }) });
  return { core, fake };
}

async function order({ core }: Rig): Promise<void> {
  const put = (path: string, spec: Record<string, unknown>) => ({ op: 'put' as const, path, spec });
  const orders = [
    put('hypervisors/hv1', { admission: 'approved' }),
    put('tenants/acme', {}),
    put(network, { offering: 'basic', cidr: '10.0.0.0/16' }),
    put(`${network}/tiers/web`, { cidr: '10.0.1.0/24' }),
    ...[a, b].map((path) => put(path, { tier: 'web', ifaceId: path.at(-1) })),
  ];
  await core.intent.transact(orders, { restrictedAllowed: true });
}

const plugged = (...ifaceIds: string[]) => ifaceIds.map((id, i) => ({ ifaceId: id, name: `v${id}`, ofport: i + 1 }));

test('a port that finds no zone says so, and is bound when one is free', async () => {
  const disk = new MemoryDisk();
  const first = openMemoryStore({ disk });
  const before = await start(first);
  await order(before);
  await before.core.stop();
  // One is left.
  await first.commit({ put: new Map([['zones/1/65535', JSON.stringify({ state: 'free' })]]) });
  await first.close();
  const { core, fake } = await start(openMemoryStore({ disk }));
  fake.connect('hv1', '192.0.2.1');
  fake.interfaces(1, plugged('a', 'b'));
  await quiet(core);
  const [has, lacks] = core.fabric.binding(a) === null ? ([b, a] as const) : ([a, b] as const);
  expect(core.fabric.binding(has)?.zone).toBe(65_535);
  expect(core.status.status(core.intent.get(lacks)!)).toMatchObject({
    state: 'degraded',
    conditions: [{ type: 'Bound', status: 'False', reason: 'NoZone' }],
  });
  fake.interfaces(1, plugged(lacks.at(-1)!));
  await quiet(core);
  expect(fake.flushed).toEqual(['1/65535']);
  expect(core.fabric.binding(lacks)?.zone).toBe(65_535);
  expect(core.status.status(core.intent.get(lacks)!).state).toBe('programmed');
  expect(core.engine.compiler.recompute().different).toEqual([]);
});

/** Deletes hv1, approves it again with what it says of itself, and plugs b. @returns its number then */
async function replaced({ core, fake }: Rig, connect: () => void): Promise<number> {
  await core.intent.transact([{ op: 'put', path: 'hypervisors/hv1', spec: { admission: 'approved' } }], {
    restrictedAllowed: true,
  });
  connect();
  const number = core.intent.get('hypervisors/hv1')!.id;
  fake.interfaces(number, plugged('b'));
  await quiet(core);
  return number;
}

test('a hypervisor that is deleted and approved again flushes what it had before anybody gets it', async () => {
  const store = openMemoryStore();
  const rig = await start(store);
  const { core, fake } = rig;
  await order(rig);
  fake.connect('hv1', '192.0.2.1');
  fake.interfaces(1, plugged('a'));
  await quiet(core);
  const before = core.fabric.binding(a)!.zone;
  fake.prompt = false;
  await core.intent.transact([{ op: 'delete', path: 'hypervisors/hv1' }], { restrictedAllowed: true });
  await quiet(core);
  const number = await replaced(rig, () => {});
  expect(number).not.toBe(1);
  expect(core.engine.zones.retired(number)).toEqual([before]);
  expect(core.fabric.binding(b)!.zone).not.toBe(before);
  // Not before the switch has confirmed that no flow uses it.
  expect(fake.flushed).toEqual([]);
  fake.acknowledge();
  await quiet(core);
  expect(fake.flushed).toEqual([`${number}/${before}`]);
  expect((await store.list('left-zones/')).entries).toEqual([]);
});

test('also when the controller ended between the deletion and its note of it', async () => {
  const disk = new MemoryDisk();
  const store = openMemoryStore({ disk });
  const rig = await start(store);
  await order(rig);
  rig.fake.connect('hv1', '192.0.2.1');
  rig.fake.interfaces(1, plugged('a'));
  await quiet(rig.core);
  const before = rig.core.fabric.binding(a)!.zone;
  // The engine is told nothing any more.
  await rig.core.stop();
  await rig.core.intent.transact([{ op: 'delete', path: 'hypervisors/hv1' }], { restrictedAllowed: true });
  await store.close();

  const again = openMemoryStore({ disk });
  const later = await start(again);
  await quiet(later.core);
  expect((await again.list('zones/')).entries).toEqual([]);
  expect((await again.list('chassis/')).entries).toEqual([]);
  const number = await replaced(later, () => later.fake.connect('hv1', '192.0.2.1'));
  expect(later.fake.flushed).toEqual([`${number}/${before}`]);
  expect(later.core.fabric.binding(b)!.zone).not.toBe(before);
  expect(later.core.engine.compiler.recompute().different).toEqual([]);
});

test('and one that is replaced by another name in the commit that deletes it', async () => {
  const rig = await start(openMemoryStore());
  const { core, fake } = rig;
  await order(rig);
  fake.connect('hv1', '192.0.2.1');
  fake.interfaces(1, plugged('a'));
  await quiet(core);
  const before = core.fabric.binding(a)!.zone;
  await core.intent.transact(
    [
      { op: 'delete', path: 'hypervisors/hv1' },
      { op: 'put', path: 'hypervisors/other', spec: { admission: 'approved', systemId: 'hv1' } },
    ],
    { restrictedAllowed: true },
  );
  const number = core.intent.get('hypervisors/other')!.id;
  fake.interfaces(number, plugged('b'));
  await quiet(core);
  expect([...fake.admitted.values()].map(({ hypervisor }) => hypervisor)).toEqual([number]);
  expect(core.fabric.binding(b)).toMatchObject({ hypervisor: 'other' });
  expect(fake.flushed).toEqual([`${number}/${before}`]);
});
