/** Paths of resources by their definitions: `tenants/acme/networks/shop`, as in the REST contract without `/v1/`. */
import { Problem } from '../problems.ts';
import { nameExpression } from './fields.ts';
import type { Path } from './model.ts';
import { definitions, type Kind, kinds } from './resources/index.ts';

export type ParsedPath = {
  kind: Kind;
  path: Path;
  /** Names from the top: `['acme', 'shop']`. */
  names: string[];
  /** '' at the top level. */
  parent: Path;
  name: string;
};

/** Kinds by parent kind ('' at the top level) and segment. */
const bySegment = new Map<string, Map<string, Kind>>();
/** Kinds under a kind, '' for the top level, in the order of the definitions. */
const under = new Map<Kind | '', Kind[]>();

for (const kind of kinds) {
  const { parent, segment } = definitions[kind];
  const above = (parent ?? '') as Kind | '';
  if (!bySegment.has(above)) bySegment.set(above, new Map());
  bySegment.get(above)!.set(segment, kind);
  if (!under.has(above)) under.set(above, []);
  under.get(above)!.push(kind);
}

/** Kinds of the children a resource of this kind can have. */
export function kindsUnder(kind: Kind | ''): readonly Kind[] {
  return under.get(kind) ?? [];
}

/** Path of the collection of a kind under a parent. */
export function collectionPath(kind: Kind, parent: Path): string {
  const { segment } = definitions[kind];
  return parent === '' ? segment : `${parent}/${segment}`;
}

export function formatPath(kind: Kind, parent: Path, name: string): Path {
  return `${collectionPath(kind, parent)}/${name}`;
}

/** @returns Problem `route.not-found` where the segments fit no definition, `name.invalid` where a name is not valid. */
export function parsePath(path: string): ParsedPath | Problem {
  const steps = path.split('/');
  const names: string[] = [];
  let kind: Kind | '' = '';
  let parent = '';
  for (let i = 0; i < steps.length; i += 2) {
    const segment = steps[i]!;
    const next: Kind | undefined = bySegment.get(kind)?.get(segment);
    if (next === undefined) return unknownSegment(path, segment, kind);
    kind = next;
    const name = steps[i + 1];
    if (name === undefined) return new Problem('route.not-found', `${path} names no ${kind}: its name is missing`);
    if (!nameExpression.test(name)) return invalidName(name);
    if (i > 0) parent = steps.slice(0, i).join('/');
    names.push(name);
  }
  return { kind: kind as Kind, path, names, parent, name: names.at(-1)! };
}

function unknownSegment(path: string, segment: string, above: Kind | ''): Problem {
  const known = kindsUnder(above).map((kind) => definitions[kind].segment);
  const where = above === '' ? 'at the top' : `in a ${above}`;
  const choice = known.length === 0 ? 'there is nothing below it' : `there are ${known.join(', ')}`;
  return new Problem('route.not-found', `${path}: there is no ${JSON.stringify(segment)} ${where}; ${choice}`);
}

function invalidName(name: string): Problem {
  const shown = name.length > 80 ? `${name.slice(0, 80)}…` : name;
  return new Problem('name.invalid', `${JSON.stringify(shown)} is not a valid name`);
}

/** Path of the tenant a path lies in or is; undefined outside tenants. */
export function tenantOf(path: Path): Path | undefined {
  return path.startsWith('tenants/') ? upTo(path, 'tenants/'.length) : undefined;
}

/** Path of the network a path lies in or is; undefined outside networks. */
export function networkOf(path: Path): Path | undefined {
  const tenant = tenantOf(path);
  if (tenant === undefined || !path.startsWith('/networks/', tenant.length)) return undefined;
  return upTo(path, tenant.length + '/networks/'.length);
}

/** The path up to the end of the name that begins at `start`. */
function upTo(path: Path, start: number): Path {
  const end = path.indexOf('/', start);
  return end < 0 ? path : path.slice(0, end);
}
