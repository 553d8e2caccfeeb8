/** Two tenants with the same addresses on two hypervisors, with two gateways and a provider network: real switches, dummy datapaths. */
import { inWords, purposeOfFlow } from '../../src/engine/purpose.ts';
import type { Surroundings } from '../../src/trace/surroundings.ts';
import { joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import type { DummySwitch } from '../support/open-vswitch.ts';

type Order = { path: string; spec: Record<string, unknown> };

export const shop = 'tenants/acme/networks/shop';
export const other = 'tenants/umbrella/networks/shop';
export const hosts = ['hv1', 'hv2', 'gw1', 'gw2'] as const;
export type Host = (typeof hosts)[number];
/** hv2 has no way to the provider network of its own. */
const cabled: readonly Host[] = ['hv1', 'gw1', 'gw2'];

/** hv1: web1 of acme, which has an address of its own, and web2; hv2: db1, and all of umbrella's. */
const ports = {
  acme: { web1: ['web', '10.0.1.11', 'hv1'], web2: ['web', '10.0.1.12', 'hv1'], db1: ['db', '10.0.2.11', 'hv2'] },
  umbrella: { web1: ['web', '10.0.1.11', 'hv2'], web2: ['web', '10.0.1.12', 'hv2'], db1: ['db', '10.0.2.11', 'hv2'] },
} as const;

type Tenant = keyof typeof ports;
const tenants = Object.keys(ports) as Tenant[];

export const boundPorts = tenants.flatMap((tenant) =>
  Object.entries(ports[tenant]).map(([name, [tier, ip, host]], slot) => ({
    path: `tenants/${tenant}/networks/shop/ports/${name}`,
    tier,
    ip,
    host: host as Host,
    mac: `02:00:00:00:00:1${slot}`,
    ifaceId: `${tenant}-${name}`,
  })),
);

export const addresses = {
  acme: { front: '203.0.113.10', own: '203.0.113.11', idle: '203.0.113.12' },
  umbrella: { front: '203.0.113.20' },
} as const;

const rule = (path: string, name: string, spec: object): Order => ({
  path: `${path}/rules/${name}`,
  spec: { action: 'allow', priority: 100, protocol: 'tcp', ...spec },
});
const nat = (path: string, name: string, spec: object): Order => ({
  path: `${path}/nat-rules/${name}`,
  spec: { ...spec },
});

function tenantOrders(tenant: Tenant): Order[] {
  const network = `tenants/${tenant}/networks/shop`;
  return [
    { path: `tenants/${tenant}`, spec: {} },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
    { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
    { path: `${network}/tiers/db`, spec: { cidr: '10.0.2.0/24' } },
    rule(network, 'out', { priority: 900, from: { tier: 'web' }, to: { any: true }, protocol: 'any' }),
    rule(network, 'db-out', { priority: 900, from: { tier: 'db' }, to: { any: true }, protocol: 'any' }),
    rule(network, 'https', { from: { any: true }, to: { port: 'web2' }, ports: ['8443'] }),
    rule(network, 'ssh', { from: { cidr: '198.51.100.0/24' }, to: { port: 'web1' }, ports: ['22'] }),
    ...Object.entries(addresses[tenant]).map(([name, address]) => ({
      path: `${network}/public-ips/${name}`,
      spec: { pool: 'public', address },
    })),
    nat(network, 'out', { type: 'source', publicIp: 'front', tiers: ['web'] }),
    nat(network, 'https', {
      type: 'port-forward',
      publicIp: 'front',
      port: 'web2',
      protocol: 'tcp',
      publicPorts: '443',
      privatePorts: '8443',
    }),
    // Published, and no rule lets anybody in.
    nat(network, 'mail', { type: 'port-forward', publicIp: 'front', port: 'db1', protocol: 'tcp', publicPorts: '25' }),
  ];
}

export const orders: Order[] = [
  { path: 'provider-networks/internet', spec: { physicalNetwork: 'physnet' } },
  { path: 'provider-networks/campus', spec: { physicalNetwork: 'physnet', vlan: 300, tenants: ['acme'] } },
  {
    path: 'ip-pools/public',
    spec: {
      providerNetwork: 'internet',
      cidr: '203.0.113.0/24',
      gateway: '203.0.113.1',
      gatewayMac: '02:00:00:00:ff:01',
    },
  },
  ...tenants.flatMap(tenantOrders),
  { path: `${shop}/tiers/campus`, spec: { cidr: '172.20.0.0/24', gateway: '172.20.0.1', providerNetwork: 'campus' } },
  {
    path: `${shop}/ports/printer`,
    spec: { tier: 'campus', mac: '02:00:00:00:00:77', ips: ['172.20.0.9'], ifaceId: 'acme-printer' },
  },
  { path: 'trunks/racks', spec: { physicalNetwork: 'physnet', vlans: ['100-109'] } },
  { path: `${shop}/vlan-attachments/rack`, spec: { trunk: 'racks', tier: 'db' } },
  {
    path: `${shop}/ports/appliance`,
    spec: { tier: 'db', attachment: 'rack', mac: '02:00:00:00:00:66', ips: ['10.0.2.66'] },
  },
  nat(shop, 'own', { type: 'static', publicIp: 'own', port: 'web1' }),
  ...boundPorts.map(({ path, tier, ip, mac, ifaceId }) => ({ path, spec: { tier, mac, ips: [ip], ifaceId } })),
];

export type OutsideTraceCloud = AsyncDisposable & {
  core: TestCore;
  switches: Record<Host, DummySwitch>;
  around: Surroundings;
  /** Gateways of acme's network, the first is in charge. */
  gateways: [Host, Host];
  /** What every switch thinks of its tunnels to the host, and says so. */
  setAlive(host: Host, alive: boolean): Promise<void>;
};

async function prepare(dummy: DummySwitch): Promise<void> {
  await dummy.vsctl(
    ...['add-br', 'br-ex', '--', 'set', 'Bridge', 'br-ex', 'datapath_type=dummy'],
    ...['--', 'set', 'Open_vSwitch', '.', 'external_ids:keyway-bridge-mappings=physnet:br-ex'],
  );
}

export async function openOutsideTraceCloud(): Promise<OutsideTraceCloud> {
  await using stack = new AsyncDisposableStack();
  const core = stack.use(await startTestCore());
  const switches = {} as Record<Host, DummySwitch>;
  for (const [i, name] of hosts.entries()) {
    const options = { gateway: name.startsWith('gw'), ...(cabled.includes(name) ? { prepare } : {}) };
    switches[name] = stack.use(await joinSwitch(core, name, `192.0.2.${i + 1}`, options));
  }
  await core.intent.transact(
    orders.map(({ path, spec }) => ({ op: 'put' as const, path, spec })),
    { restrictedAllowed: true, many: true },
  );
  for (const [i, { host, ifaceId }] of boundPorts.entries()) await switches[host].addPort(`v${i}`, ifaceId);
  await switches.hv1.addPort('vp', 'acme-printer');
  const { engine } = core;
  // The device behind a VLAN, and the port straight on a provider network, too.
  await until(() => engine.bindings.placement.size === boundPorts.length + 2);
  await settled(core);
  const around: Surroundings = {
    view: core.intent,
    fleet: engine.fleet,
    placement: engine.bindings.placement,
    plugin: core.plugin,
    nextHopMac: (pool) => engine.state.nextHopMac(pool),
    purposeOf: (flow) => purposeOfFlow(core.intent, flow),
    inWords,
  };
  const setAlive = async (host: Host, alive: boolean): Promise<void> => {
    const remote = `192.0.2.${hosts.indexOf(host) + 1}`;
    for (const name of hosts) {
      const s = switches[name];
      const found = await s.vsctl('--bare', '--columns=name', 'find', 'Interface', `options:remote_ip="${remote}"`);
      for (const one of found.split('\n')) if (one !== '') await s.appctl('bfd/set-forwarding', one, String(alive));
      const [here, peer] = [engine.fleet.byPath(`hypervisors/${name}`)!, engine.fleet.byPath(`hypervisors/${host}`)!];
      if (found.trim() === '') continue;
      // The database follows the switch.
      await until(async () => {
        const { tunnels } = await core.plugin.health(here.number);
        return tunnels.find((t) => t.peer === peer.number)?.bfd?.forwarding === alive;
      });
    }
  };
  for (const host of hosts) await setAlive(host, true);
  const gateways = engine.bindings.placement.gatewaysOf(shop).map((h) => engine.fleet.name(h)) as [Host, Host];
  const owned = stack.move();
  return { core, switches, around, gateways, setAlive, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error('the cloud is not as it should be');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
