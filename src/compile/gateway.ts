/** Units of a network's way out: at its gateways, at its hosts, and where a public address is at home. */
import type { Path } from '../intent/model.ts';
import type { CompileState, Unit } from './state.ts';

export function gatewayUnits(_state: CompileState, _network: Path): Unit[] {
  return [];
}
