/** Ports of steering rules are taken to pass on what they are given: that is what they are there for. */
import type { View } from '../intent/model.ts';
import { networkOf } from '../intent/path.ts';
import { cookieResource } from '../pipeline/cookie.ts';
import type { Packet } from './packet.ts';
import type { Surroundings, SwitchesNow } from './surroundings.ts';
import { type Assumed, type End, joined, passedOn, type Walk, walk } from './walk.ts';

/** Ports that a steering rule may name. */
const mostSteered = 8;

export async function throughSteering(
  { view, placement }: Pick<Surroundings, 'view' | 'placement'>,
  switches: SwitchesNow,
  start: { hypervisor: number; packet: Packet },
  assumed: Assumed,
): Promise<Walk> {
  let walked = await walk(switches, start, assumed);
  for (let passed = 0; passed < mostSteered; passed++) {
    const at = walked.ends.find((end) => end.kind === 'delivered' && steeredTo(view, walked, end));
    if (at?.kind !== 'delivered') break;
    const bound = placement.get(at.port);
    const onward = bound && passedOn(at.packet, bound.ofport);
    if (bound === undefined || onward === undefined) break;
    walked = joined(walked, at, await walk(switches, { hypervisor: bound.hypervisor, packet: onward }, assumed));
  }
  return walked;
}

/** Whether the port is one that a steering rule, by whose flows the packet went on this switch, sends it through. */
function steeredTo(view: View, { hops }: Walk, end: Extract<End, { kind: 'delivered' }>): boolean {
  const name = end.port.slice(end.port.lastIndexOf('/') + 1);
  // The switch before may be the one that steered.
  const near = hops.slice(Math.max(0, end.hop - 1), end.hop + 1);
  return near.some(({ events }) =>
    events.some((e) => {
      if (e.kind !== 'lookup' || e.flow === undefined) return false;
      const rule = view.byNumber(cookieResource(e.flow.cookie));
      return rule?.kind === 'steering' && rule.spec.via.includes(name) && rule.parent === networkOf(end.port);
    }),
  );
}
