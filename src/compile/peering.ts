/** Units of a peering: the routes of either network to the other. What their ports need besides is with the ports. */
import type { Path, Resource } from '../intent/model.ts';
import type { Flow } from '../pipeline/flow.ts';
import { routeToPeer } from '../pipeline/stages/router.ts';
import { ipPrefix } from './addresses.ts';
import { switchesOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

export function peeringUnits(state: CompileState, path: Path): Unit[] {
  const { view } = state;
  const peering = view.getAs('peering', path);
  if (peering === undefined) return [];
  const [a, b] = peering.spec.networks.map((name) => view.getAs('network', `${peering.parent}/networks/${name}`));
  if (a === undefined || b === undefined) return [];
  const unit = (from: Resource<'network'>, to: Resource<'network'>): Unit => {
    const { cidr, ipv6Cidr } = to.spec;
    const prefixes = ipv6Cidr === undefined ? [cidr] : [cidr, ipv6Cidr];
    const flows: Flow[] = prefixes.map((p) => routeToPeer(peering.number, from.id, ipPrefix(p), to.id));
    return { key: `peering/${peering.number}/${from.number}`, on: switchesOf(state, from.path), flows };
  };
  return [unit(a, b), unit(b, a)].filter(({ on }) => on.length > 0);
}
