/** A key, zone, rule id or other number on switches is never live in two meanings, whoever was away while it was freed. */
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type Core, startCore } from '../../src/core.ts';
import { Problem } from '../../src/problems.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import { conflicts, Host, IdSwitches, ownersOf } from './id-world.ts';

const systemIds = ['hv1', 'hv2', 'hv3'];
const tenants = 4;
const portsEach = 2;

/** So little is left of every pool that ids come round again and again. */
const left: Record<string, number> = {
  'ids/tenant-key/next': 2 ** 24 - 3,
  'ids/network-number/next': 2 ** 24 - 3,
  'ids/tier-number/next': 2 ** 24 - 3,
  'ids/rule-id/next': 2 ** 32 - 6,
  'ids/hypervisor-number/next': 65_534 - 4,
};
/** Of each hypervisor: this one, which is free, and those above it. */
const firstZone = 65_533;

type Lists = Map<string, Set<string>>;

class Rig {
  readonly hosts = new Map(systemIds.map((systemId) => [systemId, new Host(systemId)]));
  /** iface-ids plugged, by host. */
  readonly plugged: Lists = new Map(systemIds.map((systemId) => [systemId, new Set<string>()]));
  readonly #present = new Set<string>();
  readonly #disk = new MemoryDisk();
  core!: Core;
  switches!: IdSwitches;

  static async open(): Promise<Rig> {
    const rig = new Rig();
    await rig.#write(Object.entries(left).map(([key, next]) => [key, String(next)]));
    await rig.start();
    for (const systemId of systemIds) await rig.transact([{ path: `hypervisors/${systemId}`, spec: approved }]);
    await rig.core.stop();
    const numbers = systemIds.map((systemId) => rig.core.intent.get(`hypervisors/${systemId}`)!.id);
    await rig.#write(numbers.map((n) => [`zones/${n}/${firstZone}`, JSON.stringify({ state: 'free' })]));
    await rig.start();
    for (const systemId of systemIds) await rig.back(systemId, true);
    return rig;
  }

  async #write(records: [key: string, value: string][]): Promise<void> {
    const store = openMemoryStore({ disk: this.#disk });
    await store.commit({ put: new Map(records) });
    await store.close();
  }

  /** The controller starts, again; who was connected is not. */
  async start(): Promise<void> {
    await this.core?.stop();
    this.#present.clear();
    this.switches = new IdSwitches(this.hosts);
    const store = openMemoryStore({ disk: this.#disk });
    this.core = await startCore({ store, plugin: this.switches, log: pino({ level: 'silent' }) });
    this.switches.view = this.core.intent;
  }

  async quiet(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await this.core.engine.idle();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** False: refused for want of an id, or because it makes no sense now. */
  async transact(operations: { path: string; spec?: Record<string, unknown> }[]): Promise<boolean> {
    try {
      await this.core.intent.transact(
        operations.map(({ path, spec }) =>
          spec === undefined ? { op: 'delete' as const, path } : { op: 'put' as const, path, spec },
        ),
        { restrictedAllowed: true, many: true },
      );
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.code === 'ids.exhausted') exhausted++;
      return false;
    }
  }

  /** The hypervisor calls in, and its switch with it: the one or the other first. */
  async back(systemId: string, databaseFirst: boolean): Promise<void> {
    if (this.#present.has(systemId)) return;
    this.#present.add(systemId);
    if (!databaseFirst) this.switches.connectSwitch(systemId);
    this.switches.connect(systemId, `192.0.2.${systemIds.indexOf(systemId) + 1}`);
    this.tell(systemId);
    await this.quiet();
    if (databaseFirst) this.switches.connectSwitch(systemId);
  }

  away(systemId: string): void {
    if (!this.#present.delete(systemId)) return;
    this.switches.disconnectSwitch(systemId);
    this.switches.events.chassisGone(systemId, 'gone');
  }

  /** What is plugged there, if the controller can know. */
  tell(systemId: string): void {
    const number = this.switches.numberOf(systemId);
    if (number === undefined || !this.#present.has(systemId)) return;
    const list = [...this.plugged.get(systemId)!].map((ifaceId) => ({
      ifaceId,
      name: `v${ifaceId}`,
      ofport: 10 + Number(ifaceId.replace(/\D/g, '')),
    }));
    this.switches.interfaces(number, list);
  }

  /** What must hold at every moment. */
  check(): void {
    const { intent, engine } = this.core;
    expect(this.switches.violations).toEqual([]);
    expect(this.switches.strays()).toEqual([]);
    expect(conflicts(intent, this.hosts.values())).toEqual([]);
    for (const [id, uid] of ownersOf(intent)) {
      const before = everMeant.get(id);
      if (before !== undefined && before !== uid) reused++;
      everMeant.set(id, uid);
    }
    expect(engine.compiler.recompute().different).toEqual([]);
    // Zones belong to ports that are bound there; what nobody has is retired or free.
    for (const { number } of engine.fleet.all()) {
      for (let zone = firstZone; zone <= 65_535; zone++) {
        const uid = engine.zones.ownerOf(number, zone);
        if (uid === undefined) continue;
        const bound = [...engine.bindings.placement.portsOn(number)].map((path) => intent.get(path)?.uid);
        expect(bound, `zone ${zone} of hypervisor ${number}`).toContain(uid);
      }
    }
  }
}

const approved = { admission: 'approved' };

let everMeant = new Map<string, string>();
let reused = 0;
let exhausted = 0;
let approvedAgain = 0;

const tenantOf = (t: number): string => `tenants/t${t}`;
const networkOf = (t: number): string => `${tenantOf(t)}/networks/n`;
const ifaceIdOf = (t: number, p: number): string => `${t}${p}`;

function orders(t: number): { path: string; spec: Record<string, unknown> }[] {
  const network = networkOf(t);
  return [
    { path: tenantOf(t), spec: {} },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
    { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
    ...Array.from({ length: portsEach }, (_, p) => ({
      path: `${network}/ports/p${p}`,
      spec: { tier: 'web', ifaceId: ifaceIdOf(t, p) },
    })),
    { path: `${network}/rules/r`, spec: ruleSpec(1) },
  ];
}

const ruleSpec = (priority: number): Record<string, unknown> => ({
  action: 'allow',
  priority,
  from: { tier: 'web' },
  to: { tier: 'web' },
  protocol: 'tcp',
});

const systemId = fc.constantFrom(...systemIds);
const tenant = fc.nat(tenants - 1);
const port = fc.nat(portsEach - 1);

type Step = (rig: Rig) => unknown;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: tenant.map(
      (t): Step =>
        (rig) =>
          rig.transact(orders(t)),
    ),
  },
  {
    weight: 6,
    arbitrary: tenant.map(
      (t): Step =>
        (rig) => {
          const { intent } = rig.core;
          const network = networkOf(t);
          const rules = [...intent.children('rule', network)];
          return rig.transact(
            [...orders(t), ...rules]
              .map(({ path }) => ({ path }))
              .filter(
                ({ path }, i, all) => intent.get(path) !== undefined && all.findIndex((one) => one.path === path) === i,
              ),
          );
        },
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(tenant, fc.nat(2)).map(
      ([t, r]): Step =>
        (rig) => {
          const path = `${networkOf(t)}/rules/x${r}`;
          return rig.transact([rig.core.intent.get(path) === undefined ? { path, spec: ruleSpec(10 + r) } : { path }]);
        },
    ),
  },
  {
    // Gone and made again before anybody had time to notice.
    weight: 2,
    arbitrary: fc.tuple(tenant, port).map(
      ([t, p]): Step =>
        (rig) => {
          const path = `${networkOf(t)}/ports/p${p}`;
          if (rig.core.intent.get(path) === undefined) return;
          return Promise.all([
            rig.transact([{ path }]),
            rig.transact([{ path, spec: { tier: 'web', ifaceId: ifaceIdOf(t, p) } }]),
          ]);
        },
    ),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(systemId, tenant, port).map(
      ([host, t, p]): Step =>
        (rig) => {
          const here = rig.plugged.get(host)!;
          const ifaceId = ifaceIdOf(t, p);
          if (!here.delete(ifaceId)) here.add(ifaceId);
          rig.tell(host);
        },
    ),
  },
  {
    weight: 5,
    arbitrary: systemId.map(
      (host): Step =>
        (rig) =>
          rig.away(host),
    ),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(systemId, fc.boolean()).map(
      ([host, first]): Step =>
        (rig) =>
          rig.back(host, first),
    ),
  },
  {
    weight: 8,
    arbitrary: systemId.map(
      (host): Step =>
        (rig) =>
          rig.switches.confirm(host),
    ),
  },
  { weight: 2, arbitrary: fc.constant<Step>((rig) => rig.start()) },
  {
    // ovs-vswitchd, or the machine, starts anew.
    weight: 1,
    arbitrary: systemId.map(
      (host): Step =>
        (rig) => {
          rig.away(host);
          rig.hosts.get(host)!.reboot();
        },
    ),
  },
  {
    // Given up by an admin, who vouches that it is not there any more; what it holds is then nobody's business.
    weight: 1,
    arbitrary: systemId.map(
      (host): Step =>
        async (rig) => {
          const path = `hypervisors/${host}`;
          const lost = rig.core.intent.getAs('hypervisor', path)?.spec.admission === 'lost';
          if (!(await rig.transact([{ path, spec: { admission: lost ? 'approved' : 'lost' } }]))) return;
          if (!lost) rig.hosts.get(host)!.installed.clear();
          await rig.quiet();
          rig.tell(host);
        },
    ),
  },
  {
    // Deleted, which is to give it up too, and approved again: another number, and connections of before in its zones.
    weight: 2,
    arbitrary: systemId.map(
      (host): Step =>
        async (rig) => {
          const path = `hypervisors/${host}`;
          const known = rig.core.intent.get(path) !== undefined;
          if (!(await rig.transact([known ? { path } : { path, spec: approved }]))) return;
          if (known) rig.hosts.get(host)!.installed.clear();
          else approvedAgain++;
          await rig.quiet();
          rig.tell(host);
        },
    ),
  },
);

test('whatever comes and goes, in whatever order', async () => {
  const long = process.env.KEYWAY_FAULTS === 'long';
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.boolean()), { minLength: 40, maxLength: 200, size: 'max' }),
      async (steps) => {
        everMeant = new Map();
        const rig = await Rig.open();
        for (const [run, settle] of steps) {
          await run(rig);
          // Several things may come together.
          if (!settle) continue;
          await rig.quiet();
          rig.check();
        }
        await rig.quiet();
        rig.check();
        await rig.core.stop();
      },
    ),
    { numRuns: long ? 2_000 : 80 },
  );
  console.log(
    `${reused} times an id was given out again, ${exhausted} times there was none to give, ${approvedAgain} times a hypervisor was approved again`,
  );
  expect(reused).toBeGreaterThan(50);
  expect(exhausted).toBeGreaterThan(10);
  expect(approvedAgain).toBeGreaterThan(10);
}, 300_000);
