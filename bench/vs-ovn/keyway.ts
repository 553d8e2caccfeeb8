/** Keyway with the benchmark's cloud. */
import { openBenchCloud } from '../support/cloud.ts';
import { type CloudShape, frame, portResource, ruleSpec } from '../support/shape.ts';
import { keywayTracer } from '../support/trace.ts';
import type { Contender } from './contender.ts';

/** @param spare ports more per network that are plugged but not of the shape */
export async function openKeyway(shape: CloudShape, spare: number): Promise<Contender> {
  const cloud = await openBenchCloud(shape, spare);
  const { controller, farm } = cloud;
  const { api } = controller;
  const programmed = { wait: 'programmed', timeout: '240s' };
  return {
    name: 'Keyway',
    farm,
    tracer: keywayTracer(shape, farm.switches),
    central: { controller: [controller.pid()] },
    agents: [],
    async orderFrame() {
      await api.request('POST', 'apply', { resources: frame(shape), ...programmed });
    },
    async orderPorts(places) {
      const [first, ...more] = places.map(portResource);
      if (first !== undefined && more.length === 0)
        await api.request('PUT', `${first.path}?wait=programmed&timeout=60s`, first.spec);
      else await api.request('POST', 'apply', { resources: places.map(portResource), ...programmed });
    },
    async changeRule(network, tier, tcpPort) {
      const path = `tenants/t${network}/networks/n/rules/${tier}0?wait=programmed&timeout=60s`;
      await api.request('PUT', path, ruleSpec(tier, 0, tcpPort));
    },
    [Symbol.asyncDispose]: () => cloud[Symbol.asyncDispose](),
  };
}
