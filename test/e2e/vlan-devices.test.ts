/** Devices behind VLANs, with real packets: each sees its own tenant on its own VLAN, what the rules allow, and nothing else. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pingThrough } from '../../src/sandbox/pings.ts';
import { pingFrame } from '../support/lab.ts';
import { arpFrame } from './frames.ts';
import {
  allow,
  device,
  networkOf,
  openVlanCloud,
  places,
  tenants,
  type VlanCloud,
  whatIsOnItsWay,
} from './vlan-cloud.ts';

let cloud: VlanCloud | undefined;
let reason: string | undefined;

beforeAll(async () => {
  const skip = (why?: string): never => {
    reason = why ?? 'no lab';
    throw new Error(reason);
  };
  cloud = await openVlanCloud({ skip: skip as never }).catch((error: unknown) => {
    if (reason !== undefined) return undefined;
    throw error;
  });
}, 120_000);
afterAll(() => cloud?.[Symbol.asyncDispose]());

function run(name: string, body: (cloud: VlanCloud) => Promise<void>): void {
  test(name, { timeout: 60_000 }, async (context) => {
    if (cloud === undefined) return context.skip(reason ?? 'the cloud could not be had');
    await body(cloud);
  });
}

const short = { patience: 1_200 };
const silent = { failure: 'timeout' } as const;

const isArpAnswer = (hex: string): boolean => hex.slice(32, 36) === '0806' && hex.slice(48, 52) === '0002';

run('a device has a VLAN of its tenant, and nothing passes until somebody asks for it, either way', async (all) => {
  const { vms, devices, vlans } = all;
  expect(vlans.acme).not.toBe(vlans.umbrella);
  for (const tenant of tenants) {
    await devices[tenant].serve(9000, `${tenant}-device`);
    await vms[tenant].near.serve(9000, `${tenant}-near`);
    await vms[tenant].far.serve(9000, `${tenant}-far`);
    await vms[tenant].beside.serve(9000, `${tenant}-beside`);
  }
  const outcomes = await Promise.all(
    tenants.flatMap((tenant) => [
      ...Object.values(vms[tenant]).map((vm) => vm.tcp(device.ip, 9000, short)),
      ...Object.values(places).map(({ ip }) => devices[tenant].tcp(ip, 9000, short)),
    ]),
  );
  for (const outcome of outcomes) expect(outcome).toEqual(silent);
});

run(
  'what rules allow passes, within the tier, routed, and from a gateway host, to the device and from it',
  async ({ apply, vms, devices }) => {
    await apply(tenants.flatMap((tenant) => allow(tenant, 'to', { any: true }, { port: 'storage' })));
    for (const tenant of tenants)
      for (const vm of Object.values(vms[tenant]))
        expect(await vm.tcp(device.ip, 9000)).toEqual({ answer: `${tenant}-device` });
    // One way only.
    expect(await devices.acme.tcp(places.near.ip, 9000, short)).toEqual(silent);
    await apply(tenants.flatMap((tenant) => allow(tenant, 'from', { port: 'storage' }, { any: true })));
    for (const tenant of tenants)
      for (const [name, { ip }] of Object.entries(places))
        expect(await devices[tenant].tcp(ip, 9000)).toEqual({ answer: `${tenant}-${name}` });
  },
);

run('each tenant is on its own VLAN only, though both have the same MACs and addresses', async (all) => {
  const { vms, devices, vlans, onTrunk } = all;
  const frames = await onTrunk(async () => {
    for (const tenant of tenants) {
      expect(await vms[tenant].near.tcp(device.ip, 9000)).toEqual({ answer: `${tenant}-device` });
      expect(await devices[tenant].tcp(places.far.ip, 9000)).toEqual({ answer: `${tenant}-far` });
    }
  });
  for (const tenant of tenants) {
    const [own, foreign] = [
      frames.filter((f) => f.vlan === vlans[tenant]),
      frames.filter((f) => f.vlan !== vlans[tenant]),
    ];
    const names = ['device', 'far'].map((name) => Buffer.from(`${tenant}-${name}`).toString('hex'));
    for (const name of names) {
      expect(own.some(({ hex }) => hex.includes(name))).toBe(true);
      expect(foreign.some(({ hex }) => hex.includes(name))).toBe(false);
    }
  }
  expect(new Set(frames.map(({ vlan }) => vlan))).toEqual(new Set([vlans.acme, vlans.umbrella]));
});

run('a device speaks for itself alone', async ({ devices, vms }) => {
  const { near } = places;
  const capture = await vms.acme.near.capture();
  const forged = { ethSrc: device.mac, ethDst: near.mac, ipSrc: '10.0.2.99', ipDst: near.ip, identifier: 0x7001 };
  await devices.acme.sendFrame(pingFrame(forged));
  await devices.acme.sendFrame(pingFrame({ ...forged, ipSrc: device.ip, ethSrc: '02:00:00:00:02:99' }));
  await devices.acme.sendFrame(pingFrame({ ...forged, ipSrc: device.ip, vlan: 7 }));
  await devices.acme.sendFrame(
    arpFrame({ ethSrc: device.mac, sha: device.mac, spa: '10.0.2.12', tpa: near.ip, ethDst: near.mac, op: 2 }),
  );
  expect(await devices.acme.ping(near.ip)).toBe(true);
  await whatIsOnItsWay();
  const seen = (await capture.frames()).map(({ hex }) => hex);
  // By the identifier of the echo; an ARP answer that says the device has a neighbour's address.
  const said = `${device.mac.replaceAll(':', '')}0a00020c`;
  const isForged = (hex: string) =>
    hex.slice(76, 80) === '7001' || hex.slice(24, 28) + hex.slice(40, 64) === `08060002${said}`;
  expect(seen.filter(isForged)).toEqual([]);
});

run(
  'the second gateway is silent on the trunk while the first is alive',
  async ({ roles, devices, vms, fromGateway }) => {
    for (const tenant of tenants) {
      const { first, second } = await roles(tenant);
      const talk = async (): Promise<void> => {
        await devices[tenant].exec('ip', ['neigh', 'flush', 'all']);
        expect(await devices[tenant].ping(places.near.ip)).toBe(true);
        expect(await vms[tenant].beside.ping(device.ip)).toBe(true);
      };
      const spoken = await fromGateway(first, () =>
        fromGateway(second, talk).then((frames) => expect(frames).toEqual([])),
      );
      expect(spoken.filter(({ hex }) => isArpAnswer(hex)).length).toBeGreaterThan(0);
    }
  },
);

run('with no controller the second gateway takes over by itself, and gives back', async (all) => {
  const { lab, roles, vms, devices, fromGateway } = all;
  const { first, second } = await roles('acme');
  await lab.killController();
  const loss = await pingThrough(vms.acme.near, device.ip, () => first.kill('ovs-vswitchd'));
  console.log(`lost: ${JSON.stringify(loss)}`);
  expect(loss.lost * loss.interval).toBeLessThanOrEqual(2_000);
  const spoken = await fromGateway(second, async () => {
    for (const tenant of tenants) {
      await devices[tenant].exec('ip', ['neigh', 'flush', 'all']);
      for (const name of ['near', 'far'] as const) {
        expect(await vms[tenant][name].tcp(device.ip, 9000)).toEqual({ answer: `${tenant}-device` });
        expect(await devices[tenant].tcp(places[name].ip, 9000)).toEqual({ answer: `${tenant}-${name}` });
      }
    }
  });
  expect(spoken.length).toBeGreaterThan(0);
  if (second.name === places.beside.on)
    expect(await vms.acme.beside.tcp(device.ip, 9000)).toEqual({ answer: 'acme-device' });
  // The rules are in force there as well.
  expect(await devices.acme.tcp(places.near.ip, 9001, short)).toEqual(silent);
  await lab.startController();
  await first.start('ovs-vswitchd');
  await lab.portReady(`${networkOf('acme')}/ports/storage`);
  await expect
    .poll(() => fromGateway(second, () => vms.acme.near.ping(device.ip)).then((frames) => frames.length), {
      timeout: 15_000,
    })
    .toBe(0);
  expect(await vms.acme.near.tcp(device.ip, 9000)).toEqual({ answer: 'acme-device' });
});
