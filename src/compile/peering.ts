/** Units of a peering: the routes of either network to the other. What their ports need besides is with the ports. */
import type { Path, Resource } from '../intent/model.ts';
import { prefixesOf } from '../intent/versions.ts';
import { routeToPeer } from '../pipeline/stages/router.ts';
import { switchesOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

export function peeringUnits(state: CompileState, path: Path): Unit[] {
  const { view } = state;
  const peering = view.getAs('peering', path);
  if (peering === undefined) return [];
  const [a, b] = peering.spec.networks.map((name) => view.getAs('network', `${peering.parent}/networks/${name}`));
  if (a === undefined || b === undefined) return [];
  const unit = (from: Resource<'network'>, to: Resource<'network'>): Unit => {
    const flows = prefixesOf(to.spec).map((p) => routeToPeer(peering.number, from.id, p, to.id));
    return { key: `peering/${peering.number}/${from.number}`, on: switchesOf(state, from.path), flows };
  };
  return [unit(a, b), unit(b, a)].filter(({ on }) => on.length > 0);
}
