/** One network behind two gateways: a VM on a hypervisor that has no way out of its own, and one where there is one. */
import type { Lab, LabHypervisor } from '../../src/sandbox/lab.ts';
import { startGatewayHost } from '../../src/sandbox/lab-gateway-host.ts';
import type { LabHost } from '../../src/sandbox/lab-host.ts';
import type { LabVm } from '../../src/sandbox/lab-vm.ts';
import { buildOutside, outside, publicLink } from '../../src/sandbox/outside.ts';

export const network = 'tenants/acme/networks/shop';
/** Nobody listens there but iperf3. */
export const speedPort = 5201;

export type Resource = { path: string; spec?: unknown; delete?: true };

export type OutsideArena = {
  lab: Lab;
  router: LabHost;
  client: LabHost;
  gateways: readonly [LabHypervisor, LabHypervisor];
  /** `inner` is on hv1, which has no bridge to the public network; `edge` on hv2, which has one. */
  vms: Record<'inner' | 'edge', { vm: LabVm; ip: string; hypervisor: LabHypervisor }>;
  /** The address that the VMs are seen by, but where static NAT says otherwise. */
  sourceAddress: string;
  apply(resources: Resource[]): Promise<void>;
};

const places = [
  { name: 'inner', host: 11, hypervisor: 'hv1' },
  { name: 'edge', host: 12, hypervisor: 'hv2' },
] as const;

/** @param extra for startController */
export async function openOutsideArena(lab: Lab, extra: Record<string, unknown> = {}): Promise<OutsideArena> {
  const [{ router, client }] = await Promise.all([buildOutside(lab), lab.startController(extra)]);
  const [hv1, hv2, gw1, gw2] = await Promise.all([
    lab.addHypervisor('hv1'),
    ...['hv2', 'gw1', 'gw2'].map((name) => lab.addHypervisor(name, { physical: [publicLink] })),
  ]);
  const hypervisors = { hv1, hv2: hv2! };
  const gateways = [gw1!, gw2!] as const;
  await Promise.all([
    ...Object.values(hypervisors).map((h) => lab.join(h)),
    ...gateways.map(async (gateway) => {
      await lab.join(gateway, { gateway: true });
      await startGatewayHost(lab, gateway);
    }),
  ]);
  const apply: OutsideArena['apply'] = async (resources) => {
    await lab.admin('POST', '/v1/apply', { resources, wait: 'programmed', timeout: '30s' });
  };
  const { physicalNetwork, flat } = outside;
  const sourceAddress = '203.0.113.5';
  const allow = { action: 'allow', priority: 100, protocol: 'any' };
  await apply([
    { path: 'provider-networks/internet', spec: { physicalNetwork } },
    { path: 'ip-pools/public', spec: { providerNetwork: 'internet', cidr: flat.cidr, gateway: flat.gateway } },
    { path: 'tenants/acme', spec: {} },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
    { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
    { path: `${network}/rules/out`, spec: { ...allow, from: { tier: 'web' }, to: { any: true } } },
    { path: `${network}/rules/in`, spec: { ...allow, from: { any: true }, to: { tier: 'web' } } },
    { path: `${network}/public-ips/out`, spec: { pool: 'public', address: sourceAddress } },
    { path: `${network}/nat-rules/out`, spec: { type: 'source', publicIp: 'out' } },
    ...places.map(({ name, host }) => ({
      path: `${network}/ports/${name}`,
      spec: { tier: 'web', mac: `02:00:00:00:01:${host}`, ips: [`10.0.1.${host}`], ifaceId: name },
    })),
  ]);
  const vms = await Promise.all(
    places.map(async ({ name, host, hypervisor }) => {
      const ip = `10.0.1.${host}`;
      const vm = await lab.addVm({
        name,
        hypervisor,
        mac: `02:00:00:00:01:${host}`,
        address: `${ip}/24`,
        gateway: '10.0.1.1',
        ifaceId: name,
      });
      await vm.plug();
      await lab.portReady(`${network}/ports/${name}`);
      return { vm, ip, hypervisor: hypervisors[hypervisor] };
    }),
  );
  const [inner, edge] = vms;
  const arena: OutsideArena = {
    lab,
    router,
    client,
    gateways,
    vms: { inner: inner!, edge: edge! },
    sourceAddress,
    apply,
  };
  for (const { vm } of vms)
    if (!(await vm.ping(outside.client.address, { patience: 15_000 }))) throw new Error(`${vm.name} has no way out`);
  return arena;
}

/** The gateway that tracks connections of the address, which pings have just made, and the other one. */
export async function gatewayInCharge(arena: OutsideArena): Promise<{ first: LabHypervisor; second: LabHypervisor }> {
  const { gateways, vms, sourceAddress } = arena;
  for (const gateway of gateways) await gateway.appctl('dpctl/flush-conntrack');
  if (!(await vms.inner.vm.ping(outside.client.address))) throw new Error('there is no way out');
  const texts = await Promise.all(gateways.map((gateway) => gateway.appctl('dpctl/dump-conntrack')));
  const [one, other] = texts.map((text) => text.includes(`=${sourceAddress},`));
  if (one === other)
    throw new Error(`connections of ${sourceAddress} are at ${one === true ? 'both gateways' : 'none'}`);
  return one === true ? { first: gateways[0], second: gateways[1] } : { first: gateways[1], second: gateways[0] };
}
