/** Values of columns: from JSON, by difference, and compared. */
import { ProtocolError } from './errors.ts';
import type { Column, Value } from './schema.ts';
import { type Atom, type AtomKind, brief, parseAtom, parseMap, parseSet } from './types.ts';

/** What came and what went when a set column changed. */
export type Membership = { added: Atom[]; removed: Atom[] };

const NOTHING: Membership = { added: [], removed: [] };

/** Most sets and maps of most rows have nothing in them: one of each for all, never changed. An own one takes 450 bytes. */
const EMPTY_SET: Set<Atom> = new Set();
const EMPTY_MAP: Map<Atom, Atom> = new Map();

/** The value a column has when a row update leaves it out (RFC 7047 section 5.2.1). */
export function defaultValue(column: Column): Value {
  switch (column.shape) {
    case 'scalar':
      return defaultAtom(column.kind);
    case 'optional':
      return undefined;
    case 'set':
      return EMPTY_SET;
    case 'map':
      return EMPTY_MAP;
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
    case 'set': {
      const atoms = parseSet(column.kind, json);
      return atoms.length === 0 ? EMPTY_SET : new Set(atoms);
    }
    case 'map': {
      const pairs = parseMap(column.key, column.kind, json);
      return pairs.length === 0 ? EMPTY_MAP : new Map(pairs);
    }
  }
}

/**
 * Takes the difference `update2` carries (ovsdb-server(7), 4.1.14): one value replaces; in a set, what is named changes
 * sides; in a map, a pair that is there as named goes, any other is put.
 * @returns the new value; sets and maps that have something in them are changed in place. `membership` is empty but for sets.
 */
export function applyDifference(column: Column, value: Value, json: unknown): { value: Value; membership: Membership } {
  if (value instanceof Set && column.shape === 'set') {
    const membership: Membership = { added: [], removed: [] };
    const atoms = value === EMPTY_SET ? new Set<Atom>() : value;
    for (const atom of parseSet(column.kind, json)) {
      if (atoms.delete(atom)) membership.removed.push(atom);
      else {
        atoms.add(atom);
        membership.added.push(atom);
      }
    }
    return { value: atoms.size === 0 ? EMPTY_SET : atoms, membership };
  }
  if (value instanceof Map && column.shape === 'map') {
    const pairs = value === EMPTY_MAP ? new Map<Atom, Atom>() : value;
    for (const [key, atom] of parseMap(column.key, column.kind, json)) {
      if (pairs.get(key) === atom) pairs.delete(key);
      else pairs.set(key, atom);
    }
    return { value: pairs.size === 0 ? EMPTY_MAP : pairs, membership: NOTHING };
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
