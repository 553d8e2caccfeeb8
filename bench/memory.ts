/**
 * Memory of the controller's process with all its threads, after start, at rest and at its peak: on the cloud of real
 * switches, and with 20 simulated switches of 40,000 flows each. And what a flow costs that is kept.
 *
 * node bench/memory.ts [hypervisors=20] [networks=50] [networks of the simulated cloud=78]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { openBenchCloud, orderWhole } from './support/cloud.ts';
import type { ControllerProcess } from './support/controller-process.ts';
import { openVswitchVersion } from './support/farm.ts';
import { machine, megabytes, numbers } from './support/figures.ts';
import { type CloudShape, describeShape, type Place, portResource, ruleSpec } from './support/shape.ts';
import { openSimulatedCloud, orderNetworks } from './support/simulated-cloud.ts';
import { forgetPeak, memoryOf } from './support/usage.ts';

const [hypervisors = 20, networks = 50, simulated = 80] = numbers(20, 50, 78);

/** Seconds without a change, after which the collectors have done what they do of themselves. */
const rest = 20;
const changes = 1_000;

const sum = (values: Map<string, number>): number => [...values.values()].reduce((total, n) => total + n, 0);

async function tell(what: string, controller: ControllerProcess): Promise<void> {
  const { peak } = memoryOf(controller.pid());
  await sleep(rest * 1_000);
  console.log(
    `  ${what}: ${megabytes(peak)} at its peak, ${megabytes(memoryOf(controller.pid()).rss)} after ${rest} s of rest`,
  );
  forgetPeak(controller.pid());
}

async function report(
  controller: ControllerProcess,
  spares: readonly Place[],
  shape: CloudShape,
  order: () => Promise<void>,
): Promise<void> {
  console.log(describeShape(shape));
  const { api } = controller;
  await tell('hypervisors connected', controller);
  await order();
  await tell('everything ordered', controller);
  for (const p of spares) {
    const { path, spec } = portResource(p);
    await api.request('PUT', `${path}?wait=programmed&timeout=60s`, spec);
  }
  for (let i = spares.length; i < changes; i++) {
    const path = `tenants/t${i % shape.networks}/networks/n/rules/web0?wait=programmed&timeout=60s`;
    await api.request('PUT', path, ruleSpec('web', 0, 3000 + i));
  }
  await tell(`${spares.length} ports more and ${changes - spares.length} rules changed, one by one`, controller);
  const [flows, kept, bytes, memory, index] = await Promise.all(
    ['switch_flows', 'kept_flows', 'kept_flow_bytes', 'kept_memory_bytes', 'switch_index_bytes'].map((name) =>
      api.metric(`keyway_${name}`).then(sum),
    ),
  );
  console.log(
    `  flows: ${(flows! / shape.hypervisors).toFixed(0)} on a switch, ${flows} on all, ${kept} kept once each, ${(bytes! / kept!).toFixed(0)} bytes each; ` +
      `with gaps ${megabytes(memory!)}, indexes ${megabytes(index!)}: ${((memory! + index!) / flows!).toFixed(0)} bytes for a flow of a switch`,
  );
}

console.log(`${machine()}, Open vSwitch ${await openVswitchVersion()}`);
{
  const shape: CloudShape = { hypervisors, networks, ports: 10, rules: 10, spread: hypervisors };
  await using cloud = await openBenchCloud(shape, 4);
  await report(cloud.controller, cloud.spares, shape, () => orderWhole(shape, cloud));
}
{
  const shape: CloudShape = { hypervisors: 20, networks: simulated, ports: 50, rules: 10, spread: 20 };
  await using cloud = await openSimulatedCloud(shape, 2);
  await report(cloud.controller, cloud.spares, shape, () => orderNetworks(shape, cloud));
}
