/** The controller is killed at random moments under writes and plugs: nothing acknowledged is lost, and flows are right. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { formatFlow } from '../../plugins/openvswitch/openflow/text.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { type DummySwitch, openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { Controller } from './controller.ts';
import { recompiled, type Shown } from './recompiled.ts';

const long = process.env.KEYWAY_FAULTS === 'long';
const rounds = long ? 60 : 3;
const lanes = 6;
const names = ['hv1', 'hv2'];
const encapOf = (index: number): string => `192.0.2.${index + 1}`;

const network = 'tenants/acme/networks/shop';

/** One caller, who knows what it was promised: nobody else writes what it writes. */
class Lane {
  readonly #number: number;
  /** Path -> spec, as acknowledged. */
  readonly promised = new Map<string, object>();
  /** Asked for without an answer: it may be there or not. */
  open: { path: string; spec: object | undefined }[] = [];
  refused = 0;
  #n = 0;

  constructor(number: number) {
    this.#number = number;
  }

  async run(controller: Controller, over: () => boolean): Promise<void> {
    while (!over()) {
      const changes = this.#next();
      this.open = changes;
      try {
        const { status } = await this.#ask(controller, changes);
        if (status === 200 || status === 201 || status === 204) {
          for (const { path, spec } of changes) {
            if (spec === undefined) this.promised.delete(path);
            else this.promised.set(path, spec);
          }
        } else this.refused++;
        this.open = [];
      } catch {
        // Killed meanwhile: what was asked for stays open.
        return;
      }
    }
  }

  #ask(controller: Controller, changes: { path: string; spec: object | undefined }[]) {
    const [first] = changes;
    if (changes.length === 1)
      return controller.api(first!.spec === undefined ? 'DELETE' : 'PUT', `/v1/${first!.path}`, first!.spec);
    const resources = changes.map(({ path, spec }) => (spec === undefined ? { path, delete: true } : { path, spec }));
    return controller.api('POST', '/v1/apply', { resources });
  }

  #next(): { path: string; spec: object | undefined }[] {
    const n = this.#n++;
    const count = n % 5 === 4 ? 3 : 1;
    return Array.from({ length: count }, (_, i) => {
      const slot = (n + i) % 6;
      const id = `l${this.#number}s${slot}`;
      // A third of them ports, the rest rules; each goes again after a while.
      const path = slot < 2 ? `${network}/ports/${id}` : `${network}/rules/${id}`;
      if (this.promised.has(path) && Math.random() < 0.4) return { path, spec: undefined };
      if (slot < 2) {
        const host = 10 + this.#number * 10 + slot;
        return { path, spec: { tier: 'web', ips: [`10.0.1.${host}`], ifaceId: id, groups: n % 2 === 0 ? ['g'] : [] } };
      }
      const port = String(1_000 + (n % 500));
      const priority = 1 + this.#number * 10 + slot;
      return {
        path,
        spec: { action: 'allow', priority, from: { group: 'g' }, to: { tier: 'web' }, protocol: 'tcp', ports: [port] },
      };
    });
  }
}

/** Everything promised is there; of what was left open all or nothing, and the caller goes on from that. */
async function judge(controller: Controller, lane: Lane): Promise<void> {
  const open = new Map(lane.open.map(({ path, spec }) => [path, spec]));
  const carriedOut = new Set<boolean>();
  for (const path of new Set([...lane.promised.keys(), ...open.keys()])) {
    const answer = await controller.api('GET', `/v1/${path}`);
    const there = answer.status === 200 ? (answer.body as Record<string, unknown>) : undefined;
    const before = lane.promised.get(path);
    if (!open.has(path)) {
      expect(there, `${path} was promised`).toMatchObject(before!);
      continue;
    }
    const after = open.get(path);
    const [isBefore, isAfter] = [holds(there, before), holds(there, after)];
    expect(isBefore || isAfter, `${path} is neither what it was nor what it was to be`).toBe(true);
    if (isBefore !== isAfter) carriedOut.add(isAfter);
    if (isAfter && after !== undefined) lane.promised.set(path, after);
    else if (isAfter) lane.promised.delete(path);
  }
  expect(carriedOut.size, `an apply was carried out in part: ${JSON.stringify(lane.open)}`).toBeLessThanOrEqual(1);
  lane.open = [];
}

function holds(there: Record<string, unknown> | undefined, spec: object | undefined): boolean {
  if (there === undefined || spec === undefined) return there === spec;
  return Object.entries(spec).every(([key, value]) => JSON.stringify(there[key]) === JSON.stringify(value));
}

async function facts(vswitch: DummySwitch, index: number): Promise<Shown> {
  const json = await vswitch.vsctl('--format=json', '--columns=name,ofport,external_ids', 'list', 'Interface');
  type Row = [string, number | unknown[], [string, [string, string][]]];
  const interfaces: Shown['interfaces'] = [];
  const tunnels = new Map<number, number>();
  for (const [name, ofport, [, ids]] of (JSON.parse(json) as { data: Row[] }).data) {
    if (typeof ofport !== 'number' || ofport <= 0) continue;
    const { 'iface-id': ifaceId, 'keyway-peer': peer } = Object.fromEntries(ids);
    if (ifaceId !== undefined) interfaces.push({ ifaceId, name, ofport });
    if (peer !== undefined) tunnels.set(Number(peer), ofport);
  }
  return { systemId: names[index]!, encapIp: encapOf(index), interfaces, tunnels };
}

/** Empty: the switch has these flows and no other. */
async function differences(vswitch: DummySwitch, flows: readonly Parameters<typeof formatFlow>[0][]): Promise<string> {
  const file = join(vswitch.directory, 'wanted.txt');
  writeFileSync(file, flows.map((flow) => `${formatFlow(flow)}\n`).join(''));
  return (await vswitch.ofctl('diff-flows', file).catch((error: Error) => error.message)).trim();
}

test(
  `killed ${rounds} times under writes`,
  async (context) => {
    await openVswitchOrSkip(context);
    await using controller = new Controller();
    await controller.start();
    const switches: DummySwitch[] = [];
    try {
      for (const [index, systemId] of names.entries()) {
        switches.push(await startDummySwitch({ systemId, manager: controller.manager, encapIp: encapOf(index) }));
        await controller.admin('PUT', `/v1/hypervisors/${systemId}`, { admission: 'approved' });
      }
      const inSync = () => until('in sync', () => controller.inSync(names), 15_000, 10);
      await inSync();
      await controller.admin('POST', '/v1/apply', {
        resources: [
          { path: 'tenants/acme', spec: {} },
          { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
          { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
          { path: `${network}/groups/g`, spec: {} },
        ],
      });
      const callers = Array.from({ length: lanes }, (_, n) => new Lane(n));
      let flows = 0;
      let unanswered = 0;
      for (let round = 0; round < rounds; round++) {
        let over = false;
        const writing = callers.map((lane) => lane.run(controller, () => over));
        // VMs come and go meanwhile, also while there is no controller.
        const plugging = (async () => {
          for (let n = round; !over; n++) {
            const ifaceId = `l${n % lanes}s${n % 2}`;
            const vswitch = switches[(n >> 1) % 2]!;
            const vif = `v${ifaceId}`;
            if ((await vswitch.vsctl('list-ports', 'br-int')).split('\n').includes(vif))
              await vswitch.vsctl('del-port', 'br-int', vif);
            else await vswitch.addPort(vif, ifaceId);
          }
        })();
        await sleep(100 + Math.random() * 500);
        await controller.kill();
        over = true;
        await Promise.all([...writing, plugging]);
        await controller.start();
        await inSync();

        for (const lane of callers) {
          if (lane.open.length > 0) unanswered++;
          await judge(controller, lane);
        }
        const shown = new Map(await Promise.all(switches.map(async (s, i) => [i + 1, await facts(s, i)] as const)));
        const wanted = await recompiled(controller.store, shown);
        for (const [index, vswitch] of switches.entries()) {
          expect(await differences(vswitch, wanted.get(index + 1)!), `round ${round}, ${names[index]}`).toBe('');
          flows += wanted.get(index + 1)!.length;
        }
      }
      const refused = callers.reduce((sum, lane) => sum + lane.refused, 0);
      console.log(
        `killed ${rounds} times: ${unanswered} writes left without an answer, ${refused} refused, ${flows} flows compared`,
      );
      expect(unanswered).toBeGreaterThan(0);
      expect(flows).toBeGreaterThan(rounds * 50);
    } finally {
      for (const vswitch of switches) await vswitch[Symbol.asyncDispose]();
    }
  },
  long ? 600_000 : 60_000,
);
