/**
 * Peered networks: their prefixes must be told apart wherever a packet may start, and nobody in one may have addresses
 * of the other. Peering is not transitive; but a network that is peered with two must be able to tell them apart.
 */
import { containsIpPrefix, formatIpPrefix, type IpPrefix, prefixesOverlap } from '../ip.ts';
import type { Path, Resource } from '../model.ts';
import { formatPath } from '../path.ts';
import type { State } from '../state.ts';
import { newMap } from '../state.ts';
import { cidrOf, families, prefixesOf } from '../versions.ts';
import type { Concern } from './concern.ts';

export const peering: Concern<'peering'> = {
  judge(spec, report) {
    if (spec.networks[0] === spec.networks[1])
      report('/networks/1', 'peering.self', `${spec.networks[0]} is joined with itself`);
  },

  release({ state, log }, before, after) {
    const [a, b] = endsOf(before.parent, before.spec);
    if (after !== undefined && sameEnds([a, b], endsOf(before.parent, after))) return;
    log.writeIn(state.peers, a, newMap, b, undefined);
    log.writeIn(state.peers, b, newMap, a, undefined);
  },

  claim({ state, log }, draft, before, report) {
    const [a, b] = endsOf(draft.parent, draft.spec);
    if (before !== undefined && sameEnds([a, b], endsOf(before.parent, before.spec))) return;
    const other = state.peers.get(a)?.get(b);
    if (other !== undefined) {
      report('/networks', 'peering.duplicate', `${other} joins the two already`);
      return;
    }
    log.writeIn(state.peers, a, newMap, b, draft.path);
    log.writeIn(state.peers, b, newMap, a, draft.path);
  },

  // Also when it is the same as before: the networks may be others, and leave it to this one to tell.
  conclude({ state }, draft, _, report) {
    const [a, b] = endsOf(draft.parent, draft.spec);
    const [one, two] = [state.getAs('network', a), state.getAs('network', b)];
    // That one of them is missing is told.
    if (one === undefined || two === undefined) return;
    const found = [...conflicts(state, one, two), ...beyond(state, one, two), ...beyond(state, two, one)];
    for (const { code, message } of found) report('/networks', code, message);
  },
};

/** A network that is peered keeps prefixes that can be told apart. */
export const peeredPrefix: Concern<'network'> = {
  conclude({ state, writes }, draft, before, report) {
    if (before === undefined) return;
    const network = state.getAs('network', draft.path)!;
    const changed = families.filter((family) => before.spec[cidrOf[family]] !== draft.spec[cidrOf[family]]);
    if (changed.length === 0) return;
    for (const [path, peering] of peersOf(state, draft.path)) {
      const peer = state.getAs('network', path);
      // A peering of the same transaction tells it itself.
      if (peer === undefined || writes(peering)) continue;
      for (const { code, message, family } of [...conflicts(state, network, peer), ...beyond(state, peer, network)])
        if (changed.includes(family)) report(`/${cidrOf[family]}`, code, message);
    }
  },
};

/** Networks peered with this one in whose prefixes the prefix lies. */
export function* peersAround(state: State, network: Path, prefix: IpPrefix): Iterable<Path> {
  for (const peer of peered(state, network))
    if (prefixesOf(peer.spec).some((around) => containsIpPrefix(around, prefix))) yield peer.path;
}

/** Networks peered with this one whose prefixes overlap the prefix. */
export function* peersOverlapping(state: State, network: Path, prefix: IpPrefix): Iterable<Path> {
  for (const peer of peered(state, network))
    if (prefixesOf(peer.spec).some((other) => prefixesOverlap(other, prefix))) yield peer.path;
}

function* peered(state: State, network: Path): Iterable<Resource<'network'>> {
  for (const [path] of peersOf(state, network)) {
    const peer = state.getAs('network', path);
    if (peer !== undefined) yield peer;
  }
}

function peersOf(state: State, network: Path): Iterable<[Path, Path]> {
  return (state.peers.get(network) as Map<Path, Path> | undefined) ?? [];
}

type Conflict = { code: 'peering.overlap' | 'address.overlap'; message: string; family: IpPrefix['family'] };

/** What two networks have that must not be in both. */
function* conflicts(state: State, a: Resource<'network'>, b: Resource<'network'>): Iterable<Conflict> {
  yield* overlaps(a, b);
  for (const [one, two] of [
    [a, b],
    [b, a],
  ] as const)
    for (const prefix of prefixesOf(two.spec)) {
      const { family } = prefix;
      const text = `${formatIpPrefix(prefix)} of network ${two.name}`;
      for (const { path } of state.destinations.inside(one.path, prefix))
        yield { code: 'address.overlap', message: `The destination of ${path} lies in ${text}`, family };
      for (const { path } of state.pairs.overlapping(one.path, prefix))
        yield { code: 'address.overlap', message: `An allowed address pair of ${path} overlaps ${text}`, family };
    }
}

/** Networks that the first is peered with besides, and that overlap the second. */
function* beyond(state: State, a: Resource<'network'>, b: Resource<'network'>): Iterable<Conflict> {
  for (const third of peered(state, a.path))
    if (third.path !== b.path)
      for (const conflict of overlaps(b, third))
        yield { ...conflict, message: `${conflict.message}, and ${a.name} is to be peered with both` };
}

function* overlaps(a: Resource<'network'>, b: Resource<'network'>): Iterable<Conflict> {
  for (const one of prefixesOf(a.spec))
    for (const two of prefixesOf(b.spec))
      if (prefixesOverlap(one, two)) {
        const message = `${formatIpPrefix(one)} of network ${a.name} overlaps ${formatIpPrefix(two)} of network ${b.name}`;
        yield { code: 'peering.overlap', message, family: one.family };
      }
}

function endsOf(tenant: Path, { networks }: { readonly networks: readonly string[] }): [Path, Path] {
  return [formatPath('network', tenant, networks[0]!), formatPath('network', tenant, networks[1]!)];
}

function sameEnds([a, b]: [Path, Path], [c, d]: [Path, Path]): boolean {
  return (a === c && b === d) || (a === d && b === c);
}
