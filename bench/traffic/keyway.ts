/** Keyway's side of the traffic benchmarks, and the same switches without it. */
import { until } from '../../src/sandbox/ephemeral.ts';
import type { Lab, LabHypervisor } from '../../src/sandbox/lab.ts';
import type { ControllerFacts } from '../../src/sandbox/operations.ts';
import { type CloudShape, frame, portResource } from '../support/shape.ts';
import { type Arena, addHypervisors, addVms, type TrafficVm, trafficPlaces } from './arena.ts';

export type KeywayArena = Arena & {
  /**
   * Takes the hypervisors from the controller and leaves them with two flows each, which tie the two VMs together: what
   * one sends goes into the tunnel, and what comes out of it goes to the other.
   */
  plain(a: TrafficVm, b: TrafficVm): Promise<void>;
  /** Gives them back, and waits until they hold what they held. */
  restore(): Promise<void>;
};

const network = 'tenants/t0/networks/n';

/** @param extra further resources of the network, e.g. its rule for ICMP */
export async function openKeywayArena(
  lab: Lab,
  shape: CloudShape,
  extra: readonly { path: string; spec: unknown }[] = [],
): Promise<KeywayArena> {
  const controller: ControllerFacts = await lab.startController();
  const hypervisors = await addHypervisors(lab, 'kw');
  await Promise.all(hypervisors.map((h) => lab.join(h)));
  const ports = trafficPlaces(shape);
  const own = extra.map(({ path, spec }) => ({ path: `${network}/${path}`, spec }));
  const resources = [...frame(shape), ...own, ...ports.map(portResource)];
  await lab.admin('POST', '/v1/apply', { resources, wait: 'programmed', timeout: '20s' });
  const arena = await addVms(lab, 'Keyway', hypervisors, shape);
  for (const { path } of ports) await lab.portReady(path);

  const counts = (): Promise<number[]> => Promise.all(hypervisors.map(flowCount));
  let before: number[] = [];
  return {
    ...arena,
    async plain(a, b) {
      before = await counts();
      const { key } = (await lab.admin('GET', '/v1/tenants/t0')) as { key: number };
      for (const [i, hypervisor] of hypervisors.entries()) {
        const vif = await ofport(hypervisor, `external_ids:iface-id=${(i === 0 ? a : b).place.ifaceId}`);
        const tunnel = await ofport(hypervisor, 'type=gre');
        await hypervisor.vsctl('del-manager', '--', 'del-controller', 'br-int');
        await hypervisor.ofctl('del-flows');
        await hypervisor.ofctl('add-flow', `in_port=${vif},actions=set_field:${key}->tun_id,output:${tunnel}`);
        await hypervisor.ofctl('add-flow', `in_port=${tunnel},tun_id=${key},actions=output:${vif}`);
      }
    },
    async restore() {
      for (const hypervisor of hypervisors) await hypervisor.vsctl('set-manager', ...controller.managers);
      await until(
        'the flows that were there before',
        async () => (await counts()).every((count, i) => count === before[i]),
        30_000,
        50,
      );
    },
  };
}

async function ofport(hypervisor: LabHypervisor, condition: string): Promise<number> {
  const found = Number(await hypervisor.vsctl('--bare', '--columns=ofport', 'find', 'Interface', condition));
  if (!(found > 0)) throw new Error(`${hypervisor.name} has not one interface with ${condition}`);
  return found;
}

async function flowCount(hypervisor: LabHypervisor): Promise<number> {
  return Number(/flow_count=(\d+)/.exec(await hypervisor.ofctl('dump-aggregate'))?.[1]);
}
