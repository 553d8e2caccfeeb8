import type { Lab, LabHypervisor } from './lab.ts';
import { startGatewayHost } from './lab-gateway-host.ts';
import type { LabMachine } from './lab-host.ts';
import type { LabVm } from './lab-vm.ts';
import { buildOutside, publicLink } from './outside.ts';
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
import { mirrorPort, outsideResources } from './story-outside.ts';

export type Progress = (text: string) => void;

export type Stage = {
  /** VMs by `tenant/name`, and `client`, which is outside. */
  machines: Map<string, LabMachine>;
  gateways: readonly LabHypervisor[];
};

/**
 * Builds what the story needs in an empty lab: controller, hypervisors, intent, VMs. Everything is asked for as a user
 * would, over the REST API and with ovs-vsctl. Resolves when every port is programmed.
 */
export async function setStage(lab: Lab, count: number, progress: Progress): Promise<Stage> {
  progress('starting the controller');
  progress(`starting ${count} hypervisors and 2 gateways, each with its own ovsdb-server and ovs-vswitchd`);
  const names = Array.from({ length: count }, (_, i) => `hv${i + 1}`);
  const outside = buildOutside(lab);
  const physical = [publicLink];
  const [, { client }, hypervisors, gateways] = await Promise.all([
    lab.startController(),
    outside,
    Promise.all(names.map((name) => lab.addHypervisor(name))),
    outside.then(() => Promise.all(['gw1', 'gw2'].map((name) => lab.addHypervisor(name, { physical })))),
  ]);
  await client.serve(mirrorPort, '$SOCAT_PEERADDR');

  progress('connecting them (ovs-vsctl set-manager) and approving them');
  const cabling = Promise.all(
    vms.map(async (vm): Promise<[string, LabVm]> => {
      const { tenant, name, tier, place, forwards, asks } = vm;
      const hypervisor = hypervisors[place % hypervisors.length]!.name;
      const built = await lab.addVm({
        name: `${tenant}-${name}`,
        hypervisor,
        mac: macOf(vm),
        ...(asks === true
          ? {}
          : {
              address: `${ipOf(vm)}/${prefixLength}`,
              gateway: gatewayOf(tier),
              ipv6: { address: `${ipv6Of(vm)}/${ipv6PrefixLength}`, gateway: ipv6GatewayOf(tier) },
            }),
        ...(forwards === undefined ? {} : { forwards }),
        ifaceId: ifaceId(vm),
      });
      await Promise.all(servedPorts.map((port) => built.serve(port, `${tenant}/${name}`)));
      return [`${tenant}/${name}`, built];
    }),
  );
  const [built] = await Promise.all([
    cabling,
    ...hypervisors.map((hypervisor) => lab.join(hypervisor)),
    ...gateways.map(async (gateway) => {
      await lab.join(gateway, { gateway: true });
      await startGatewayHost(lab, gateway);
    }),
  ]);

  progress('ordering two networks with the same addresses (POST /v1/apply) and plugging in the VMs');
  await lab.admin('POST', '/v1/apply', { resources: [...resources(), ...outsideResources()] });
  await Promise.all(built.map(([, vm]) => vm.plug()));
  await Promise.all(vms.map((vm) => lab.portReady(portPath(vm))));
  return { machines: new Map<string, LabMachine>([...built, ['client', client]]), gateways };
}
