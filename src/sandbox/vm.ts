import { startDaemon } from './ephemeral.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { NetworkNamespace } from './namespace.ts';

export type VmOptions = {
  name: string;
  namespace: NetworkNamespace;
  hypervisor: Hypervisor;
  /** Name of the interface on the hypervisor; 15 characters at most, unique over all hypervisors. */
  vif: string;
  mac: string;
  /** With its length: 10.0.1.11/24. Left out: it has none until a DHCP client in it asks. */
  address?: string | undefined;
  gateway?: string | undefined;
  /** With its length, and its gateway. */
  ipv6?: { address: string; gateway: string } | undefined;
  /** It passes on what is for others, as a router or an inspecting appliance does. */
  forwards?: boolean | undefined;
  ifaceId: string;
};

/** A virtual machine as the network sees it: a namespace with one NIC, `eth0`. */
export type Vm = {
  readonly name: string;
  readonly namespace: NetworkNamespace;
  readonly vif: string;
  hypervisor: Hypervisor;
  options: VmOptions;
};

/** What is left of 1500 bytes under the largest encapsulation (Geneve with options), rounded down. */
const mtu = 1400;

/** Namespaces are made without. */
const enableIpv6 = 'for f in all default eth0; do echo 0 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done';

/** Without asking whether a packet's sender is where it came from, and without telling senders of shorter ways. */
const forwarding = `echo 1 > /proc/sys/net/ipv4/ip_forward
cd /proc/sys/net/ipv4/conf
for f in all eth*; do echo 0 > $f/rp_filter; echo 0 > $f/send_redirects; done`;

export async function allowForwarding(namespace: NetworkNamespace): Promise<void> {
  await namespace.run('sh', ['-ec', forwarding]);
}

export async function createVm(options: VmOptions): Promise<Vm> {
  const { namespace, hypervisor, vif, mac, address, gateway, ipv6, forwards } = options;
  await hypervisor.namespace.ip(
    `link add ${vif} type veth peer name eth0 address ${mac} mtu ${mtu} netns ${namespace.path}`,
    // As hypervisors do: their end tells what the VM may send.
    `link set ${vif} mtu ${mtu} arp off up`,
  );
  await namespace.ip(
    ...(address === undefined ? [] : [`addr add ${address} dev eth0`]),
    'link set eth0 up',
    ...(gateway === undefined ? [] : [`route add default via ${gateway} dev eth0`]),
  );
  if (ipv6 !== undefined) {
    await namespace.run('sh', ['-ec', enableIpv6]);
    await namespace.run('ip', ['-6', 'addr', 'add', ipv6.address, 'dev', 'eth0']);
    await namespace.run('ip', ['-6', 'route', 'add', 'default', 'via', ipv6.gateway, 'dev', 'eth0']);
  }
  if (forwards === true) await allowForwarding(namespace);
  // A veth leaves checksums to hardware it does not have; conntrack in userspace then finds every segment invalid.
  await namespace.run('ethtool', ['-K', 'eth0', 'tx', 'off']);
  return { name: options.name, namespace, vif, hypervisor, options };
}

/** What libvirt or Neutron does when the VM starts: a port on the integration bridge that carries the iface-id. */
export async function plug(vm: Vm, bridge = 'br-int', ifaceId = vm.options.ifaceId): Promise<void> {
  const { vswitch } = vm.hypervisor;
  // The controller makes the integration bridge when the hypervisor is approved.
  await vswitch.vsctl('wait-until', 'Bridge', bridge, 'datapath_id!=[]');
  await vswitch.vsctl('add-port', bridge, vm.vif, '--', 'set', 'Interface', vm.vif, `external_ids:iface-id=${ifaceId}`);
}

export async function unplug(vm: Vm): Promise<void> {
  await vm.hypervisor.vswitch.vsctl('--if-exists', 'del-port', vm.vif);
}

/** Moves the NIC to another hypervisor, as a live migration does at its end: first it goes here, then it appears there. */
export async function move(vm: Vm, target: Hypervisor, bridge?: string): Promise<void> {
  await unplug(vm);
  await vm.hypervisor.namespace.ip(`link set ${vm.vif} netns ${target.namespace.path}`);
  await target.namespace.ip(`link set ${vm.vif} arp off up`);
  vm.hypervisor = target;
  await plug(vm, bridge);
}

/** Answers every TCP connection to the port with one line, then closes. It ends with this process. */
export function serve(namespace: NetworkNamespace, port: number, answer: string, env: NodeJS.ProcessEnv): void {
  const [program, ...args] = [
    ...namespace.prefix,
    ...['socat', `TCP4-LISTEN:${port},reuseaddr,fork,backlog=64`, `SYSTEM:echo ${answer}`],
  ];
  startDaemon(program ?? 'nsenter', args, { env });
}
