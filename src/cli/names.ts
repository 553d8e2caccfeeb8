/** Names of resources on the command line, and their paths in the REST contract. */
import { UsageError } from './errors.ts';
import { findKind, type KindModel, kindModel } from './model.ts';

/** What stands in for parents that were not written, by kind. */
export type Defaults = ReadonlyMap<string, string>;

/** A resource, or a collection when `names` is one shorter than the kind is deep. */
export type Target = { kind: KindModel; names: string[] };

/** Environment variable with the default of a parent: `KEYWAY_TENANT`. */
export function defaultVariable(kind: string): string {
  return `KEYWAY_${kind.toUpperCase()}`;
}

/** Path below `/v1/`, each name escaped. Without the last name: the collection. */
export function pathOf(kind: KindModel, names: readonly string[]): string {
  const segments = [...kind.parents.map((parent) => kindModel(parent).segment), kind.segment];
  return segments
    .slice(0, Math.max(names.length, kind.parents.length + 1))
    .flatMap((segment, i) => (names[i] === undefined ? [segment] : [segment, encodeURIComponent(names[i])]))
    .join('/');
}

/** `tenants/acme/networks/shop` -> network, acme, shop. Undefined when it is no path of a resource. */
export function parsePath(path: string): Target | undefined {
  const parts = path.replace(/^\/?(v1\/)?/, '').split('/');
  if (parts.length < 2 || parts.length % 2 !== 0) return undefined;
  let kind: KindModel | undefined;
  const names: string[] = [];
  for (let i = 0; i < parts.length; i += 2) {
    const next = findKind(parts[i]!);
    if (!next || next.segment !== parts[i] || next.parents.at(-1) !== kind?.kind || !parts[i + 1]) return undefined;
    kind = next;
    names.push(parts[i + 1]!);
  }
  return kind && { kind, names };
}

/** How people write a path: `port acme/shop/web1`; what is no resource path stays as it is. */
export function shortPath(path: string): string {
  const target = parsePath(path);
  return target ? `${target.kind.kind} ${target.names.join('/')}` : path;
}

/** `TENANT/NETWORK/NAME`. */
export function notation(kind: KindModel, last = 'NAME'): string {
  return [...kind.parents.map((parent) => parent.toUpperCase()), ...(last ? [last] : [])].join('/');
}

function missingParents(kind: KindModel, missing: string[], written: string, last: string): UsageError {
  const flags = missing.map((parent) => `--${parent} ${parent.toUpperCase()}`).join(' ');
  const variables = missing.map(defaultVariable).join(' and ');
  return new UsageError(
    `Which ${missing.join(' and ')}?${written === '' ? '' : ` "${written}" does not say`}`,
    `Write ${notation(kind, last)}, give ${flags}, set ${variables}, or keep it: keyway profile set NAME ${flags}`,
  );
}

/**
 * Names of the parents and, when `own` is set, of the resource itself. The rightmost name written is the innermost;
 * what is left out comes from the flags, then from the defaults.
 */
export function resolve(
  kind: KindModel,
  written: string | undefined,
  flags: (parent: string) => string | undefined,
  defaults: Defaults,
  own = true,
): Target {
  const wanted = own ? [...kind.parents, kind.kind] : kind.parents;
  let names = written === undefined || written === '' ? [] : written.replace(/^\/|\/$/g, '').split('/');
  const whole = written === undefined ? undefined : parsePath(written);
  if (whole && names.length > wanted.length) {
    const expected = own ? kind.kind : kind.parents.at(-1);
    if (whole.kind.kind !== expected) {
      throw new UsageError(`${written} is a ${whole.kind.kind}, not a ${expected}`);
    }
    names = whole.names;
  }
  const last = own ? 'NAME' : '';
  if (names.length > wanted.length) {
    throw new UsageError(
      `"${written}" has too many parts for a ${own ? kind.kind : 'list'}`,
      wanted.length === 0 ? `Leave it out: ${kind.segment} are at the top level.` : `Write ${notation(kind, last)}`,
    );
  }
  if (names.some((name) => name === '' || name === '.' || name === '..')) {
    throw new UsageError(`"${written}" has an empty or relative name in it`, `Write ${notation(kind, last)}`);
  }
  if (own && names.length === 0) throw new UsageError(`Which ${kind.kind}?`, `Write ${notation(kind)}`);
  const skipped = wanted.length - names.length;
  const filled: string[] = [];
  const missing: string[] = [];
  wanted.forEach((parent, i) => {
    const here = names[i - skipped];
    const flag = own && i === wanted.length - 1 ? undefined : flags(parent);
    if (here !== undefined && flag !== undefined && here !== flag) {
      throw new UsageError(`"${written}" says ${parent} ${here}, --${parent} says ${flag}`, 'Give it once.');
    }
    const name = here ?? flag ?? defaults.get(parent);
    if (name === undefined) missing.push(parent);
    else filled.push(name);
  });
  if (missing.length > 0) throw missingParents(kind, missing, written ?? '', last);
  return { kind, names: filled };
}
