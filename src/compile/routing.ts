/**
 * What the ports of a network depend on beyond themselves: whether anything is routed there, and which networks of the
 * tenant it is joined with. A network of one tier has nothing to route, and costs nothing for it.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { serving } from './serving.ts';
import type { CompileState } from './state.ts';

export function isRouted({ view, placement }: Routed, network: Path): boolean {
  // The way out is beyond the router.
  if (placement.gatewaysOf(network).length > 0) return true;
  if (view.count('tier', network) > 1 || view.count('route', network) > 0) return true;
  // What a port gives back to its router is routed on, in one tier too.
  if (view.count('steering', network) > 0) return true;
  for (const _ of peersOf(view, network)) return true;
  return false;
}

type Routed = Pick<CompileState, 'view' | 'placement'>;

/** Networks joined with this one. */
export function* peersOf(view: View, network: Path): Iterable<Resource<'network'>> {
  for (const r of view.referrers(network)) {
    if (r.kind !== 'peering') continue;
    for (const name of r.spec.networks) {
      const peer = view.getAs('network', `${r.parent}/networks/${name}`);
      if (peer !== undefined && peer.path !== network) yield peer;
    }
  }
}

/** All of it as one text, and what its gateways serve: while it stays the same, ports need no look. */
export function shape(state: Routed, network: Path): string {
  const { view, placement } = state;
  const peers = [...peersOf(view, network)].map(({ number }) => number).sort();
  const routed = peers.length > 0 ? `routed ${peers.join(' ')}` : isRouted(state, network) ? 'routed' : '';
  if (placement.gatewaysOf(network).length === 0) return routed;
  return `${routed} ${serving(view, view.getAs('network', network))}`;
}

/** Switches with ports of a network, those that are programmed. */
export function switchesOf({ placement, hypervisors }: CompileState, network: Path): HypervisorNumber[] {
  return placement.hostsOfNetwork(network).filter((h) => hypervisors.has(h));
}

/** Those, and the network's gateways. */
export function reachOf({ placement, hypervisors }: CompileState, network: Path): HypervisorNumber[] {
  return placement.reachOfNetwork(network).filter((h) => hypervisors.has(h));
}
