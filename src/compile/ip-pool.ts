/** Units of a pool of public addresses: how the MAC of its next hop is learnt. */
import type { Path } from '../intent/model.ts';
import type { CompileState, Unit } from './state.ts';

export function ipPoolUnits(_state: CompileState, _pool: Path): Unit[] {
  return [];
}
