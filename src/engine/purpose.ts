/** From a cookie back to the intent, in words. */

import type { Path, View } from '../intent/model.ts';
import { cookieGeneration, cookieResource, cookieStage, generation } from '../pipeline/cookie.ts';
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

/** `tenants/acme/networks/shop/rules/r1` -> `rule r1 of network shop of tenant acme`. */
export function inWords(path: Path): string {
  const parts = path.split('/');
  const words: string[] = [];
  for (let i = parts.length - 2; i >= 0; i -= 2) words.push(`${parts[i]!.replace(/s$/, '')} ${parts[i + 1]}`);
  return words.join(' of ');
}
