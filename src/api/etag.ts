/** Entity tags (RFC 9110 section 8.8.3): the revision of the intent in quotes. */
import { Problem } from '../problems.ts';

export function etagOf(revision: number): string {
  return `"${revision}"`;
}

/** What an If-Match or If-None-Match header names. */
export type Tags = '*' | { tag: string; weak: boolean }[];

/** @throws Problem request.invalid when it is no list of entity tags. */
export function parseTags(header: string, name: string): Tags {
  if (header.trim() === '*') return '*';
  const tags: { tag: string; weak: boolean }[] = [];
  const expression = /\s*(W\/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(,|$)/y;
  while (expression.lastIndex < header.length) {
    const match = expression.exec(header);
    if (!match) throw new Problem('request.invalid', `${name} is neither * nor a list of entity tags such as "17"`);
    tags.push({ tag: match[2]!, weak: match[1] !== undefined });
  }
  return tags;
}

/** If-None-Match of a GET: weak comparison. */
export function noneMatchFails(tags: Tags, revision: number): boolean {
  return tags === '*' || tags.some(({ tag }) => tag === etagOf(revision));
}

/** If-Match: strong comparison; a weak tag never matches. */
export function matchHolds(tags: Tags, revision: number): boolean {
  return tags === '*' || tags.some(({ tag, weak }) => !weak && tag === etagOf(revision));
}
