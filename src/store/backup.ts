/**
 * A backup: everything of a store at one revision, as lines of JSON in UTF-8, each ended by a line feed.
 *
 *     {"keyway":"0.1.0","schema":1,"revision":812,"at":"2026-01-02T03:04:05.678Z"}
 *     {"key":"…","revision":17,"value":"…"}          sorted by key, one line each; the value is the text itself
 *     {"entries":4711,"sha256":"…"}                  of all bytes before this line
 *
 * A file without its last line is none: it was cut off on the way.
 */
import { createHash } from 'node:crypto';
import { schema } from './schema.ts';
import type { Entry, Snapshot } from './store.ts';

export type BackupHeader = {
  /** Version of the Keyway that made it. */
  keyway: string;
  /** Version of what the entries mean. */
  schema: number;
  /** The store goes on from here. */
  revision: number;
  /** When it was made, RFC 3339. */
  at: string;
};

/** Characters written in one piece. */
const pieceSize = 64 << 10;

/** The backup in pieces, read from the snapshot as they are taken. @throws Problem as Snapshot.entries */
export async function* backupOf(snapshot: Snapshot, keyway: string, at = new Date()): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  const finished = (text: string): Buffer => {
    const piece = Buffer.from(text, 'utf8');
    hash.update(piece);
    return piece;
  };
  const header: BackupHeader = { keyway, schema: schema.version, revision: snapshot.revision, at: at.toISOString() };
  let text = lineOf(header);
  let entries = 0;
  for await (const { key, revision, value } of snapshot.entries()) {
    text += lineOf({ key, revision, value } satisfies Entry);
    entries++;
    if (text.length < pieceSize) continue;
    yield finished(text);
    text = '';
  }
  yield finished(text);
  yield Buffer.from(lineOf({ entries, sha256: hash.digest('hex') }));
}

function lineOf(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

/** What was given as a backup is none, or not whole. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
}

/** Bytes of one line at most: something that is no backup must not fill the memory. */
const longestLine = 256 << 20;

/**
 * Reads a backup: `header` is called first, then `entry` for each, and the promise is kept once all of it has been seen
 * and its checksum is right. @throws BackupError; whatever `header` and `entry` throw
 */
export async function readBackup(
  source: AsyncIterable<Buffer>,
  take: { header(header: BackupHeader): Promise<void>; entry(entry: Entry): Promise<void> | void },
): Promise<{ entries: number }> {
  const hash = createHash('sha256');
  let header: BackupHeader | undefined;
  let entries = 0;
  let before = '';
  let ended = false;
  for await (const line of linesOf(source)) {
    if (ended) throw new BackupError('Something stands behind its last line.');
    const value = parsed(line);
    if (header === undefined) {
      if (!isHeader(value))
        throw new BackupError('It is no backup of Keyway: its first line is not the header of one.');
      header = value;
      await take.header(value);
    } else if (isEnd(value)) {
      ended = true;
      if (value.sha256 !== hash.digest('hex'))
        throw new BackupError('Its checksum is not that of its content: it was changed, or damaged on the way.');
      if (value.entries !== entries) throw new BackupError(`It has ${entries} entries and says ${value.entries}.`);
      continue;
    } else {
      if (!isEntry(value) || value.key <= before || value.revision > header.revision)
        throw new BackupError(`Line ${entries + 2} is not an entry, or not in its place.`);
      before = value.key;
      entries++;
      // A promise for each would cost more than the entry.
      const taken = take.entry(value);
      if (taken !== undefined) await taken;
    }
    hash.update(line).update('\n');
  }
  if (header === undefined) throw new BackupError('It is empty.');
  if (!ended) throw new BackupError('It lacks its last line, the checksum: it was cut off on the way.');
  return { entries };
}

/** Lines without their line feeds. What follows the last line feed is a line that was cut off, and left out. */
async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const piece of source) {
    let from = 0;
    for (let to = piece.indexOf(0x0a); to >= 0; to = piece.indexOf(0x0a, from)) {
      const rest = piece.subarray(from, to);
      yield parts.length === 0 ? rest : Buffer.concat([...parts, rest]);
      parts = [];
      length = 0;
      from = to + 1;
    }
    if (from === piece.length) continue;
    parts.push(piece.subarray(from));
    length += piece.length - from;
    if (length > longestLine) throw new BackupError('It is no backup of Keyway: it has a line without an end.');
  }
}

function parsed(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch {
    // Judged by the caller, as whatever else is no line of a backup.
    return undefined;
  }
}

type Loose = Record<string, unknown>;

function isObject(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null;
}

function isRevision(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isHeader(value: unknown): value is BackupHeader {
  if (!isObject(value)) return false;
  const { keyway, schema: version, revision, at } = value;
  return (
    typeof keyway === 'string' && isRevision(version) && version > 0 && isRevision(revision) && typeof at === 'string'
  );
}

function isEntry(value: unknown): value is Entry {
  if (!isObject(value)) return false;
  return typeof value.key === 'string' && typeof value.value === 'string' && isRevision(value.revision);
}

function isEnd(value: unknown): value is { entries: number; sha256: string } {
  return isObject(value) && isRevision(value.entries) && typeof value.sha256 === 'string';
}
