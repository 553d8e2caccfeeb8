import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../problems.ts';
import { matchHolds, parseTags } from './etag.ts';

export type Precondition = { ifRevision?: number; createOnly?: boolean };

/**
 * If-Match and If-None-Match of a write (RFC 9110 section 13.1), as the transaction judges them.
 * @param current revision of the resource now, undefined when there is none
 * @throws Problem resource.changed, request.invalid
 */
export function precondition(
  headers: IncomingHttpHeaders,
  path: string,
  current: number | undefined,
): Precondition | undefined {
  const noneMatch = headers['if-none-match'];
  const match = headers['if-match'];
  if (noneMatch === undefined && match === undefined) return undefined;
  const result: Precondition = {};
  if (noneMatch !== undefined) {
    if (parseTags(noneMatch, 'If-None-Match') !== '*')
      throw new Problem('request.invalid', 'If-None-Match of a write takes * only');
    result.createOnly = true;
  }
  if (match !== undefined) {
    const tags = parseTags(match, 'If-Match');
    if (current === undefined || !matchHolds(tags, current)) {
      const now = current === undefined ? 'there is none' : `its ETag is "${current}" now`;
      throw new Problem('resource.changed', `${path} was expected with ETag ${match}; ${now}`);
    }
    // Judged again by the transaction: somebody may write between this look and its turn.
    if (tags !== '*') result.ifRevision = current;
  }
  return result;
}
