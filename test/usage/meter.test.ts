/** When switches are read, and what happens where the disk or a switch does not answer. */
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import type { PortCounters } from '../../src/drivers/switch-plugin.ts';
import type { Commit, Resource, View } from '../../src/intent/model.ts';
import { Fleet } from '../../src/inventory/fleet.ts';
import { Placement } from '../../src/inventory/placement.ts';
import { Problem } from '../../src/problems.ts';
import { createUsageRoom, type UsageRoom } from '../../src/usage/create.ts';
import { type Batch, MemoryStorage } from '../../src/usage/storage.ts';

const open: UsageRoom[] = [];
afterEach(async () => {
  for (const room of open.splice(0)) await room.service.stop();
});

const pathOf = (n: number): string => `tenants/acme/networks/shop/ports/p${n}`;
const began = Date.now();

function portOf(n: number): Resource<'port'> {
  return {
    kind: 'port',
    path: pathOf(n),
    name: `p${n}`,
    parent: 'tenants/acme/networks/shop',
    uid: `uid-${n}`,
    number: n,
    id: 0,
    revision: 1,
    createdAt: began,
    labels: {},
    spec: { tier: 'web', mac: '02:00:00:00:00:01', ips: ['10.0.0.1'], ifaceId: `vm-${n}` },
  } as unknown as Resource<'port'>;
}

/** One port on each of so many switches; every reading counts ten packets more. */
class Switches {
  readonly asked: { hypervisor: number; at: number }[] = [];
  readonly away = new Set<number>();
  readonly silent = new Set<number>();
  readonly #counted = new Map<number, number>();

  installed(): Promise<[]> {
    return Promise.resolve([]);
  }

  portCounters(hypervisor: number, ofports: readonly number[]): Promise<(PortCounters | undefined)[]> {
    this.asked.push({ hypervisor, at: performance.now() });
    if (this.silent.has(hypervisor)) return new Promise(() => {});
    if (this.away.has(hypervisor)) return Promise.reject(new Problem('hypervisor.not-connected', 'away'));
    const packets = (this.#counted.get(hypervisor) ?? 0) + 10;
    this.#counted.set(hypervisor, packets);
    const count = { packets, bytes: 100 * packets };
    const duration = (Date.now() - began) / 1000;
    return Promise.resolve(ofports.map(() => ({ received: count, sent: count, duration })));
  }
}

/** Refuses so many writes. */
class Storage extends MemoryStorage {
  refusals = 0;
  override async write(batch: Batch): Promise<void> {
    if (this.refusals-- > 0) throw new Problem('store.unavailable', 'full');
    await super.write(batch);
  }
}

async function room(count: number, options: { interval?: number; storage?: Storage; retention?: number } = {}) {
  const ports = new Map<string, Resource<'port'>>();
  const placement = new Placement();
  const fleet = new Fleet();
  for (let n = 1; n <= count; n++) {
    ports.set(pathOf(n), portOf(n));
    placement.bind(pathOf(n), { hypervisor: n, ofport: 5, zone: 1, interface: 'v' });
    fleet.admit({
      kind: 'hypervisor',
      id: n,
      path: `hypervisors/h${n}`,
      name: `h${n}`,
      number: n,
      spec: { systemId: `h${n}` },
    } as never);
  }
  const plugin = new Switches();
  const view = {
    get: (path: string) => ports.get(path),
    getAs: (kind: string, path: string) => (kind === 'port' ? ports.get(path) : undefined),
    children: () => [],
  } as unknown as View;
  const storage = options.storage ?? new Storage();
  const made = await createUsageRoom({
    view,
    fleet,
    placement,
    plugin,
    storage,
    log: pino({ level: 'silent' }),
    interval: options.interval ?? 3_600_000,
    ...(options.retention === undefined ? {} : { retention: options.retention }),
  });
  open.push(made);
  return { room: made, plugin, ports, storage, placement };
}

const metric = (one: UsageRoom, name: string, labels: Record<string, string> = {}): number =>
  one.service
    .metrics()
    .find((m) => m.name === name)!
    .values.find(({ labels: has = {} }) => Object.entries(labels).every(([k, v]) => has[k] === v))!.value;

test('each switch has its turn, the same time apart', async () => {
  const { plugin } = await room(4, { interval: 400 });
  await expect.poll(() => plugin.asked.length, { timeout: 5_000 }).toBeGreaterThanOrEqual(9);
  const { asked } = plugin;
  expect(asked.slice(0, 8).map(({ hypervisor }) => hypervisor)).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
  // Timers are late at times, never early.
  for (let i = 1; i < 8; i++) expect(asked[i]!.at - asked[i - 1]!.at).toBeGreaterThan(80);
});

test('a switch that does not answer holds nobody up, and is not asked again meanwhile', async () => {
  const { plugin, room: made } = await room(3, { interval: 150 });
  plugin.silent.add(2);
  await expect.poll(() => plugin.asked.filter((a) => a.hypervisor === 3).length, { timeout: 5_000 }).toBeGreaterThan(3);
  expect(plugin.asked.filter((a) => a.hypervisor === 2)).toHaveLength(1);
  expect(await made.service.of(pathOf(3))).toMatchObject({ complete: true });
});

test('of a switch that is away what is known is told, and that it may be more', async () => {
  const { plugin, room: made } = await room(1);
  await made.readAll();
  const before = (await made.service.of(pathOf(1)))!;
  expect(before.complete).toBe(true);
  plugin.away.add(1);
  await new Promise((resolve) => setTimeout(resolve, 550));
  expect(await made.service.of(pathOf(1))).toEqual({ ...before, complete: false });
  expect(metric(made, 'keyway_usage_readings_total', { outcome: 'unreachable' })).toBeGreaterThan(0);
});

test('what the disk refuses is written later, once', async () => {
  const storage = new Storage();
  const { room: made } = await room(2, { storage });
  storage.refusals = 2;
  await made.readAll();
  await expect.poll(() => metric(made, 'keyway_usage_writes_failed_total'), { timeout: 5_000 }).toBe(2);
  await expect.poll(async () => (await made.service.list({ limit: 10 })).items.length, { timeout: 5_000 }).toBe(2);
  for (const { received } of (await made.service.list({ limit: 10 })).items) expect(received.packets % 10).toBe(0);
  expect(metric(made, 'keyway_usage_accounts')).toBe(2);
});

test('what is deleted is read once more before anything else is told, and final', async () => {
  const { room: made, plugin, ports } = await room(1);
  await made.readAll();
  const port = ports.get(pathOf(1))!;
  const asked = plugin.asked.length;
  ports.delete(pathOf(1));
  await new Promise((resolve) => setTimeout(resolve, 550));
  const at = Date.now();
  made.committed({
    revision: 2,
    at,
    changes: [{ kind: 'port', path: port.path, before: port, after: undefined }],
  } as Commit);
  // Within the call: the switch is asked before it is told.
  expect(plugin.asked.length).toBe(asked + 1);
  await made.service.stop();
  const kept = await listAfter(made);
  expect(kept).toMatchObject([{ path: pathOf(1), until: at, received: { packets: 20 } }]);
});

const listAfter = async (made: UsageRoom) => (await made.service.list({ limit: 10 })).items;

test('a port that comes is read soon, and not again because its status changes', async () => {
  const { room: made, plugin } = await room(3);
  const first = plugin.asked.length;
  made.bound(pathOf(3));
  made.bound(pathOf(3));
  made.bound('tenants/acme/networks/shop/ports/none');
  await expect.poll(() => plugin.asked.length, { timeout: 3_000 }).toBe(first + 1);
  made.bound(pathOf(3));
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(plugin.asked.filter(({ hypervisor }) => hypervisor === 3)).toHaveLength(1);
});

test('what was deleted while nobody looked is final at the next start, and forgotten in time', async () => {
  const storage = new Storage();
  const first = await room(1, { storage });
  await first.room.readAll();
  await first.room.service.stop();
  const second = await room(0, { storage });
  await expect
    .poll(async () => (await listAfter(second.room))[0]?.until, { timeout: 5_000 })
    .toBeGreaterThanOrEqual(began);
  await second.room.service.stop();
  const third = await room(0, { storage, retention: 0 });
  await expect.poll(() => listAfter(third.room), { timeout: 5_000 }).toEqual([]);
});
