/** Who reads an answer, as far as it decides what the answer shows. */
import { type Principal, seesRestricted } from '../auth/roles.ts';
import type { Path } from '../intent/model.ts';
import { formatPath, tenantOf } from '../intent/path.ts';
import { definitions } from '../intent/resources/index.ts';

export type Reader = {
  /** May see keys, bindings, providers and revisions of others. */
  readonly restricted: boolean;
  /** Path of the tenant to which the reader is confined. */
  readonly tenant: Path | undefined;
};

export function readerOf(principal: Principal): Reader {
  const tenant = principal.tenant === undefined ? undefined : formatPath('tenant', '', principal.tenant);
  return { restricted: seesRestricted(principal), tenant };
}

/** Whether the reader may know of what lies at the path. */
export function sees({ tenant }: Reader, path: Path): boolean {
  if (tenant === undefined) return true;
  const owner = tenantOf(path);
  return owner === undefined ? shared.has(path.slice(0, path.indexOf('/'))) : owner === tenant;
}

/** Segments at the top that every tenant reads. */
const shared = new Set(
  Object.values(definitions)
    .filter(({ parent, tenantReads }) => parent === undefined && tenantReads)
    .map(({ segment }) => segment),
);
