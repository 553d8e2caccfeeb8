/** What is to be done to a switch, flow by flow; each table, priority and match occurs at most once. */
import { isMeterRecord } from '../openflow/meter-record.ts';
import { recordCookie } from '../openflow/record.ts';

/** Memory with records at offsets from `at`: a unit, or what was read back. */
export type RecordSource = { bytes: Uint8Array; at: number };

const deleteFlag = 1;
const installedFlag = 2;

/** Parallel arrays, since there may be 100,000. Adds keep their order, and so do deletes. */
export class Operations {
  readonly #sources: RecordSource[] = [];
  readonly #offsets: number[] = [];
  readonly #flags: number[] = [];
  #deletes = 0;
  #meters = 0;

  get length(): number {
    return this.#sources.length;
  }

  /** How many of them are about meters. */
  get meters(): number {
    return this.#meters;
  }

  isMeter(index: number): boolean {
    return isMeterRecord(this.source(index).bytes, this.source(index).at + this.offset(index));
  }

  /** @param installed the switch has a flow under this key now, which is overwritten */
  add(source: RecordSource, offset: number, installed: boolean): void {
    this.#push(source, offset, installed ? installedFlag : 0);
  }

  /** Strictly: this table, priority and match. */
  delete(source: RecordSource, offset: number): void {
    this.#push(source, offset, deleteFlag | installedFlag);
  }

  source(index: number): RecordSource {
    return this.#sources[index]!;
  }

  /** From the beginning of the source. */
  offset(index: number): number {
    return this.#offsets[index]!;
  }

  isDelete(index: number): boolean {
    return (this.#flags[index]! & deleteFlag) !== 0;
  }

  isInstalled(index: number): boolean {
    return (this.#flags[index]! & installedFlag) !== 0;
  }

  /** Copies one operation of another list. */
  take(other: Operations, index: number): void {
    this.#push(other.source(index), other.offset(index), other.#flags[index]!);
  }

  slice(from: number, to: number): Operations {
    const part = new Operations();
    for (let index = from; index < Math.min(to, this.length); index++) part.take(this, index);
    return part;
  }

  /** Those the test holds for, and the others, each in their order. */
  parted(test: (index: number) => boolean): [Operations, Operations] {
    const parts: [Operations, Operations] = [new Operations(), new Operations()];
    for (let index = 0; index < this.length; index++) parts[test(index) ? 0 : 1].take(this, index);
    return parts;
  }

  /** Adds first: nothing that is wanted waits for what is to go. */
  addsFirst(): Operations {
    if (this.#deletes === 0 || this.#deletes === this.length) return this;
    const ordered = new Operations();
    for (let index = 0; index < this.length; index++) if (!this.isDelete(index)) ordered.take(this, index);
    for (let index = 0; index < this.length; index++) if (this.isDelete(index)) ordered.take(this, index);
    return ordered;
  }

  #push(source: RecordSource, offset: number, flags: number): void {
    this.#sources.push(source);
    this.#offsets.push(offset);
    this.#flags.push(flags);
    if ((flags & deleteFlag) !== 0) this.#deletes++;
    if (isMeterRecord(source.bytes, source.at + offset)) this.#meters++;
  }
}

/**
 * The object a record serves, which is what is set aside when a switch refuses one of its flows: the cookie's resource
 * number. Flows of the pipeline itself (resource 0) stand for their own stage only, told by negative numbers.
 */
export function objectOf(bytes: Uint8Array, at: number): number {
  const low = ((bytes[at + 12]! << 24) | (bytes[at + 13]! << 16) | (bytes[at + 14]! << 8) | bytes[at + 15]!) >>> 0;
  const resource = bytes[at + 11]! * 0x1_0000_0000 + low;
  if (resource !== 0) return resource;
  return -1 - ((bytes[at + 8]! << 16) | (bytes[at + 9]! << 8) | bytes[at + 10]!);
}

export function cookieOf(operations: Operations, index: number): bigint {
  const source = operations.source(index);
  return recordCookie(source.bytes, source.at + operations.offset(index));
}
