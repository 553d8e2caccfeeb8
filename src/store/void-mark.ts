/**
 * A note beside the database: what lies beyond a revision never happened. It is needed because a write the disk
 * refused may still have reached the log, and come back when the log is next read (LevelDB, db_impl.cc: "the state of
 * the log file is indeterminate"), while its writer was told that nothing has changed.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { Problem } from '../problems.ts';

const length = 32;
const none = 'none';

/**
 * The file has its size from the first day and is overwritten in place, within one sector: a full disk has no say, and
 * it is never half-written.
 */
export class VoidMark {
  readonly #file: FileHandle;
  readonly #path: string;

  private constructor(file: FileHandle, path: string) {
    this.#file = file;
    this.#path = path;
  }

  static async open(path: string): Promise<VoidMark> {
    let file: FileHandle;
    try {
      file = await open(path, 'r+');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      file = await open(path, 'wx+', 0o600);
    }
    const mark = new VoidMark(file, path);
    // Empty: just made, or the machine stopped before the first line of it was written.
    if ((await file.stat()).size < length) await mark.clear();
    return mark;
  }

  /** Resolves to the revision everything beyond is void, if any. @throws Problem `store.unavailable` when it is not legible. */
  async read(): Promise<number | undefined> {
    const { buffer } = await this.#file.read(Buffer.alloc(length), 0, length, 0);
    const text = buffer.toString('latin1').trim();
    if (text === none) return undefined;
    const after = /^after (\d{1,16})$/.exec(text)?.[1];
    if (after === undefined) throw new Problem('store.unavailable', `${this.#path} is not legible.`);
    return Number(after);
  }

  /** Durable when it resolves. */
  async set(after: number): Promise<void> {
    await this.#write(`after ${after}`);
  }

  /** Durable when it resolves. */
  async clear(): Promise<void> {
    await this.#write(none);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #write(text: string): Promise<void> {
    await this.#file.write(Buffer.from(`${text.padEnd(length - 1)}\n`, 'latin1'), 0, length, 0);
    await this.#file.datasync();
  }
}
