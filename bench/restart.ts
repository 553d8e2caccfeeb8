/**
 * The controller killed (SIGKILL) and started again on a cloud that stands: how long until every switch is connected, read
 * back and in sync, and whether anything was rewritten that was right.
 *
 * node bench/restart.ts [hypervisors=20] [networks=50] [runs=5]
 */
import { inSync, openBenchCloud, orderWhole } from './support/cloud.ts';
import { openVswitchVersion } from './support/farm.ts';
import { machine, megabytes, numbers, timed } from './support/figures.ts';
import { type CloudShape, describeShape, portResource } from './support/shape.ts';
import { memoryOf } from './support/usage.ts';

const [hypervisors = 20, networks = 50, runs = 5] = numbers(20, 50, 5);
const shape: CloudShape = { hypervisors, networks, ports: 10, rules: 10, spread: hypervisors };

console.log(`${machine()}, Open vSwitch ${await openVswitchVersion()}\n${describeShape(shape)}`);
await using cloud = await openBenchCloud(shape, 1);
const { controller, farm, spares } = cloud;
await orderWhole(shape, cloud);

for (let run = 0; run < runs; run++) {
  const before = await farm.flowCounts();
  await controller.kill('SIGKILL');
  const begin = performance.now();
  await controller.start();
  const listening = performance.now() - begin;
  await inSync(controller.api, hypervisors);
  const took = performance.now() - begin;
  const sent = [...(await controller.api.metric('keyway_switch_flow_mods_total')).values()].reduce(
    (sum, n) => sum + n,
    0,
  );
  const after = await farm.flowCounts();
  const same = after.every((count, i) => count === before[i]);
  const spare = spares[run % spares.length]!;
  const next = await timed(() =>
    controller.api.request('PUT', `${spare.path}?wait=programmed&timeout=30s`, portResource(spare).spec),
  );
  console.log(
    `run ${run + 1}: API listens after ${(listening / 1000).toFixed(2)} s, all in sync after ${(took / 1000).toFixed(2)} s; flows written ${sent}, counts ${same ? 'as before' : 'DIFFER'}; the next port ${next.toFixed(1)} ms; memory ${megabytes(memoryOf(controller.pid()).peak)} at its peak`,
  );
}
