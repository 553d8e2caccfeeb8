import { until } from '../../src/sandbox/ephemeral.ts';
import type { Lab, LabHypervisor } from '../support/lab.ts';

/** Until every hypervisor is connected and has acknowledged everything. */
export async function inSync(lab: Lab, hypervisors: readonly LabHypervisor[]): Promise<void> {
  await until(
    'all hypervisors in sync',
    async () => {
      const text = (await lab.admin('GET', '/metrics')) as string;
      return hypervisors.every(
        ({ name }) =>
          text.includes(`keyway_hypervisor_connected{hypervisor="${name}"} 1`) &&
          text.includes(`keyway_hypervisor_passes_outstanding{hypervisor="${name}"} 0`),
      );
    },
    20_000,
    20,
  );
}
