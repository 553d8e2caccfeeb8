import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { datapathType } from './hypervisor.ts';
import type { NetworkNamespace } from './namespace.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';
import { type SwitchInstance, startSwitch } from './open-vswitch/instance.ts';

/**
 * The switches between hypervisors and the rest of the world: a bridge each that learns MACs and knows VLANs, as any
 * switch one may buy. They are one Open vSwitch in a namespace of its own: this kernel need not have 802.1Q.
 */
export type Fabric = {
  namespace: NetworkNamespace;
  vswitch: SwitchInstance;
  /** A new switch. `trunkTo`: joined to that one by a wire that carries every VLAN. */
  addSegment(name: string, trunkTo?: string): Promise<void>;
  /**
   * A wire from the switch to a new interface elsewhere. `vlan`: the port is an access port of it, 0 of what is untagged;
   * left out, a trunk of everything.
   */
  connect(
    segment: string,
    end: { namespace: NetworkNamespace; device: string; mac?: string; vlan?: number },
  ): Promise<void>;
};

export async function startFabric(options: {
  namespace: NetworkNamespace;
  openVswitch: OpenVswitch;
  directory: string;
}): Promise<Fabric> {
  const { namespace, openVswitch } = options;
  const directory = join(options.directory, namespace.name);
  mkdirSync(directory);
  const datapath = datapathType();
  const vswitch = await startSwitch({
    openVswitch,
    directory,
    prefix: namespace.prefix,
    vswitchdArgs: ['--disable-system', ...(datapath === 'dummy' ? ['--enable-dummy'] : [])],
  });
  let wires = 0;
  const plug = async (segment: string, device: string, vlan: number | undefined): Promise<void> => {
    await vswitch.vsctl('add-port', segment, device, ...(vlan === undefined ? [] : [`tag=${vlan}`]));
  };
  return {
    namespace,
    vswitch,
    async addSegment(name, trunkTo) {
      await vswitch.vsctl(
        ...['add-br', name, '--', 'set', 'Bridge', name, `datapath_type=${datapath}`, 'fail_mode=standalone'],
      );
      if (trunkTo === undefined) return;
      wires += 1;
      const [near, far] = [`w${wires}`, `x${wires}`];
      await namespace.ip(
        `link add ${near} type veth peer name ${far}`,
        `link set ${near} arp off up`,
        `link set ${far} arp off up`,
      );
      await plug(trunkTo, near, undefined);
      await plug(name, far, undefined);
    },
    async connect(segment, { namespace: other, device, mac, vlan }) {
      wires += 1;
      const near = `w${wires}`;
      await namespace.ip(
        `link add ${near} type veth peer name ${device}${mac === undefined ? '' : ` address ${mac}`} netns ${other.path}`,
        `link set ${near} arp off up`,
      );
      await plug(segment, near, vlan);
    },
  };
}
