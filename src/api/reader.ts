/** Who reads an answer, as far as it decides what the answer shows. */
import { type Principal, seesRestricted } from '../auth/roles.ts';
import type { Path, Resource } from '../intent/model.ts';
import { formatPath, tenantOf } from '../intent/path.ts';
import { definitions } from '../intent/resources/index.ts';
import { isHidden } from '../intent/transit.ts';

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

/** Whether the reader may know of the resource. */
export function seesResource(reader: Reader, resource: Resource): boolean {
  return sees(reader, resource.path) && (reader.tenant === undefined || !isHidden(resource));
}

/** Whether the reader may know of what lies at the path, as far as the path says. */
export function sees({ tenant }: Reader, path: Path): boolean {
  if (tenant === undefined) return true;
  const owner = tenantOf(path);
  if (owner === undefined) return shared.has(path.slice(0, path.indexOf('/')));
  return (
    owner === tenant &&
    !operators.has(path.slice(path.lastIndexOf('/', path.lastIndexOf('/') - 1) + 1, path.lastIndexOf('/')))
  );
}

/** Segments at the top that every tenant reads. */
const shared = new Set(
  Object.values(definitions)
    .filter(({ parent, tenantReads }) => parent === undefined && tenantReads)
    .map(({ segment }) => segment),
);

/** Segments of collections in tenants that are the operator's alone. */
const operators = new Set(
  Object.values(definitions)
    .filter(({ parent, tenantReads }) => parent !== undefined && !tenantReads)
    .map(({ segment }) => segment),
);
