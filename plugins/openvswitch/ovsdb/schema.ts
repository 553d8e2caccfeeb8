/** Which tables and columns a client watches, and of what type: the part of a database schema (RFC 7047 section 3.2) it relies on. */
import type { Atom, AtomKind } from './types.ts';

type AtomOf<K extends AtomKind> = K extends 'integer' ? number : K extends 'boolean' ? boolean : string;

export type Column =
  | { shape: 'scalar' | 'optional' | 'set'; kind: AtomKind }
  | { shape: 'map'; key: AtomKind; kind: AtomKind };

/** Exactly one value. */
export function scalar<K extends AtomKind>(kind: K) {
  return { shape: 'scalar', kind } as const;
}

/** At most one value (`"min": 0, "max": 1`). */
export function optional<K extends AtomKind>(kind: K) {
  return { shape: 'optional', kind } as const;
}

/** Any number of values. */
export function setOf<K extends AtomKind>(kind: K) {
  return { shape: 'set', kind } as const;
}

export function mapOf<K extends AtomKind, V extends AtomKind>(key: K, kind: V) {
  return { shape: 'map', key, kind } as const;
}

export type TableSchema = Record<string, Column>;
export type DatabaseSchema = Record<string, TableSchema>;

/** A column's value as the cache keeps it. */
export type ValueOf<C> = C extends { shape: 'map'; key: infer K extends AtomKind; kind: infer V extends AtomKind }
  ? ReadonlyMap<AtomOf<K>, AtomOf<V>>
  : C extends { shape: 'set'; kind: infer K extends AtomKind }
    ? ReadonlySet<AtomOf<K>>
    : C extends { shape: 'optional'; kind: infer K extends AtomKind }
      ? AtomOf<K> | undefined
      : C extends { kind: infer K extends AtomKind }
        ? AtomOf<K>
        : never;

/** A row as the cache keeps it: the object lives, and changes, as long as the row. */
export type Row<T extends TableSchema> = { readonly uuid: string } & { readonly [C in keyof T]: ValueOf<T[C]> };

/** Any column's value. */
export type Value = Atom | undefined | Set<Atom> | Map<Atom, Atom>;
