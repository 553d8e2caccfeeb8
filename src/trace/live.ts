/**
 * A packet really sent: put into the sender's switch as if the VM had sent it, and followed by the counters of the flows
 * it is foretold to hit. A flow counts other packets too, so "seen" is certain only where nothing else goes that way.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { HypervisorNumber, InstalledFlow, SwitchPlugin } from '../drivers/switch-plugin.ts';
import { Problem } from '../problems.ts';
import type { AnsweredHop, Live, Verdict } from './answer.ts';
import { frameOf } from './frame.ts';
import type { Packet } from './packet.ts';
import type { Walk } from './walk.ts';

/**
 * When counters are read after the packet was sent, milliseconds. Open vSwitch brings what its datapath has counted to
 * the flows at least twice a second (other_config:max-revalidator).
 */
const readings = [250, 600, 900];

type Counted = { flow: InstalledFlow; seen: boolean };

/** @throws Problem trace.not-possible, hypervisor.not-connected */
export async function sendLive(
  plugin: SwitchPlugin,
  hypervisor: HypervisorNumber,
  packet: Packet,
  walk: Walk,
  hops: AnsweredHop[],
  verdict: Verdict,
): Promise<Live> {
  if (plugin.sendPacket === undefined)
    throw new Problem('trace.not-possible', 'The switch plugin sends no packets of its own');
  const inPort = Number(packet.get('in_port'));
  const counted = walk.hops.map(({ events }) =>
    events.flatMap((e): Counted[] =>
      e.kind === 'lookup' && e.flow !== undefined ? [{ flow: e.flow, seen: false }] : [],
    ),
  );
  await plugin.sendPacket(hypervisor, { inPort, actions: [{ type: 'resubmit', table: 0 }], bytes: frameOf(packet) });
  for (const wait of readings) {
    await pause(wait);
    await Promise.all(walk.hops.map((hop, i) => count(plugin, hop.hypervisor, counted[i]!)));
    if (counted.every((flows) => flows.every((f) => f.seen))) break;
  }
  hops.forEach((hop, i) => {
    mark(hop, counted[i]!);
  });
  return summary(counted, verdict);
}

async function count(plugin: SwitchPlugin, hypervisor: HypervisorNumber, flows: Counted[]): Promise<void> {
  if (flows.every((f) => f.seen)) return;
  const now = new Map<string, InstalledFlow>();
  const tables = new Set(flows.map(({ flow }) => flow.table));
  const cookies = new Set(flows.map(({ flow }) => flow.cookie));
  for (const flow of await plugin.installed(hypervisor))
    if (tables.has(flow.table) && cookies.has(flow.cookie)) now.set(plugin.format(bare(flow)), flow);
  for (const counted of flows) {
    const after = now.get(plugin.format(bare(counted.flow)));
    if (after !== undefined && after.packets > counted.flow.packets) counted.seen = true;
  }
}

const bare = ({ table, priority, cookie, match, actions, goto }: InstalledFlow) => ({
  table,
  priority,
  cookie,
  match,
  actions,
  ...(goto === undefined ? {} : { goto }),
});

/** Steps of tables that had a flow are in the order of the flows. */
function mark(hop: AnsweredHop, flows: readonly Counted[]): void {
  let at = 0;
  for (const step of hop.steps) {
    const counted = step.kind === 'table' && step.flow !== undefined ? flows[at++] : undefined;
    if (counted !== undefined && step.kind === 'table') step.seen = counted.seen;
  }
  hop.seen = flows.length > 0 && flows.every((f) => f.seen);
}

function summary(counted: readonly Counted[][], { outcome }: Verdict): Live {
  const all = counted.flat();
  const seen = all.filter((f) => f.seen).length;
  const last = all.at(-1)?.seen === true;
  const arrived = last && (outcome === 'delivered' || outcome === 'answered');
  const common = { sent: true, arrived, seen, of: all.length };
  if (arrived) return { ...common, text: 'The packet was sent, and the last flow of its way has counted it' };
  if (outcome === 'refused' && last)
    return { ...common, text: 'The packet was sent, and counted up to where it is refused' };
  return { ...common, text: 'The packet was sent, and some flows of its way have not counted it: see which' };
}
