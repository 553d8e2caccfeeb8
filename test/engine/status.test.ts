/** What status and wait say while switches are slow, away, or claim the same port. */
import { pino } from 'pino';
import { beforeEach, expect, test, vi } from 'vitest';
import { type Core, startCore } from '../../src/core.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

const network = 'tenants/acme/networks/shop';
const a = `${network}/ports/a`;
const b = `${network}/ports/b`;

let core: Core;
let fake: FakeSwitches;

const put = (path: string, spec: Record<string, unknown>) =>
  core.intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });

async function quiet(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await core.engine.idle();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const statusOf = (path: string) => core.status.status(core.intent.get(path)!);
const conditions = (path: string) => statusOf(path).conditions.map((c) => `${c.type}=${c.status}`);

beforeEach(async () => {
  fake = new FakeSwitches();
  core = await startCore({ store: openMemoryStore(), plugin: fake, log: pino({ level: 'silent' }) });
  for (const h of ['hv1', 'hv2']) await put(`hypervisors/${h}`, { admission: 'approved' });
  await put('tenants/acme', {});
  await put(network, { offering: 'basic', cidr: '10.0.0.0/16' });
  await put(`${network}/tiers/web`, { cidr: '10.0.1.0/24' });
  for (const p of ['a', 'b']) await put(`${network}/ports/${p}`, { tier: 'web', ifaceId: p });
  fake.connect('hv1', '192.0.2.1');
  fake.connect('hv2', '192.0.2.2');
  fake.interfaces(1, [{ ifaceId: 'a', name: 'va', ofport: 1 }]);
  fake.interfaces(2, [{ ifaceId: 'b', name: 'vb', ofport: 2 }]);
  await quiet();
});

test('an unbound port is programmed with Bound=False, a bound one Bound=True', async () => {
  await put(`${network}/ports/c`, { tier: 'web' });
  await quiet();
  expect(statusOf(`${network}/ports/c`).state).toBe('programmed');
  expect(conditions(`${network}/ports/c`)).toEqual(['Bound=False']);
  expect(statusOf(a).state).toBe('programmed');
  expect(conditions(a)).toEqual(['Bound=True']);
});

test('a slow switch keeps the object pending and the wait waiting, until its barrier', async () => {
  fake.prompt = false;
  const { revision } = await put(`${network}/rules/r`, {
    action: 'allow',
    priority: 1,
    from: { any: true },
    to: { any: true },
    protocol: 'any',
  });
  await quiet();
  expect(statusOf(`${network}/rules/r`).state).toBe('pending');
  expect(await core.status.wait(revision, 'programmed', 20)).toBe(false);
  const waiting = core.status.wait(revision, 'programmed', 5_000);
  fake.acknowledge([1]);
  expect(statusOf(`${network}/rules/r`).state).toBe('pending');
  fake.acknowledge([2]);
  expect(await waiting).toBe(true);
  const status = statusOf(`${network}/rules/r`);
  expect(status.state).toBe('programmed');
  expect(status.programmedRevision).toBeGreaterThanOrEqual(revision);
  expect(status.observedRevision).toBeGreaterThanOrEqual(status.programmedRevision);
});

const anyRule = { action: 'allow', priority: 1, from: { any: true }, to: { any: true }, protocol: 'any' };

/** Whether a promise has been resolved by now. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol();
  return (await Promise.race([promise, quiet().then(() => open)])) !== open;
}

test('connected is in sync: from then on a switch holds the wait, however slow, until its session ends', async () => {
  await put('hypervisors/hv3', { admission: 'approved' });
  fake.connect('hv3', '192.0.2.3');
  await put(`${network}/ports/c`, { tier: 'web', ifaceId: 'c' });
  fake.interfaces(3, [{ ifaceId: 'c', name: 'vc', ofport: 1 }]);
  await quiet();
  fake.prompt = false;
  // hv3 is connected anew: it has yet to be read back.
  fake.events.disconnected(3, 'test');
  const { revision } = await put(`${network}/rules/r`, anyRule);
  await quiet();
  const programmed = core.status.wait(revision, 'programmed', 60_000);
  const all = core.status.wait(revision, 'all', 60_000);
  fake.acknowledge([1]);
  // hv2 has a session that is in sync, and says nothing.
  expect(await isDone(programmed)).toBe(false);
  expect(statusOf(`${network}/rules/r`).state).toBe('pending');
  fake.events.disconnected(2, 'it takes nothing of what is sent');
  expect(await isDone(programmed)).toBe(true);
  expect(await programmed).toBe(true);
  expect(await isDone(all)).toBe(false);
  expect(statusOf(`${network}/rules/r`)).toMatchObject({
    state: 'degraded',
    conditions: [{ type: 'HypervisorUnreachable' }, { type: 'HypervisorUnreachable' }],
  });
  for (const h of [2, 3]) {
    expect(await isDone(all)).toBe(false);
    fake.events.connected(h);
    fake.acknowledge([h]);
  }
  expect(await all).toBe(true);
  expect(statusOf(`${network}/rules/r`).state).toBe('programmed');
});

test('a tunnel that is not there yet holds the wait, until the hypervisor that should make it is gone', async () => {
  fake.events.tunnels(1, new Map());
  await quiet();
  const { revision } = await put(`${network}/rules/r`, anyRule);
  const programmed = core.status.wait(revision, 'programmed', 60_000);
  expect(await isDone(programmed)).toBe(false);
  // Its switch goes on without its database.
  fake.events.chassisGone('hv1', 'test');
  expect(await isDone(programmed)).toBe(true);
  fake.connect('hv1', '192.0.2.1');
  await quiet();
  const again = core.status.wait(revision, 'programmed', 60_000);
  expect(await isDone(again)).toBe(false);
  fake.events.tunnels(1, new Map([[2, 1_002]]));
  expect(await isDone(again)).toBe(true);
});

test('a switch that is away makes it degraded and does not hold the wait; wait=all does', async () => {
  fake.events.disconnected(2, 'test');
  fake.events.chassisGone('hv2', 'test');
  await quiet();
  fake.prompt = false;
  const { revision } = await put(`${network}/rules/r`, {
    action: 'allow',
    priority: 1,
    from: { any: true },
    to: { any: true },
    protocol: 'any',
  });
  await quiet();
  const waiting = core.status.wait(revision, 'programmed', 5_000);
  const all = core.status.wait(revision, 'all', 100);
  fake.acknowledge([1]);
  expect(await waiting).toBe(true);
  expect(await all).toBe(false);
  const status = statusOf(`${network}/rules/r`);
  expect(status.state).toBe('degraded');
  expect(status.conditions.map((c) => c.type)).toEqual(['HypervisorUnreachable']);
  // Its ports keep their binding: the others still send to them.
  expect(core.fabric.binding(b)?.hypervisor).toBe('hv2');
});

test('the first claim keeps the port while it lives; then the second has it', async () => {
  fake.interfaces(2, [
    { ifaceId: 'b', name: 'vb', ofport: 2 },
    { ifaceId: 'a', name: 'thief', ofport: 3 },
  ]);
  await quiet();
  expect(core.fabric.binding(a)?.hypervisor).toBe('hv1');
  expect(statusOf(a).state).toBe('degraded');
  expect(conditions(a)).toContain('BindingConflict=True');
  fake.interfaces(1, []);
  await quiet();
  expect(core.fabric.binding(a)).toMatchObject({ hypervisor: 'hv2', interface: 'thief' });
  expect(statusOf(a).state).toBe('programmed');
  expect(core.engine.compiler.recompute().different).toEqual([]);
});

test('a second interface with the same iface-id on one hypervisor does not take the port over', async () => {
  fake.interfaces(1, [
    { ifaceId: 'a', name: 'aa', ofport: 9 },
    { ifaceId: 'a', name: 'va', ofport: 1 },
  ]);
  await quiet();
  expect(core.fabric.binding(a)).toMatchObject({ interface: 'va', ofport: 1 });
  fake.interfaces(1, [{ ifaceId: 'a', name: 'aa', ofport: 9 }]);
  await quiet();
  expect(core.fabric.binding(a)).toMatchObject({ interface: 'aa', ofport: 9 });
});

test('a port that names its hypervisors is bound by no other', async () => {
  await put(a, { tier: 'web', ifaceId: 'a', hypervisors: ['hv2'] });
  await quiet();
  expect(core.fabric.binding(a)).toBe(null);
  fake.interfaces(2, [
    { ifaceId: 'b', name: 'vb', ofport: 2 },
    { ifaceId: 'a', name: 'va', ofport: 3 },
  ]);
  await quiet();
  expect(core.fabric.binding(a)?.hypervisor).toBe('hv2');
});

test('an iface-id changed in place unbinds first: nothing of the old owner is left on the OpenFlow port', async () => {
  const before = fake.flowsOn(1).filter((f) => f.match.in_port === 1);
  expect(before.length).toBeGreaterThan(0);
  fake.interfaces(1, [{ ifaceId: 'nobody', name: 'va', ofport: 1 }]);
  await quiet();
  expect(fake.flowsOn(1).filter((f) => f.match.in_port === 1)).toEqual([]);
  expect(core.fabric.binding(a)).toBe(null);
});

test('a drained hypervisor keeps what it has and binds nothing new; a lost one has nothing', async () => {
  await put('hypervisors/hv1', { admission: 'drained' });
  await put(`${network}/ports/c`, { tier: 'web', ifaceId: 'c' });
  fake.interfaces(1, [
    { ifaceId: 'a', name: 'va', ofport: 1 },
    { ifaceId: 'c', name: 'vc', ofport: 4 },
  ]);
  await quiet();
  expect(core.fabric.binding(a)?.hypervisor).toBe('hv1');
  expect(core.fabric.binding(`${network}/ports/c`)).toBe(null);
  await put('hypervisors/hv1', { admission: 'lost' });
  await quiet();
  expect(core.fabric.binding(a)).toBe(null);
  expect(fake.admitted.has(1)).toBe(false);
  // Nothing on the other switch names it any more.
  expect(fake.texts().filter((l) => l.startsWith('2: ') && /set_field:0x[^,]*->reg7/.test(l))).toEqual([]);
  expect(core.engine.compiler.recompute().different).toEqual([]);
});

test('a zone that is given up is flushed and not used for another port before that', async () => {
  const zone = core.fabric.binding(a)?.zone;
  fake.interfaces(1, []);
  await quiet();
  expect(fake.flushed).toEqual([`1/${zone}`]);
  await put(`${network}/ports/c`, { tier: 'web', ifaceId: 'c' });
  fake.interfaces(1, [{ ifaceId: 'c', name: 'vc', ofport: 1 }]);
  await quiet();
  expect(core.fabric.binding(`${network}/ports/c`)?.zone).not.toBe(zone);
});

test('a deleted object answers as deleting until every switch has confirmed, the ones that are away included', async () => {
  fake.prompt = false;
  await put(`${network}/rules/r`, {
    action: 'allow',
    priority: 1,
    from: { any: true },
    to: { any: true },
    protocol: 'any',
  });
  await quiet();
  fake.acknowledge();
  await core.intent.transact([{ op: 'delete', path: `${network}/rules/r` }], { restrictedAllowed: true });
  await quiet();
  expect(core.status.deleting(`${network}/rules/r`)?.name).toBe('r');
  fake.acknowledge([1]);
  expect(core.status.deleting(`${network}/rules/r`)?.name).toBe('r');
  fake.acknowledge([2]);
  expect(core.status.deleting(`${network}/rules/r`)).toBe(undefined);
});

test('listeners are told of a deletion, and once more when it is done', async () => {
  await put(`${network}/rules/r`, {
    action: 'allow',
    priority: 1,
    from: { any: true },
    to: { any: true },
    protocol: 'any',
  });
  await quiet();
  const told: string[] = [];
  const unsubscribe = core.status.onStatus((path, { state }) => {
    if (path.endsWith('/rules/r')) told.push(state);
  });
  fake.prompt = false;
  await core.intent.transact([{ op: 'delete', path: `${network}/rules/r` }], { restrictedAllowed: true });
  await quiet();
  expect(new Set(told)).toEqual(new Set(['deleting']));
  fake.acknowledge();
  await quiet();
  expect(told.at(-1)).toBe('programmed');
  const before = told.length;
  fake.acknowledge();
  await quiet();
  expect(told.length).toBe(before);
  unsubscribe();
});

test('listeners are told once that switches are awaited, of what changes meanwhile, and once when the last has confirmed', async () => {
  const rule = `${network}/rules/r`;
  const told: string[] = [];
  const unsubscribe = core.status.onStatus((path, { state, conditions: all }) => {
    if (path === rule) told.push([state, ...all.map(({ reason }) => reason)].join(' '));
  });
  fake.prompt = false;
  await put(rule, { action: 'allow', priority: 1, from: { any: true }, to: { any: true }, protocol: 'any' });
  await quiet();
  expect(new Set(told)).toEqual(new Set(['pending']));
  const before = told.length;
  fake.acknowledge([1]);
  await quiet();
  expect(told.length).toBe(before);
  // The one that is awaited goes: nobody is awaited any more.
  fake.events.disconnected(2, 'test');
  await quiet();
  expect(told.slice(before)).toEqual(['degraded NotConnected']);
  fake.events.connected(2);
  fake.acknowledge();
  await quiet();
  expect(statusOf(rule).state).toBe('programmed');
  unsubscribe();
});

test('an object is told as pending once and as programmed once, though acknowledgements arrive one by one', async () => {
  const more = ['hv3', 'hv4', 'hv5'];
  for (const [i, h] of more.entries()) {
    await put(`hypervisors/${h}`, { admission: 'approved' });
    fake.connect(h, `192.0.2.${i + 3}`);
    await put(`${network}/ports/${h}`, { tier: 'web', ifaceId: h });
    await quiet();
    fake.interfaces(i + 3, [{ ifaceId: h, name: 'v', ofport: 1 }]);
  }
  await quiet();
  const rules = ['r', 's'].map((name) => `${network}/rules/${name}`);
  const told: string[] = [];
  const unsubscribe = core.status.onStatus((path, { state }) => {
    if (rules.includes(path)) told.push(`${path.at(-1)} ${state}`);
  });
  fake.prompt = false;
  const anything = { action: 'allow', from: { any: true }, to: { any: true }, protocol: 'any' };
  const waits: Promise<boolean>[] = [];
  for (const [i, rule] of rules.entries()) {
    const { revision } = await put(rule, { ...anything, priority: i + 1 });
    waits.push(core.status.wait(revision, 'programmed', 5_000));
    await quiet();
  }
  expect(told).toEqual(['r pending', 's pending']);
  let done = 0;
  for (const wait of waits) void wait.then(() => done++);
  for (const h of [1, 2, 3, 4]) {
    fake.acknowledge([h]);
    await quiet();
    expect([told.length, done]).toEqual([2, 0]);
  }
  fake.acknowledge([5]);
  await quiet();
  expect(told.slice(2).sort()).toEqual(['r programmed', 's programmed']);
  expect(done).toBe(2);
  fake.acknowledge();
  await quiet();
  expect(told.length).toBe(4);
  unsubscribe();
});

test('a change of words does not pass for the flows that were never confirmed', async () => {
  fake.prompt = false;
  const rule = { action: 'allow', priority: 1, from: { any: true }, to: { any: true }, protocol: 'any' };
  await put(`${network}/rules/r`, rule);
  await quiet();
  const labels = { team: 'red' };
  const { revision } = await core.intent.transact([{ op: 'put', path: `${network}/rules/r`, spec: rule, labels }]);
  await quiet();
  expect(statusOf(`${network}/rules/r`).state).toBe('pending');
  expect(await core.status.wait(revision, 'programmed', 20)).toBe(false);
  fake.acknowledge();
  expect(statusOf(`${network}/rules/r`).state).toBe('programmed');
  expect(await core.status.wait(revision, 'programmed', 20)).toBe(true);
});

/** Creates and deletes that many rules, some in each transaction. */
async function comeAndGo(count: number, confirm: () => void): Promise<void> {
  const paths = Array.from({ length: count }, (_, i) => `${network}/rules/r${i}`);
  const spec = { action: 'allow', from: { any: true }, to: { any: true }, protocol: 'any' };
  for (let at = 0; at < count; at += 50) {
    const some = paths.slice(at, at + 50);
    await core.intent.transact(some.map((path, i) => ({ op: 'put', path, spec: { ...spec, priority: i + 1 } })));
    await core.intent.transact(some.map((path) => ({ op: 'delete', path })));
    await core.engine.idle();
    confirm();
  }
  await quiet();
}

test('what is over is forgotten, also where nobody listens and nobody asks', async () => {
  await comeAndGo(4_000, () => fake.acknowledge());
  expect(core.progress.remembered).toBeLessThan(2_500);
  expect(core.status.deletions).toBeLessThan(2_500);
});

test('an acknowledgement costs nothing for what another switch is awaited for', async () => {
  const unsubscribe = core.status.onStatus(() => {});
  fake.events.disconnected(2, 'test');
  fake.prompt = false;
  await comeAndGo(1_000, () => fake.acknowledge([1]));
  expect(core.status.deleting(`${network}/rules/r0`)?.name).toBe('r0');
  const asked = vi.spyOn(core.progress, 'awaitedBy');
  for (let i = 0; i < 10; i++) {
    fake.acknowledge([1]);
    await quiet();
  }
  expect(asked.mock.calls.length).toBeLessThan(50);
  const told = new Set<string>();
  const alsoUnsubscribe = core.status.onStatus((path) => void told.add(path));
  fake.acknowledge([2]);
  await quiet();
  expect(told.size).toBe(1_000);
  expect(core.status.deleting(`${network}/rules/r0`)).toBe(undefined);
  unsubscribe();
  alsoUnsubscribe();
});

test('a network whose offering promises what nobody provides is degraded, its tiers work', async () => {
  await put('tenants/acme/networks/fancy', { offering: 'gold', cidr: '10.1.0.0/16' });
  await put('tenants/acme/networks/fancy/tiers/web', { cidr: '10.1.1.0/24' });
  await quiet();
  const status = statusOf('tenants/acme/networks/fancy');
  expect(status.state).toBe('degraded');
  expect(new Set(status.conditions.map((c) => c.type))).toEqual(new Set(['ServiceNotProvided']));
  expect(statusOf('tenants/acme/networks/fancy/tiers/web').state).toBe('programmed');
  expect(statusOf(network).state).toBe('programmed');
});

test('hypervisors that are merely seen wait for approval, under a name an admin can use', async () => {
  fake.connect('Host.Example.com', '192.0.2.9');
  await quiet();
  expect(core.fabric.pending().map((p) => p.name)).toEqual(['host-example-com']);
  expect(fake.admitted.size).toBe(2);
  await put('hypervisors/host-example-com', { admission: 'approved', systemId: 'Host.Example.com' });
  await quiet();
  expect(core.fabric.pending()).toEqual([]);
  expect([...fake.admitted.values()].some((x) => x.systemId === 'Host.Example.com')).toBe(true);
  expect(core.fabric.chassis('hypervisors/host-example-com')?.encapIp).toBe('192.0.2.9');
});

test('what cannot be put into bytes fails for itself alone', async () => {
  // A number that no port of OpenFlow has; our plugin lets none through, and another might.
  fake.events.tunnels(1, new Map([[2, 70_000]]));
  await quiet();
  expect([...core.engine.compiler.failures]).toEqual([['tunnel:1:2', expect.stringContaining('70000')]]);
  await put(`${network}/ports/c`, { tier: 'web', ifaceId: 'c' });
  fake.interfaces(2, [{ ifaceId: 'c', name: 'vc', ofport: 3 }]);
  await quiet();
  expect(statusOf(`${network}/ports/c`).state).toBe('programmed');
  expect(fake.texts().some((line) => line.startsWith('2: ') && line.includes('in_port=3'))).toBe(true);
  fake.events.tunnels(1, new Map([[2, 7]]));
  await quiet();
  expect(core.engine.compiler.failures.size).toBe(0);
  expect(core.engine.compiler.recompute().different).toEqual([]);
});
