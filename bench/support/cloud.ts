/** Keyway and real switches: the controller in its own process, its hypervisors approved, every VIF plugged. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from './api-client.ts';
import { type ControllerProcess, startControllerProcess } from './controller-process.ts';
import { type Farm, startFarm } from './farm.ts';
import { type CloudShape, frame, type Place, places, portResource, systemId } from './shape.ts';

export type BenchCloud = AsyncDisposable & {
  controller: ControllerProcess;
  farm: Farm;
  /** The ports of the shape, and the spare ones. */
  places: Place[];
  spares: Place[];
};

/** Nothing is ordered yet. @param spare ports more per network that are plugged but not of the shape */
export async function openBenchCloud(shape: CloudShape, spare: number): Promise<BenchCloud> {
  const controller = await startControllerProcess();
  let farm: Farm | undefined;
  try {
    farm = await startFarm(shape.hypervisors, controller.manager);
    for (let host = 0; host < shape.hypervisors; host++)
      await controller.api.request('PUT', `hypervisors/${systemId(host)}`, { admission: 'approved' });
    for (const s of farm.switches) await s.vsctl('wait-until', 'Bridge', 'br-int', 'datapath_id!=[]');
    const { ordered, spares } = places(shape, spare);
    await farm.plug([...ordered, ...spares]);
    const made = farm;
    return {
      controller,
      farm,
      places: ordered,
      spares,
      async [Symbol.asyncDispose]() {
        await controller[Symbol.asyncDispose]();
        await made[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await controller[Symbol.asyncDispose]();
    await farm?.[Symbol.asyncDispose]();
    throw error;
  }
}

/** Orders everything but the ports, and the ports with one request. */
export async function orderWhole(shape: CloudShape, cloud: Pick<BenchCloud, 'controller' | 'places'>): Promise<void> {
  const { api } = cloud.controller;
  await api.request('POST', 'apply', { resources: frame(shape), wait: 'programmed', timeout: '120s' });
  const resources = cloud.places.map(portResource);
  await api.request('POST', 'apply', { resources, wait: 'programmed', timeout: '120s' });
}

type Listed = { items: { status: { state: string; programmedRevision: number } }[] };

/** Until so many hypervisors are connected, in sync, and have acknowledged everything up to the revision. */
export async function inSync(api: ApiClient, hypervisors: number, revision = 0): Promise<void> {
  for (;;) {
    const { items } = (await api.request('GET', 'hypervisors?limit=1000')) as Listed;
    const done = items.filter(({ status: s }) => s.state === 'programmed' && s.programmedRevision >= revision);
    if (done.length === hypervisors) return;
    await sleep(10);
  }
}
