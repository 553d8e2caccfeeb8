/**
 * Writes to the indexes of a model, each with what was there before: so that a transaction can be taken back
 * whole and done again, at the cost of what it touched.
 */

/** Map, SortedMap: whatever holds one value per key. */
export interface Table<K, V> {
  readonly size: number;
  get(key: K): V | undefined;
  set(key: K, value: V): unknown;
  delete(key: K): unknown;
}

type Write = { table: Table<unknown, unknown>; key: unknown; before: unknown; after: unknown };

export class Log {
  readonly #writes: Write[] = [];
  readonly #keep: boolean;

  /** @param keep false: nothing is to be taken back, the model is being loaded. */
  constructor({ keep = true }: { keep?: boolean } = {}) {
    this.#keep = keep;
  }

  get length(): number {
    return this.#writes.length;
  }

  /** Sets the key, or removes it when the value is undefined. */
  write<K, V>(table: Table<K, V>, key: K, after: V | undefined): void {
    const before = table.get(key);
    if (before === after) return;
    if (this.#keep) this.#writes.push({ table: table as Table<unknown, unknown>, key, before, after });
    put(table as Table<unknown, unknown>, key, after);
  }

  /** Writes into a table that is itself a value of `tables`: made with its first key, gone with its last. */
  writeIn<O, K, V>(
    tables: Table<O, Table<K, V>>,
    outer: O,
    make: () => Table<K, V>,
    key: K,
    after: V | undefined,
  ): void {
    let table = tables.get(outer);
    if (table === undefined) {
      if (after === undefined) return;
      table = make();
      this.write(tables, outer, table);
    }
    this.write(table, key, after);
    if (table.size === 0) this.write(tables, outer, undefined);
  }

  /** Takes everything back. The tables are then as before the first write. */
  undo(): void {
    for (let i = this.#writes.length - 1; i >= 0; i--) {
      const { table, key, before } = this.#writes[i]!;
      put(table, key, before);
    }
  }

  /** Does everything again, after undo and on the same state as the first time. */
  redo(): void {
    for (const { table, key, after } of this.#writes) put(table, key, after);
  }
}

function put(table: Table<unknown, unknown>, key: unknown, value: unknown): void {
  if (value === undefined) table.delete(key);
  else table.set(key, value);
}
