/** Values of columns: from JSON, by difference, and compared. */
import { ProtocolError } from './errors.ts';
import type { Column, Value } from './schema.ts';
import { type Atom, type AtomKind, brief, parseAtom, parseMap, parseSet } from './types.ts';

/** What came and what went when a set column changed. */
export type Membership = { added: Atom[]; removed: Atom[] };

const NOTHING: Membership = { added: [], removed: [] };

/** The value a column has when a row update leaves it out (RFC 7047 section 5.2.1). */
export function defaultValue(column: Column): Value {
  switch (column.shape) {
    case 'scalar':
      return defaultAtom(column.kind);
    case 'optional':
      return undefined;
    case 'set':
      return new Set();
    case 'map':
      return new Map();
  }
}

function defaultAtom(kind: AtomKind): Atom {
  switch (kind) {
    case 'string':
      return '';
    case 'integer':
      return 0;
    case 'boolean':
      return false;
    case 'uuid':
      return '00000000-0000-0000-0000-000000000000';
  }
}

/** @throws ProtocolError unless this is a value of such a column in JSON notation. */
export function parseValue(column: Column, json: unknown): Value {
  switch (column.shape) {
    case 'scalar':
      return parseAtom(column.kind, json);
    case 'optional': {
      const atoms = parseSet(column.kind, json);
      if (atoms.length > 1) throw new ProtocolError(`${brief(json)} where at most one ${column.kind} is due`);
      return atoms[0];
    }
    case 'set':
      return new Set(parseSet(column.kind, json));
    case 'map':
      return new Map(parseMap(column.key, column.kind, json));
  }
}

/**
 * Takes the difference `update2` carries (ovsdb-server(7), 4.1.14): one value replaces; in a set, what is named changes
 * sides; in a map, a pair that is there as named goes, any other is put.
 * @returns the new value; sets and maps are changed in place. `membership` is empty but for sets.
 */
export function applyDifference(column: Column, value: Value, json: unknown): { value: Value; membership: Membership } {
  if (value instanceof Set && column.shape === 'set') {
    const membership: Membership = { added: [], removed: [] };
    for (const atom of parseSet(column.kind, json)) {
      if (value.delete(atom)) membership.removed.push(atom);
      else {
        value.add(atom);
        membership.added.push(atom);
      }
    }
    return { value, membership };
  }
  if (value instanceof Map && column.shape === 'map') {
    for (const [key, atom] of parseMap(column.key, column.kind, json)) {
      if (value.get(key) === atom) value.delete(key);
      else value.set(key, atom);
    }
    return { value, membership: NOTHING };
  }
  return { value: parseValue(column, json), membership: NOTHING };
}

/** What distinguishes two values of one set column; empty for columns that are no sets. */
export function membershipBetween(before: Value, after: Value): Membership {
  if (!(before instanceof Set) || !(after instanceof Set)) return NOTHING;
  return { added: [...after.difference(before)], removed: [...before.difference(after)] };
}

export function sameValue(a: Value, b: Value): boolean {
  if (a instanceof Set && b instanceof Set) return a.size === b.size && a.isSubsetOf(b);
  if (a instanceof Map && b instanceof Map) {
    return a.size === b.size && a.entries().every(([key, atom]) => b.get(key) === atom);
  }
  return a === b;
}
