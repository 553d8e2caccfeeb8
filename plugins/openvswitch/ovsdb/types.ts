/** RFC 7047 section 5.1: atoms, sets, maps and UUIDs as JSON has them, and as we keep them. */
import { ProtocolError } from './errors.ts';

/** UUIDs are kept as strings; integers as numbers (none that we read passes 2^53). */
export type Atom = string | number | boolean;
export type AtomKind = 'string' | 'integer' | 'boolean' | 'uuid';

/** JSON notation of an atom. */
export type JsonAtom = Atom | ['uuid', string] | ['named-uuid', string];
/** JSON notation of a column's value. */
export type JsonValue = JsonAtom | ['set', JsonAtom[]] | ['map', [JsonAtom, JsonAtom][]];
/** JSON notation of a row to write, or of some columns of it. */
export type JsonRow = Record<string, JsonValue>;

export function uuid(value: string): JsonAtom {
  return ['uuid', value];
}

/** Refers to the row that an `insert` of the same transaction makes under this `uuid-name`. */
export function namedUuid(name: string): JsonAtom {
  return ['named-uuid', name];
}

export function set(atoms: Iterable<JsonAtom>): JsonValue {
  return ['set', [...atoms]];
}

export function map(entries: Record<string, string> | Iterable<[string, string]>): JsonValue {
  return ['map', Symbol.iterator in entries ? [...entries] : Object.entries(entries)];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** @throws ProtocolError unless the value is an atom of that kind in JSON notation. */
export function parseAtom(kind: AtomKind, json: unknown): Atom {
  switch (kind) {
    case 'string':
      if (typeof json === 'string') return json;
      break;
    case 'integer':
      if (typeof json === 'number' && Number.isInteger(json)) return json;
      break;
    case 'boolean':
      if (typeof json === 'boolean') return json;
      break;
    case 'uuid':
      if (Array.isArray(json) && json.length === 2 && json[0] === 'uuid' && isUuid(json[1])) return json[1];
      break;
  }
  throw new ProtocolError(`${brief(json)} where a ${kind} is due`);
}

export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}

/** A set in JSON notation: `["set", [...]]`, or the atom alone where it has one (section 5.1, `<set>`). */
export function parseSet(kind: AtomKind, json: unknown): Atom[] {
  if (Array.isArray(json) && json.length === 2 && json[0] === 'set' && Array.isArray(json[1])) {
    return json[1].map((atom) => parseAtom(kind, atom));
  }
  return [parseAtom(kind, json)];
}

/** A map in JSON notation: `["map", [[key, value]...]]`. */
export function parseMap(key: AtomKind, value: AtomKind, json: unknown): [Atom, Atom][] {
  if (!Array.isArray(json) || json.length !== 2 || json[0] !== 'map' || !Array.isArray(json[1])) {
    throw new ProtocolError(`${brief(json)} where a map is due`);
  }
  return json[1].map((pair: unknown) => {
    if (!Array.isArray(pair) || pair.length !== 2) throw new ProtocolError(`${brief(pair)} where a pair is due`);
    return [parseAtom(key, pair[0]), parseAtom(value, pair[1])];
  });
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The beginning of a value, for messages. */
export function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
