/** `backup`: the controller's backup to a file, which has its name only once it is whole. */
import { createHash } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import type { Handler } from '../command.ts';
import { Unreachable, UsageError } from '../errors.ts';

/** Milliseconds from one piece to the next. */
const usualTimeout = 60_000;

type Taken = { revision: number; entries: number; bytes: number };

export const backup: Handler = async ({ session, args, io }) => {
  const file = args.positionals[0]!;
  const client = await session.client();
  const pieces = await client.download('/v1/backup', session.timeout() ?? usualTimeout);
  if (file === '-') {
    const decoder = new StringDecoder('utf8');
    await take(pieces, (piece) => io.stdout.write(decoder.write(piece)));
    return 0;
  }
  const taken = await toFile(file, pieces);
  if (await session.printAs(session.format('text'), { file, ...taken })) return 0;
  const { revision, entries, bytes } = taken;
  session.print(`${file}: revision ${revision}, ${entries} entries, ${(bytes / 2 ** 20).toFixed(1)} MB\n`);
  return 0;
};

async function toFile(file: string, pieces: AsyncIterable<Buffer>): Promise<Taken> {
  const unfinished = `${file}.unfinished`;
  try {
    await rm(unfinished, { force: true });
    let taken: Taken;
    {
      await using handle = await open(unfinished, 'wx', 0o600);
      taken = await take(pieces, async (piece) => {
        await handle.writeFile(piece);
      });
      await handle.sync();
    }
    await rename(unfinished, file);
    await using directory = await open(dirname(resolve(file)), 'r');
    await directory.sync();
    return taken;
  } catch (error) {
    await rm(unfinished, { force: true });
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== undefined && path !== undefined) throw new UsageError(`${file}: ${(error as Error).message}`);
    throw error;
  }
}

/** @throws Unreachable when it ends early, or is not what the controller sent */
async function take(pieces: AsyncIterable<Buffer>, put: (piece: Buffer) => unknown): Promise<Taken> {
  const hash = createHash('sha256');
  let bytes = 0;
  let head: Buffer | undefined;
  /** The last line so far, which is not part of the checksum, and what came of the next one. */
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of pieces) {
    await put(piece);
    bytes += piece.length;
    rest = Buffer.concat([rest, piece]);
    const end = rest.lastIndexOf(0x0a);
    const line = end > 0 ? rest.lastIndexOf(0x0a, end - 1) + 1 : 0;
    if (line === 0) continue;
    head ??= rest.subarray(0, rest.indexOf(0x0a));
    hash.update(rest.subarray(0, line));
    rest = rest.subarray(line);
  }
  const header = parsed(head) as { revision?: unknown } | undefined;
  const last = parsed(rest) as { entries?: unknown; sha256?: unknown } | undefined;
  const { revision } = header ?? {};
  const { entries, sha256 } = last ?? {};
  if (
    typeof revision !== 'number' ||
    typeof entries !== 'number' ||
    sha256 !== hash.digest('hex') ||
    rest.at(-1) !== 0x0a
  )
    throw new Unreachable(
      'The backup is not whole: it was cut off, or changed on the way',
      'Take it again. Nothing was kept.',
    );
  return { revision, entries, bytes };
}

function parsed(line: Buffer | undefined): unknown {
  try {
    return line && JSON.parse(line.toString('utf8'));
  } catch {
    // Not the line it should be: told by what lacks in it.
    return undefined;
  }
}
