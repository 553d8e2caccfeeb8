/**
 * How the level store lays its data out.
 *
 *     d/KEY         "REVISION VALUE"      revision of the commit that last wrote the key, in decimal
 *     l/REVISION    change log entry      16 digits
 *     m/schema      version of this layout
 *     m/revision    newest commit
 *     m/oldest      as Store.oldest
 *     m/session     drawn anew by each opening
 */
import type { LoggedChange, LoggedWrite } from './medium.ts';

export const dataPrefix = 'd/';
export const logPrefix = 'l/';
export const metaKeys = {
  schema: 'm/schema',
  revision: 'm/revision',
  oldest: 'm/oldest',
  session: 'm/session',
} as const;

/** Above every key that begins with the prefix: keys are printable ASCII. */
export function prefixEnd(prefix: string): string {
  return `${prefix}\x7f`;
}

export function logKey(revision: number): string {
  return logPrefix + String(revision).padStart(16, '0');
}

export function encodeValue(revision: number, value: string): string {
  return `${revision} ${value}`;
}

export function decodeValue(text: string): { revision: number; value: string } {
  const end = text.indexOf(' ');
  return { revision: Number(text.slice(0, end)), value: text.slice(end + 1) };
}

/** [milliseconds since the epoch, then per write: key, length of the value, of the previous one (-1: none), revision of that] */
type LogHeader = [number, ...[string, number, number, number][]];

/** A line of JSON, then all values back to back: values, which are JSON themselves, are not escaped again. */
export function encodeChange({ at, writes }: LoggedChange): string {
  const header: LogHeader = [at];
  let body = '';
  for (const { key, value, previous, was } of writes) {
    header.push([key, value?.length ?? -1, previous?.length ?? -1, was]);
    body += (value ?? '') + (previous ?? '');
  }
  return `${JSON.stringify(header)}\n${body}`;
}

export function decodeChange(revision: number, text: string): LoggedChange {
  let position = text.indexOf('\n') + 1;
  const [at, ...lengths] = JSON.parse(text.slice(0, position)) as LogHeader;
  const take = (length: number) => {
    if (length < 0) return undefined;
    position += length;
    return text.slice(position - length, position);
  };
  const writes: LoggedWrite[] = lengths.map(([key, valueLength, previousLength, was]) => {
    const value = take(valueLength);
    return { key, value, previous: take(previousLength), was };
  });
  return { revision, at, writes };
}
