import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { NetworkNamespace } from './namespace.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';
import { type DaemonName, type SwitchInstance, startSwitch } from './open-vswitch/instance.ts';
import { type UnderlayAddresses, underlay } from './underlay.ts';

/** A host as a cloud would run it: stock Open vSwitch, and one ovs-vsctl command that names the controller. */
export type Hypervisor = {
  name: string;
  namespace: NetworkNamespace;
  addresses: UnderlayAddresses;
  /** Its interfaces to the rest of the world. */
  wires: readonly string[];
  vswitch: SwitchInstance;
  /** Starts a killed daemon; with ovs-vswitchd the underlay bridge gets its address back, as host networking would do. */
  start(daemon: DaemonName): Promise<void>;
  /**
   * Tells it the MAC behind another's encap address. A packet that finds it unknown is lost, and as long as more follow,
   * so are they: the userspace datapath asks by ARP once and keeps the drop while it is used.
   */
  meet(others: Iterable<Hypervisor>): Promise<void>;
};

export type HypervisorOptions = {
  name: string;
  namespace: NetworkNamespace;
  addresses: UnderlayAddresses;
  openVswitch: OpenVswitch;
  /** Its files go to a directory of its name in here. */
  directory: string;
  /** external_ids:system-id. */
  systemId: string;
  /** Bridges to physical networks; their interfaces are there. */
  physical?: readonly { physicalNetwork: string; bridge: string; device: string }[];
};

const underlayBridge = 'br-phy';

/**
 * `netdev` needs /dev/net/tun for the bridges' own devices. Where this user may not open it (udev lets everybody, but
 * containers and bare systems may have none), the `dummy` flavour of the same userspace datapath does without: VIFs,
 * tunnels and conntrack are the same code, only the bridges' own devices are not seen by the kernel, and it finds no
 * route to a tunnel that names its local address.
 */
export function datapathType(): 'netdev' | 'dummy' {
  try {
    closeSync(openSync('/dev/net/tun', 'r+'));
    return 'netdev';
  } catch {
    // Any reason is one not to rely on it.
    return 'dummy';
  }
}

/** As an admin sets them up: each has its uplink, learns MACs, and is named in the mappings. */
function physicalBridges(physical: NonNullable<HypervisorOptions['physical']>, datapath: string): string[] {
  if (physical.length === 0) return [];
  const mappings = physical.map(({ physicalNetwork, bridge }) => `${physicalNetwork}:${bridge}`).join(',');
  return [
    ...physical.flatMap(({ bridge, device }) => [
      ...['--', 'add-br', bridge, '--', 'set', 'Bridge', bridge, `datapath_type=${datapath}`, 'fail_mode=standalone'],
      ...['--', 'add-port', bridge, device],
    ]),
    ...['--', 'set', 'Open_vSwitch', '.', `external_ids:keyway-bridge-mappings="${mappings}"`],
  ];
}

export async function startHypervisor(options: HypervisorOptions): Promise<Hypervisor> {
  const { name, namespace, addresses, openVswitch, systemId, physical = [] } = options;
  const directory = join(options.directory, name);
  mkdirSync(directory);
  const datapath = datapathType();
  const vswitch = await startSwitch({
    openVswitch,
    directory,
    prefix: namespace.prefix,
    // The userspace datapath only: neither the kernel's module nor anything of the machine's own switch is touched.
    vswitchdArgs: ['--disable-system', ...(datapath === 'dummy' ? ['--enable-dummy'] : [])],
    configure: [
      ...['set', 'Open_vSwitch', '.', `external_ids:system-id=${systemId}`, `external_ids:hostname=${name}`],
      // As ovs-ctl does where Open vSwitch is installed.
      `ovs_version=${openVswitch.version}`,
      ...[`external_ids:keyway-encap-ip=${addresses.encap}`, `external_ids:keyway-datapath-type=${datapath}`],
      ...['--', 'add-br', underlayBridge, '--', 'set', 'Bridge', underlayBridge, `datapath_type=${datapath}`],
      `other_config:hwaddr=${addresses.encapMac}`,
      ...['--', 'add-port', underlayBridge, 'uplink'],
      ...physicalBridges(physical, datapath),
    ],
  });
  const configureDevice = async (): Promise<void> => {
    await namespace.ip(
      `link set ${underlayBridge} mtu ${underlay.tunnels.mtu}`,
      `addr replace ${addresses.encap}/24 dev ${underlayBridge}`,
      `link set ${underlayBridge} up`,
    );
  };
  const configureDummy = async (): Promise<void> => {
    await vswitch.appctl('netdev-dummy/ip4addr', underlayBridge, `${addresses.encap}/24`);
    await vswitch.appctl('ovs/route/add', underlay.tunnels.prefix, underlayBridge);
  };
  const configureUnderlay = datapath === 'netdev' ? configureDevice : configureDummy;
  await configureUnderlay();
  return {
    name,
    namespace,
    addresses,
    wires: ['mgmt0', 'uplink', ...physical.map(({ device }) => device)],
    vswitch,
    async start(daemon) {
      await vswitch.start(daemon);
      if (daemon === 'ovs-vswitchd') await configureUnderlay();
    },
    async meet(others) {
      if (!vswitch.running('ovs-vswitchd')) return;
      for (const other of others) {
        if (other.name === name) continue;
        await vswitch.appctl('tnl/neigh/set', underlayBridge, other.addresses.encap, other.addresses.encapMac);
      }
    },
  };
}
