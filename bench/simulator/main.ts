/** Many simulated hypervisors in one process; told what to do, and asked how they are, over IPC. */
import { encapIp, places, systemId } from '../support/shape.ts';
import { Hypervisor } from './hypervisor.ts';
import type { SimulatorAnswer, SimulatorRequest, SimulatorSettings } from './process.ts';

const { shape, spare, manager } = JSON.parse(process.argv[2] ?? '') as SimulatorSettings;
const { ordered, spares } = places(shape, spare);
const plugged: string[][] = Array.from({ length: shape.hypervisors }, () => []);
for (const { host, ifaceId } of [...ordered, ...spares]) plugged[host]!.push(ifaceId);
const hypervisors = plugged.map((ifaceIds, host) => {
  const one = new Hypervisor({ systemId: systemId(host), encapIp: encapIp(host), manager });
  one.plug(ifaceIds);
  return one;
});

/** OFPM_MAX, OpenFlow 1.5.1 section 7.3.4.4: those above are virtual. */
const highestMeter = 0xffff_0000;

function stats(): SimulatorAnswer {
  const answer: SimulatorAnswer = { flows: [], meters: 0, interfaces: 0, bundles: 0, flowMods: 0, refused: 0 };
  for (const { switch: s, interfaces } of hypervisors) {
    answer.flows.push(s.flows.count);
    for (const meter of s.meters.keys()) if (meter <= highestMeter) answer.meters++;
    answer.interfaces += interfaces;
    answer.bundles += s.counters.bundles;
    answer.flowMods += s.counters.flowMods;
    answer.refused += s.counters.refused;
  }
  return answer;
}

process.on('message', (request: SimulatorRequest) => {
  // Not all in one moment: nor do hosts.
  if (request === 'start') for (const [i, one] of hypervisors.entries()) setTimeout(() => one.start(), 2 * i);
  process.send?.(stats());
});
process.once('disconnect', () => process.exit());
process.send?.(stats());
