/** The controller is killed at each step between a commit of intent and the switch's last word. */
import { expect, test } from 'vitest';
import { encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { contents, type FakeSwitch, OFPT, type Received } from '../southbound/fake-switch.ts';
import { Controller } from './controller.ts';
import { FakeHypervisor } from './fake-hypervisor.ts';
import { recompiled } from './recompiled.ts';

const network = 'tenants/acme/networks/shop';

const isControl = ({ type, body }: Received, control: number): boolean =>
  type === OFPT.bundleControl && body.readUInt16BE(4) === control;

type Step = {
  /** When to kill, by what the switch receives; when left out, as soon as the write is acknowledged. */
  at?(received: Received, messages: { adds: number; committed: boolean }): boolean;
  /** Of the rule; tcp when left out. */
  protocol?: string;
  /** The switch does what it was told before the controller dies. */
  done?: boolean;
  /** Flows that remain to be written afterwards; undefined: all or none of them, as it happened. */
  left: 'all' | 'none' | undefined;
};

const steps: Record<string, Step> = {
  'the write is acknowledged': { left: undefined },
  'the bundle is opened': { at: (received) => isControl(received, 0), left: 'all' },
  'half of it has come': { at: (_, { adds }) => adds === 10, left: 'all' },
  // Of flows the switch has not taken the like of: they are asked for before the commit.
  'all of it has come': {
    at: ({ type }, { adds }) => type === OFPT.barrierRequest && adds > 0,
    protocol: 'udp',
    left: 'all',
  },
  'the commit has come, and is not carried out': { at: (received) => isControl(received, 4), left: 'all' },
  'the commit has come, and is carried out': { at: (received) => isControl(received, 4), done: true, left: 'none' },
  'the last barrier has come': {
    at: ({ type }, { committed }) => type === OFPT.barrierRequest && committed,
    done: true,
    left: 'none',
  },
};

test('killed at every step: what was acknowledged is there, the switch gets what it lacks and no more', async () => {
  await using controller = await starting();
  let step: Step | undefined;
  let killed: Promise<void> | undefined;
  const messages = { adds: 0, committed: false };
  const intercept = (received: Received, fake: FakeSwitch): boolean => {
    if (killed !== undefined) return true;
    if (received.type === OFPT.bundleAdd) messages.adds++;
    const now = step?.at?.(received, messages) ?? false;
    messages.committed ||= isControl(received, 4);
    if (!now) return false;
    if (step?.done === true) fake.handle(received);
    killed = controller.kill();
    return true;
  };
  const vifs = [{ ifaceId: 'if-1', name: 'vif1', ofport: 1 }];
  const host = new FakeHypervisor({ systemId: 'hv1', encapIp: '192.0.2.1', vifs, intercept });
  const inSync = () => until('in sync', () => controller.inSync(['hv1']), 10_000, 10);
  const shown = new Map([[1, { systemId: 'hv1', encapIp: '192.0.2.1', interfaces: vifs, tunnels: new Map() }]]);
  const wanted = async (): Promise<string[]> =>
    contents(encodeFlows((await recompiled(controller.store, shown)).get(1)!));

  await controller.admin('PUT', '/v1/hypervisors/hv1', { admission: 'approved' });
  await controller.admin('POST', '/v1/apply', {
    resources: [
      { path: 'tenants/acme', spec: {} },
      { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
      { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
      { path: `${network}/ports/p1`, spec: { tier: 'web', ifaceId: 'if-1' } },
    ],
  });
  try {
    let fake = await host.connect(controller.tcpManager);
    await inSync();
    const acknowledged = new Set<string>();
    for (const [index, [name, next]] of Object.entries(steps).entries()) {
      // Twenty ports make twenty flows, in one bundle.
      const ports = Array.from({ length: 20 }, (_, n) => String(1_000 * (index + 1) + 7 * n));
      const rule = `${network}/rules/r${index}`;
      const { protocol = 'tcp' } = next;
      const spec = { action: 'allow', priority: 7, from: { any: true }, to: { tier: 'web' }, protocol, ports };
      Object.assign(messages, { adds: 0, committed: false });
      step = next;
      killed = undefined;
      const answer = await controller.api('PUT', `/v1/${rule}`, spec).catch((error: Error) => error);
      // The bundle may overtake the answer.
      if (!(answer instanceof Error)) {
        expect(answer.status).toBe(201);
        acknowledged.add(rule);
      }
      if (next.at === undefined) killed = controller.kill();
      await until(`killed when ${name}`, () => killed !== undefined);
      await killed;
      await host.databaseClosed;
      host.drop();

      step = undefined;
      killed = undefined;
      const before = new Set(fake.contents());
      const sent = fake.flowMods;
      await controller.start();
      fake = await host.connect(controller.tcpManager);
      await inSync();
      for (const path of acknowledged) expect((await controller.api('GET', `/v1/${path}`)).status).toBe(200);
      const now = fake.contents();
      expect(now, name).toEqual(await wanted());
      // Exactly the difference, and that is all of the rule's flows or nothing.
      const lacked = now.filter((flow) => !before.has(flow)).length;
      expect(fake.flowMods - sent, name).toBe(lacked);
      if (next.left === 'none') expect(lacked, name).toBe(0);
      else if (next.left === 'all') expect(lacked, name).toBeGreaterThanOrEqual(20);
    }
    expect(acknowledged.size).toBeGreaterThan(0);
  } finally {
    host.drop();
  }
}, 120_000);

async function starting(): Promise<Controller> {
  const controller = new Controller();
  await controller.start();
  return controller;
}
