/** From a cookie back to the intent, in words. */

import type { Path, Resource, View } from '../intent/model.ts';
import { cookieGeneration, cookieResource, cookieStage, generation } from '../pipeline/cookie.ts';
import type { Flow } from '../pipeline/flow.ts';
import { registers } from '../pipeline/registers.ts';
import { tableName } from '../pipeline/tables.ts';
import type { Purpose } from '../reconcile/contract.ts';

export function purposeOf(view: View, cookie: bigint): Purpose {
  if (cookieGeneration(cookie) !== generation) {
    return {
      stage: 'unknown',
      path: undefined,
      text: `not a flow of this Keyway (cookie generation ${cookieGeneration(cookie)} instead of ${generation})`,
    };
  }
  const stage = tableName(cookieStage(cookie)) ?? `table ${cookieStage(cookie)}`;
  const number = cookieResource(cookie);
  if (number === 0) return { stage, path: undefined, text: 'the pipeline itself' };
  const resource = view.byNumber(number);
  if (resource === undefined)
    return { stage, path: undefined, text: `resource number ${number}, which is no longer in intent` };
  return { stage, path: resource.path, text: inWords(resource.path) };
}

/** Rules named of a flow that many share. */
const mostNamed = 5;

/** The same of a flow, which says more: one that several rules share has the cookie of their network, and their ids in its actions. */
export function purposeOfFlow(view: View, flow: Flow): Purpose {
  const purpose = purposeOf(view, flow.cookie);
  const ids = new Set<number>();
  for (const action of flow.actions) {
    if (action.type === 'conjunction') ids.add(action.id);
    else if (action.type === 'setField' && action.field === registers.rule.field) ids.add(Number(action.value));
  }
  ids.delete(0);
  const owner = purpose.path === undefined ? undefined : view.get(purpose.path);
  if (ids.size === 0 || owner?.kind === 'rule' || owner?.kind === 'policy') return purpose;
  const deciders: Iterable<Resource> =
    owner?.kind === 'network' ? view.children('rule', owner.path) : view.children('policy', '');
  const names: string[] = [];
  for (const { id, name } of deciders) if (ids.has(id)) names.push(name);
  if (names.length === 0) return purpose;
  const more = names.length - mostNamed;
  const list = more > 0 ? `${names.slice(0, mostNamed).join(', ')} and ${more} more` : names.join(', ');
  const kind = owner?.kind === 'network' ? 'rule' : 'policy';
  const what = names.length === 1 ? kind : kind === 'rule' ? 'rules' : 'policies';
  return { ...purpose, text: owner === undefined ? `${what} ${list}` : `${what} ${list} of ${inWords(owner.path)}` };
}

/** `tenants/acme/networks/shop/rules/r1` -> `rule r1 of network shop of tenant acme`. */
export function inWords(path: Path): string {
  const parts = path.split('/');
  const words: string[] = [];
  for (let i = parts.length - 2; i >= 0; i -= 2) words.push(`${parts[i]!.replace(/s$/, '')} ${parts[i + 1]}`);
  return words.join(' of ');
}
