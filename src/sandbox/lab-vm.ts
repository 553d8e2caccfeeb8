import type { Enclosure } from './enclosure.ts';
import { type LabMachine, labMachine } from './lab-host.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';

export type { Patience, TcpOutcome } from './lab-host.ts';

export type VmDescription = {
  name: string;
  /** Name of its hypervisor. */
  hypervisor: string;
  mac: string;
  /** With its length: 10.0.1.11/24. Left out: it has none until a DHCP client in it asks. */
  address?: string;
  gateway?: string;
  /** With its length, and its gateway. */
  ipv6?: { address: string; gateway: string };
  /** It passes on what is for others, as a router or an inspecting appliance does. */
  forwards?: boolean;
  ifaceId: string;
};

export type LabVm = VmDescription &
  LabMachine & {
    /** @param bridge br-int unless told. */
    plug(bridge?: string): Promise<void>;
    unplug(): Promise<void>;
    /** Takes the NIC to another hypervisor, plugged in. */
    move(hypervisor: string): Promise<void>;
  };

export async function createLabVm(
  enclosure: Enclosure,
  openVswitch: OpenVswitch,
  description: VmDescription,
): Promise<LabVm> {
  const { name } = description;
  await enclosure.call('vm.add', description);
  return {
    ...description,
    ...labMachine(enclosure, openVswitch, name),
    async plug(bridge) {
      await enclosure.call('vm.plug', { name, ...(bridge === undefined ? {} : { bridge }) });
    },
    async unplug() {
      await enclosure.call('vm.unplug', { name });
    },
    async move(hypervisor) {
      await enclosure.call('vm.move', { name, hypervisor });
    },
  };
}
