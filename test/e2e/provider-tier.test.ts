/**
 * Tiers straight on a provider network, with real packets: ports of two tenants there, a router and a client outside. Rules,
 * port security and connection tracking are as ever; no tunnel carries anything of it.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildOutside, type Outside, outside, publicLink } from '../../src/sandbox/outside.ts';
import { type Lab, type LabHypervisor, type LabVm, openLabOrSkip, pingFrame } from '../support/lab.ts';
import { arpFrame } from './frames.ts';
import type { Resource } from './outside-cloud.ts';
import { whatIsOnItsWay } from './vlan-cloud.ts';

/** a and b are of acme, c of umbrella; a and c share a hypervisor. */
const ports = {
  a: { tenant: 'acme', on: 'hv1', ip: '203.0.113.20', mac: '02:00:00:00:00:20' },
  b: { tenant: 'acme', on: 'hv2', ip: '203.0.113.21', mac: '02:00:00:00:00:21' },
  c: { tenant: 'umbrella', on: 'hv1', ip: '203.0.113.22', mac: '02:00:00:00:00:22' },
} as const;
type Name = keyof typeof ports;

const tenants = ['acme', 'umbrella'] as const;
const networkOf = (tenant: string): string => `tenants/${tenant}/networks/shop`;

type Cloud = Outside & {
  lab: Lab;
  hypervisors: Record<'hv1' | 'hv2', LabHypervisor>;
  vms: Record<Name, LabVm>;
  apply(resources: Resource[]): Promise<void>;
};

async function openCloud(lab: Lab): Promise<Cloud> {
  const [around] = await Promise.all([buildOutside(lab), lab.startController()]);
  const [hv1, hv2] = await Promise.all(
    ['hv1', 'hv2'].map((name) => lab.addHypervisor(name, { physical: [publicLink] })),
  );
  await Promise.all([lab.join(hv1!), lab.join(hv2!)]);
  const apply: Cloud['apply'] = async (resources) => {
    await lab.admin('POST', '/v1/apply', { resources, wait: 'programmed', timeout: '20s' });
  };
  await apply([
    ...tenants.map((tenant): Resource => ({ path: `tenants/${tenant}`, spec: {} })),
    { path: 'provider-networks/internet', spec: { physicalNetwork: outside.physicalNetwork, tenants: [...tenants] } },
    ...tenants.flatMap((tenant): Resource[] => [
      { path: networkOf(tenant), spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
      {
        path: `${networkOf(tenant)}/tiers/dmz`,
        spec: { cidr: outside.flat.cidr, gateway: outside.flat.gateway, providerNetwork: 'internet' },
      },
    ]),
    ...Object.entries(ports).map(
      ([name, { tenant, ip, mac }]): Resource => ({
        path: `${networkOf(tenant)}/ports/${name}`,
        spec: { tier: 'dmz', mac, ips: [ip], ifaceId: name },
      }),
    ),
  ]);
  const vms = await Promise.all(
    Object.entries(ports).map(async ([name, { tenant, on, ip, mac }]): Promise<[string, LabVm]> => {
      const vm = await lab.addVm({
        name,
        hypervisor: on,
        mac,
        address: `${ip}/25`,
        gateway: outside.flat.gateway,
        ifaceId: name,
      });
      await vm.plug();
      await lab.portReady(`${networkOf(tenant)}/ports/${name}`);
      await vm.serve(9000, name);
      return [name, vm];
    }),
  );
  await around.client.serve(9000, '$SOCAT_PEERADDR');
  return {
    ...around,
    lab,
    hypervisors: { hv1: hv1!, hv2: hv2! },
    vms: Object.fromEntries(vms) as Record<Name, LabVm>,
    apply,
  };
}

let lab: Lab | undefined;
let cloud: Cloud | undefined;
let reason: string | undefined;

beforeAll(async () => {
  const skip = (why?: string): never => {
    reason = why ?? 'no lab';
    throw new Error(reason);
  };
  lab = await openLabOrSkip({ skip: skip as never }).catch((error: unknown) => {
    if (reason !== undefined) return undefined;
    throw error;
  });
  if (lab !== undefined) cloud = await openCloud(lab);
}, 120_000);
afterAll(() => lab?.[Symbol.asyncDispose]());

function run(name: string, body: (cloud: Cloud) => Promise<void>): void {
  test(name, { timeout: 60_000 }, async (context) => {
    if (cloud === undefined) return context.skip(reason ?? 'the cloud could not be had');
    await body(cloud);
  });
}

const short = { patience: 1_200 };
const silent = { failure: 'timeout' } as const;
const { client } = outside;

const rule = (tenant: string, name: string, from: object, to: object): Resource => ({
  path: `${networkOf(tenant)}/rules/${name}`,
  spec: { action: 'allow', priority: 100, from, to, protocol: 'tcp', ports: ['9000'] },
});

run('nothing passes until a rule says so, out or in', async ({ vms, client: outsider }) => {
  for (const name of ['a', 'c'] as const) {
    expect(await vms[name].tcp(client.address, 9000, short)).toEqual(silent);
    expect(await outsider.tcp(ports[name].ip, 9000, short)).toEqual(silent);
  }
  expect(await vms.a.tcp(ports.b.ip, 9000, short)).toEqual(silent);
});

run(
  'out and in by the rules, under its own address, and from nobody else',
  async ({ vms, client: outsider, apply }) => {
    await apply([rule('acme', 'out', { port: 'a' }, { any: true })]);
    expect(await vms.a.tcp(client.address, 9000)).toEqual({ answer: ports.a.ip });
    expect(await outsider.tcp(ports.a.ip, 9000, short)).toEqual(silent);
    await apply([rule('acme', 'in', { cidr: `${client.address}/32` }, { port: 'a' })]);
    expect(await outsider.tcp(ports.a.ip, 9000)).toEqual({ answer: 'a' });
    // The router is out there too, and no rule speaks of it.
    expect(await outsider.tcp(ports.b.ip, 9000, short)).toEqual(silent);
  },
);

run('ports of one tier meet on the provider network, and no tunnel carries it', async ({ vms, hypervisors, apply }) => {
  await apply([rule('acme', 'within', { tier: 'dmz' }, { tier: 'dmz' })]);
  const underlay = await hypervisors.hv1.capture();
  expect(await vms.a.tcp(ports.b.ip, 9000)).toEqual({ answer: 'b' });
  expect(await vms.b.tcp(ports.a.ip, 9000)).toEqual({ answer: 'a' });
  await whatIsOnItsWay();
  const seen = (await underlay.frames()).map(({ hex }) => hex);
  expect(seen.filter((hex) => hex.includes('cb007114') && hex.includes('cb007115'))).toEqual([]);
});

run(
  'ports of two tenants on one hypervisor meet there as strangers do: by the rules of both',
  async ({ vms, apply }) => {
    await apply([rule('acme', 'to-c', { port: 'a' }, { cidr: `${ports.c.ip}/32` })]);
    expect(await vms.a.tcp(ports.c.ip, 9000, short)).toEqual(silent);
    await apply([rule('umbrella', 'from-a', { cidr: `${ports.a.ip}/32` }, { port: 'c' })]);
    expect(await vms.a.tcp(ports.c.ip, 9000)).toEqual({ answer: 'c' });
    expect(await vms.c.tcp(ports.a.ip, 9000, short)).toEqual(silent);
  },
);

run('a port there speaks for itself alone', async ({ vms, router }) => {
  const capture = await router.capture();
  const forged = {
    ethSrc: ports.a.mac,
    ethDst: outside.routerMac,
    ipSrc: ports.b.ip,
    ipDst: outside.flat.gateway,
    identifier: 0x7002,
  };
  await vms.a.sendFrame(pingFrame(forged));
  await vms.a.sendFrame(pingFrame({ ...forged, ipSrc: ports.a.ip, ethSrc: ports.b.mac }));
  await vms.a.sendFrame(pingFrame({ ...forged, ipSrc: ports.a.ip, vlan: 200 }));
  await vms.a.sendFrame(
    arpFrame({ ethSrc: ports.a.mac, sha: ports.a.mac, spa: outside.flat.gateway, tpa: ports.b.ip, op: 2 }),
  );
  // What it may say: that it is there.
  await vms.a.sendFrame(arpFrame({ ethSrc: ports.a.mac, sha: ports.a.mac, spa: ports.a.ip, tpa: ports.a.ip }));
  await expect
    .poll(async () => (await capture.seen()).some(({ hex }) => hex.includes('cb007114000000000000cb007114')))
    .toBe(true);
  const seen = (await capture.frames()).map(({ hex }) => hex);
  expect(seen.filter((hex) => hex.slice(76, 80) === '7002')).toEqual([]);
  // Nobody claims the router's address to be elsewhere.
  expect(seen.filter((hex) => hex.includes('0806000108000604000202000000002'))).toEqual([]);
});

run(
  'ARP for a port is answered on its own hypervisor, once, and it gets no other',
  async ({ router, vms, lab: { admin } }) => {
    await router.exec('ip', ['neigh', 'flush', 'all']);
    const inVm = await vms.a.capture();
    const outSide = await router.capture();
    await router.ping(ports.a.ip, short);
    await whatIsOnItsWay();
    const answers = (await outSide.frames()).filter(
      ({ hex }) => hex.slice(24, 44) === '08060001080006040002' && hex.includes('cb007114'),
    );
    expect(answers.map(({ hex }) => hex.slice(12, 24))).toEqual([ports.a.mac.replaceAll(':', '')]);
    expect((await inVm.frames()).filter(({ hex }) => hex.slice(24, 28) === '0806')).toEqual([]);
    const { status } = (await admin('GET', `/v1/${networkOf('acme')}/ports/a`)) as { status: { state: string } };
    expect(status.state).toBe('programmed');
  },
);

run('all of it goes on with no controller', async ({ lab: { killController }, vms, client: outsider, hypervisors }) => {
  await killController();
  for (const hypervisor of Object.values(hypervisors)) await hypervisor.appctl('dpctl/flush-conntrack');
  expect(await outsider.tcp(ports.a.ip, 9000)).toEqual({ answer: 'a' });
  expect(await vms.a.tcp(ports.b.ip, 9000)).toEqual({ answer: 'b' });
  expect(await vms.a.tcp(ports.c.ip, 9000)).toEqual({ answer: 'c' });
});
