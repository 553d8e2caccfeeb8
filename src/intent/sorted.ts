/**
 * Map sorted by key (numbers and bigints, or strings in code unit order) in chunks: look-up, insertion and removal in O(log n + chunk), walking in
 * order from any key. Iterators are meant for one synchronous go.
 */

type Chunk<K, V> = { keys: K[]; values: V[] };

const full = 256;
const small = 64;

export class SortedMap<K extends string | number | bigint, V> {
  #chunks: Chunk<K, V>[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: K): V | undefined {
    const chunk = this.#chunks[this.#chunkFor(key)];
    if (chunk === undefined) return undefined;
    const i = lowerBound(chunk.keys, key);
    return chunk.keys[i] === key ? chunk.values[i] : undefined;
  }

  set(key: K, value: V): this {
    if (this.#chunks.length === 0) this.#chunks.push({ keys: [], values: [] });
    const at = Math.min(this.#chunkFor(key), this.#chunks.length - 1);
    const chunk = this.#chunks[at]!;
    const i = lowerBound(chunk.keys, key);
    if (chunk.keys[i] === key) {
      chunk.values[i] = value;
      return this;
    }
    chunk.keys.splice(i, 0, key);
    chunk.values.splice(i, 0, value);
    this.#size++;
    if (chunk.keys.length > full) {
      // Keys that arrive in order leave full chunks behind; others are split in the middle.
      const cut = i === chunk.keys.length - 1 && at === this.#chunks.length - 1 ? full : full >> 1;
      this.#chunks.splice(at + 1, 0, { keys: chunk.keys.splice(cut), values: chunk.values.splice(cut) });
    }
    return this;
  }

  delete(key: K): boolean {
    const at = this.#chunkFor(key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return false;
    const i = lowerBound(chunk.keys, key);
    if (chunk.keys[i] !== key) return false;
    chunk.keys.splice(i, 1);
    chunk.values.splice(i, 1);
    this.#size--;
    if (chunk.keys.length === 0) this.#chunks.splice(at, 1);
    else if (chunk.keys.length < small) this.#mergeWithNext(chunk.keys.length, at);
    return true;
  }

  /** The entry with the largest key not above this one. */
  floor(key: K): [K, V] | undefined {
    let at = this.#chunkFor(key);
    let chunk = this.#chunks[at];
    let i = chunk === undefined ? 0 : lowerBound(chunk.keys, key);
    if (chunk !== undefined && chunk.keys[i] === key) return [key, chunk.values[i]!];
    if (i === 0) {
      at = Math.min(at, this.#chunks.length) - 1;
      chunk = this.#chunks[at];
      if (chunk === undefined) return undefined;
      i = chunk.keys.length;
    }
    return chunk === undefined ? undefined : [chunk.keys[i - 1]!, chunk.values[i - 1]!];
  }

  /** The entry with the smallest key not below this one. */
  ceiling(key: K): [K, V] | undefined {
    const chunk = this.#chunks[this.#chunkFor(key)];
    if (chunk === undefined) return undefined;
    const i = lowerBound(chunk.keys, key);
    return [chunk.keys[i]!, chunk.values[i]!];
  }

  first(): [K, V] | undefined {
    const chunk = this.#chunks[0];
    return chunk && [chunk.keys[0]!, chunk.values[0]!];
  }

  last(): [K, V] | undefined {
    const chunk = this.#chunks.at(-1);
    return chunk && [chunk.keys.at(-1)!, chunk.values.at(-1)!];
  }

  /** Values in the order of their keys; `after`: only of keys above it. */
  *values(after?: K): Generator<V, void, undefined> {
    let at = after === undefined ? 0 : this.#chunkFor(after);
    for (let skip = after !== undefined; at < this.#chunks.length; at++, skip = false) {
      const { keys, values } = this.#chunks[at]!;
      let i = 0;
      if (skip) {
        i = lowerBound(keys, after!);
        if (keys[i] === after) i++;
      }
      for (; i < values.length; i++) yield values[i]!;
    }
  }

  /** Entries in the order of their keys, from this key on. */
  *from(key: K): Generator<[K, V], void, undefined> {
    for (let at = this.#chunkFor(key), first = true; at < this.#chunks.length; at++, first = false) {
      const { keys, values } = this.#chunks[at]!;
      for (let i = first ? lowerBound(keys, key) : 0; i < keys.length; i++) yield [keys[i]!, values[i]!];
    }
  }

  *entries(): Generator<[K, V], void, undefined> {
    for (const { keys, values } of this.#chunks) for (let i = 0; i < keys.length; i++) yield [keys[i]!, values[i]!];
  }

  [Symbol.iterator](): Generator<[K, V], void, undefined> {
    return this.entries();
  }

  /** Index of the first chunk whose last key is not below the key; the number of chunks when there is none. */
  #chunkFor(key: K): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { keys } = this.#chunks[middle]!;
      if (keys[keys.length - 1]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #mergeWithNext(length: number, at: number): void {
    const next = this.#chunks[at + 1];
    if (next === undefined || length + next.keys.length > full >> 1) return;
    const chunk = this.#chunks[at]!;
    chunk.keys.push(...next.keys);
    chunk.values.push(...next.values);
    this.#chunks.splice(at + 1, 1);
  }
}

function lowerBound<K extends string | number | bigint>(keys: readonly K[], key: K): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
