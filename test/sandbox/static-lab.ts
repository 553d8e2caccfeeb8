import type { Lab, LabHypervisor } from '../../src/sandbox/lab.ts';
import type { LabVm } from '../../src/sandbox/lab-vm.ts';

/** GRE key of the one network here. */
export const key = 0x1234;

/**
 * Two hypervisors with a VM each and flows by hand, no controller: what one VM sends comes out of the other's hypervisor
 * if the tunnel carried it under the right key.
 */
export async function buildStaticLab(lab: Lab): Promise<{ hypervisors: LabHypervisor[]; vms: LabVm[] }> {
  const hypervisors = await Promise.all(['hv1', 'hv2'].map((name) => lab.addHypervisor(name)));
  const vms = await Promise.all(
    hypervisors.map(({ name }, i) =>
      lab.addVm({
        name: `vm${i + 1}`,
        hypervisor: name,
        mac: `02:00:00:00:00:1${i + 1}`,
        address: `10.0.1.1${i + 1}/24`,
        ifaceId: `iface-${i + 1}`,
      }),
    ),
  );
  await Promise.all(
    hypervisors.map(async (hypervisor, i) => {
      await makeBridge(hypervisor);
      await hypervisor.vsctl(
        ...['add-port', 'br-int', 'gre0', '--', 'set', 'Interface', 'gre0', 'type=gre'],
        ...['options:key=flow', `options:remote_ip=${hypervisors[1 - i]!.encapIp}`],
      );
      await vms[i]!.plug();
      await programByHand(hypervisor, `iface-${i + 1}`);
    }),
  );
  return { hypervisors, vms };
}

/** What the controller does once it has approved a hypervisor. */
export async function makeBridge(hypervisor: LabHypervisor): Promise<void> {
  const datapath = (await hypervisor.vsctl('get', 'Open_vSwitch', '.', 'external_ids:keyway-datapath-type')).trim();
  await hypervisor.vsctl(
    ...['add-br', 'br-int', '--', 'set', 'Bridge', 'br-int', `datapath_type=${datapath}`],
    ...['fail_mode=secure', 'protocols=OpenFlow15'],
  );
}

export async function programByHand(hypervisor: LabHypervisor, ifaceId: string): Promise<void> {
  const found = await hypervisor.vsctl(
    '--bare',
    '--columns=ofport',
    'find',
    'Interface',
    `external_ids:iface-id=${ifaceId}`,
  );
  const vif = Number(found);
  await hypervisor.ofctl('add-flow', `in_port=${vif},actions=set_field:${key}->tun_id,output:gre0`);
  await hypervisor.ofctl('add-flow', `in_port=gre0,tun_id=${key},actions=output:${vif}`);
}
