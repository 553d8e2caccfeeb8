/** Figures of the engine and of the switches, for /metrics. */

import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Member } from '../inventory/fleet.ts';
import type { Metric } from '../reconcile/contract.ts';
import type { Progress } from '../reconcile/progress.ts';
import type { DecisionCounts } from './decision-log.ts';
import type { Engine } from './engine.ts';
import type { StatusBoard } from './status.ts';

export type Counters = { drift: Map<string, number>; refusedSessions: number; decisions: DecisionCounts };

export function engineMetrics(engine: Engine, progress: Progress, status: StatusBoard, counters: Counters): Metric[] {
  const members = [...engine.fleet.all()];
  const perHypervisor = (value: (number: number) => number) =>
    members.map((m) => ({ labels: { hypervisor: m.resource.name }, value: value(m.number) }));
  return [
    { name: 'keyway_hypervisors', help: 'Approved hypervisors', type: 'gauge', values: [{ value: members.length }] },
    {
      name: 'keyway_hypervisors_pending',
      help: 'Hypervisors that wait for approval',
      type: 'gauge',
      values: [{ value: engine.fleet.pending().length }],
    },
    {
      name: 'keyway_hypervisor_connected',
      help: '1 while the hypervisor is connected and in sync',
      type: 'gauge',
      values: perHypervisor((n) => (progress.of(n)?.connected === true ? 1 : 0)),
    },
    {
      name: 'keyway_hypervisor_passes_outstanding',
      help: '1 while the switch has not acknowledged the last pass sent to it',
      type: 'gauge',
      values: perHypervisor((n) => {
        const s = progress.of(n);
        return s !== undefined && s.acknowledged < s.sent ? 1 : 0;
      }),
    },
    {
      name: 'keyway_ports_bound',
      help: 'Ports bound on each hypervisor',
      type: 'gauge',
      values: perHypervisor((n) => engine.bindings.placement.portsOn(n).size),
    },
    {
      name: 'keyway_networks_in_charge',
      help: 'Networks each hypervisor is the first gateway of',
      type: 'gauge',
      values: gatewayCounts(engine, members, (gateways, h) => gateways[0] === h),
    },
    {
      name: 'keyway_networks_standing_by',
      help: 'Networks each hypervisor is the second gateway of',
      type: 'gauge',
      values: gatewayCounts(engine, members, (gateways, h) => gateways[1] === h),
    },
    {
      name: 'keyway_patches',
      help: 'Patches of each hypervisor to bridges of physical networks',
      type: 'gauge',
      values: perHypervisor((n) => engine.patches.wanted(n).size - engine.patches.missing(n)),
    },
    {
      name: 'keyway_patches_missing',
      help: 'Patches each hypervisor should have and has not',
      type: 'gauge',
      values: perHypervisor((n) => engine.patches.missing(n)),
    },
    {
      name: 'keyway_next_hop_questions_unanswered',
      help: 'ARP requests to the next hop of each pool since its last answer',
      type: 'gauge',
      values: engine.nextHops.open().map(({ pool, unanswered }) => ({ labels: { pool }, value: unanswered })),
    },
    {
      name: 'keyway_revision_observed',
      help: 'Newest revision the compiler has seen',
      type: 'gauge',
      values: [{ value: progress.observed }],
    },
    { name: 'keyway_units', help: 'Units of flows desired', type: 'gauge', values: [{ value: engine.compiler.units }] },
    {
      name: 'keyway_subjects_compiled_total',
      help: 'Subjects compiled since the start',
      type: 'counter',
      values: [{ value: engine.compiler.compiled }],
    },
    {
      name: 'keyway_full_recomputes_total',
      help: 'Full recomputes of everything in production: 0',
      type: 'counter',
      values: [{ value: engine.compiler.recomputes }],
    },
    {
      name: 'keyway_objects_refused',
      help: 'Objects some switch has refused a flow of',
      type: 'gauge',
      values: [{ value: status.refusedObjects }],
    },
    {
      name: 'keyway_sessions_refused_total',
      help: 'Sessions of switches refused',
      type: 'counter',
      values: [{ value: counters.refusedSessions }],
    },
    {
      name: 'keyway_decisions_logged_total',
      help: 'Connections allowed and packets denied that were written to the log: a sample',
      type: 'counter',
      values: Object.entries(counters.decisions).map(([decision, value]) => ({ labels: { decision }, value })),
    },
    {
      name: 'keyway_drift_flows_total',
      help: 'Flows found to differ though nobody asked',
      type: 'counter',
      values: [...counters.drift].map(([hypervisor, value]) => ({ labels: { hypervisor }, value })),
    },
  ];
}

/** Only of hypervisors that are gateways. */
function gatewayCounts(
  { bindings, fleet }: Engine,
  members: readonly Member[],
  counts: (gateways: readonly HypervisorNumber[], hypervisor: HypervisorNumber) => boolean,
): Metric['values'] {
  const { placement } = bindings;
  return members
    .filter(({ number, resource }) => resource.spec.gateway === true || placement.isGateway(number))
    .map(({ number }) => {
      let value = 0;
      for (const network of placement.servedBy(number)) if (counts(placement.gatewaysOf(network), number)) value++;
      return { labels: { hypervisor: fleet.name(number) }, value };
    });
}
