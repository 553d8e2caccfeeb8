/** Specs as plain JSON: copies, and the types of what is asked for. */
import type { Static } from 'typebox';
import type { Kind, resources } from './resources/index.ts';

/** The spec of a kind as asked for: what the server fills may be left out. */
export type SpecOfKind<K extends Kind> = Static<(typeof resources)[K]['spec']>;

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A copy of a JSON value that shares nothing with it; members that are undefined are left out. */
export function copyJson<T>(value: T): T {
  if (Array.isArray(value)) return value.map(copyJson) as T;
  if (typeof value !== 'object' || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) if (member !== undefined) copy[name] = copyJson(member);
  return copy as T;
}

export function equalJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((element, i) => equalJson(element, b[i]));
  }
  const members = Object.keys(a);
  if (members.length !== Object.keys(b).length) return false;
  return members.every(
    (name) =>
      Object.hasOwn(b, name) && equalJson((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name]),
  );
}
