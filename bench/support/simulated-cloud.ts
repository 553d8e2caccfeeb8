/** Keyway and simulated switches: the controller in its own process, its hypervisors approved and connected. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Simulator, startSimulator } from '../simulator/process.ts';
import { type ControllerProcess, startControllerProcess } from './controller-process.ts';
import { type CloudShape, networkResources, type Place, places, portResource, systemId } from './shape.ts';

export type SimulatedCloud = AsyncDisposable & {
  controller: ControllerProcess;
  simulator: Simulator;
  places: Place[];
  spares: Place[];
};

/** Nothing is ordered yet. @param spare ports more per network that are plugged but not of the shape */
export async function openSimulatedCloud(shape: CloudShape, spare: number): Promise<SimulatedCloud> {
  const controller = await startControllerProcess();
  let simulator: Simulator | undefined;
  try {
    simulator = await startSimulator({ shape, spare, manager: controller.manager });
    const { api } = controller;
    const resources = Array.from({ length: shape.hypervisors }, (_, host) => ({
      path: `hypervisors/${systemId(host)}`,
      spec: { admission: 'approved', systemId: systemId(host) },
    }));
    await api.request('POST', 'apply', { resources });
    await simulator.start();
    await connected(controller, shape.hypervisors);
    const { ordered, spares } = places(shape, spare);
    const made = simulator;
    return {
      controller,
      simulator,
      places: ordered,
      spares,
      async [Symbol.asyncDispose]() {
        await controller[Symbol.asyncDispose]();
        await made[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await controller[Symbol.asyncDispose]();
    await simulator?.[Symbol.asyncDispose]();
    throw error;
  }
}

async function connected({ api }: ControllerProcess, hypervisors: number): Promise<void> {
  const deadline = performance.now() + 180_000;
  for (;;) {
    const values = [...(await api.metric('keyway_hypervisor_connected')).values()];
    const up = values.filter((value) => value === 1).length;
    if (up === hypervisors) return;
    if (performance.now() > deadline) throw new Error(`${up} of ${hypervisors} hypervisors are connected after 180 s`);
    await sleep(200);
  }
}

/** Networks with all that belongs to them, so many resources in a request that it stays below what the API takes. */
export async function orderNetworks(shape: CloudShape, { controller, places: all }: SimulatedCloud): Promise<void> {
  const { api } = controller;
  const atOnce = Math.max(1, Math.floor(4_000 / (2 * shape.rules + 4 + 2 * shape.ports)));
  let next = 0;
  for (let first = 0; first < shape.networks; first += atOnce) {
    const end = Math.min(shape.networks, first + atOnce);
    const resources = [];
    for (let network = first; network < end; network++) {
      resources.push(...networkResources(shape, network));
      for (; next < all.length && all[next]!.network === network; next++) resources.push(portResource(all[next]!));
    }
    await api.request('POST', 'apply', { resources, wait: 'programmed', timeout: '300s' });
  }
}
