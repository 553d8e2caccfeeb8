import type { Lab } from './lab.ts';
import type { LabVm } from './lab-vm.ts';
import {
  gatewayOf,
  ifaceId,
  ipOf,
  ipv6GatewayOf,
  ipv6Of,
  ipv6PrefixLength,
  macOf,
  portPath,
  prefixLength,
  resources,
  servedPorts,
  vms,
} from './story.ts';

export type Progress = (text: string) => void;

/**
 * Builds what the story needs in an empty lab: controller, hypervisors, intent, VMs. Everything is asked for as a user
 * would, over the REST API and with ovs-vsctl. Resolves with the VMs, by `tenant/name`, when every port is programmed.
 */
export async function setStage(lab: Lab, count: number, progress: Progress): Promise<Map<string, LabVm>> {
  progress('starting the controller');
  progress(`starting ${count} hypervisors, each with its own ovsdb-server and ovs-vswitchd`);
  const names = Array.from({ length: count }, (_, i) => `hv${i + 1}`);
  const [, hypervisors] = await Promise.all([
    lab.startController(),
    Promise.all(names.map((name) => lab.addHypervisor(name))),
  ]);

  progress('connecting them (ovs-vsctl set-manager) and approving them');
  const cabling = Promise.all(
    vms.map(async (vm): Promise<[string, LabVm]> => {
      const { tenant, name, tier, place, forwards } = vm;
      const hypervisor = hypervisors[place % hypervisors.length]!.name;
      const built = await lab.addVm({
        name: `${tenant}-${name}`,
        hypervisor,
        mac: macOf(vm),
        address: `${ipOf(vm)}/${prefixLength}`,
        gateway: gatewayOf(tier),
        ipv6: { address: `${ipv6Of(vm)}/${ipv6PrefixLength}`, gateway: ipv6GatewayOf(tier) },
        ...(forwards === undefined ? {} : { forwards }),
        ifaceId: ifaceId(vm),
      });
      await Promise.all(servedPorts.map((port) => built.serve(port, `${tenant}/${name}`)));
      return [`${tenant}/${name}`, built];
    }),
  );
  const [built] = await Promise.all([cabling, ...hypervisors.map((hypervisor) => lab.join(hypervisor))]);

  progress('ordering two networks with the same addresses (POST /v1/apply) and plugging in the VMs');
  await lab.admin('POST', '/v1/apply', { resources: resources() });
  await Promise.all(built.map(([, vm]) => vm.plug()));
  await Promise.all(vms.map((vm) => lab.portReady(portPath(vm))));
  return new Map(built);
}
