/** Figures of the southbound thread, for /metrics. */
import type { OpenVswitchPlugin, SwitchStats } from '../plugins/openvswitch/plugin.ts';
import type { Metric } from './reconcile/contract.ts';

export async function southboundMetrics(
  plugin: OpenVswitchPlugin,
  nameOf: (hypervisor: number) => string,
): Promise<Metric[]> {
  const { slab, switches } = await plugin.stats();
  const gauge = (name: string, help: string, value: number): Metric => ({
    name,
    help,
    type: 'gauge',
    values: [{ value }],
  });
  const each = (
    name: string,
    help: string,
    type: Metric['type'],
    value: (s: SwitchStats) => number | undefined,
  ): Metric => ({
    name,
    help,
    type,
    values: switches.flatMap((s) => {
      const v = value(s);
      return v === undefined ? [] : [{ labels: { hypervisor: nameOf(s.hypervisor) }, value: v }];
    }),
  });
  return [
    gauge('keyway_kept_flows', 'Flows kept, each once whatever the number of switches', slab.flows),
    gauge('keyway_kept_flow_bytes', 'Bytes of the flows kept', slab.bytes),
    gauge('keyway_kept_memory_bytes', 'Memory of the flows kept, gaps included', slab.reserved),
    each('keyway_switch_flows', 'Flows and meters desired on each switch', 'gauge', (s) => s.flows),
    each(
      'keyway_switch_flow_bytes',
      'Bytes of the flows desired on each switch, shared ones counted for each',
      'gauge',
      (s) => s.bytes,
    ),
    each('keyway_switch_index_bytes', "Memory of each switch's index of its flows", 'gauge', (s) => s.indexBytes),
    each('keyway_switch_objects_set_aside', 'Objects each switch has refused a flow of', 'gauge', (s) => s.setAside),
    each('keyway_switch_echo_seconds', 'Last round trip of an echo', 'gauge', (s) =>
      s.echoRtt === undefined ? undefined : s.echoRtt / 1000,
    ),
    each('keyway_switch_waiting_bytes', 'Bytes that wait for the switch to take them', 'gauge', (s) => s.waiting),
    each('keyway_switch_bundles_total', 'Bundles sent', 'counter', (s) => s.bundles),
    each(
      'keyway_switch_bundles_at_once_total',
      'Bundles sent in one write, of flows the switch had taken the like of before',
      'counter',
      (s) => s.bundlesAtOnce,
    ),
    each('keyway_switch_flow_mods_total', 'Flow changes sent', 'counter', (s) => s.flowMods),
    each('keyway_switch_reads_total', 'Times the switch was read back', 'counter', (s) => s.reads),
    each(
      'keyway_switch_indeterminate_total',
      'Commits whose outcome was unknown until read back',
      'counter',
      (s) => s.indeterminate,
    ),
    each('keyway_switch_packet_ins_total', 'Packets that flows sent to the controller', 'counter', (s) => s.packetIns),
    each(
      'keyway_switch_packet_ins_dropped_total',
      'Those beyond their rate, or of no use',
      'counter',
      (s) => s.packetInsDropped,
    ),
    each('keyway_switch_fallbacks_total', 'Flows that had to be decoded to be compared', 'counter', (s) => s.fallbacks),
  ];
}
