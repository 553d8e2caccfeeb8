/**
 * Tables of a database as its server last told us, fed by monitor updates. Nothing is repaired: an update that does
 * not fit what is here throws, the session ends, and the next one starts anew.
 */
import type { MonitorVersion } from './client.ts';
import { ProtocolError } from './errors.ts';
import type { DatabaseSchema, Row, TableSchema, Value } from './schema.ts';
import { brief, isObject, isUuid } from './types.ts';
import { applyDifference, defaultValue, type Membership, membershipBetween, parseValue, sameValue } from './value.ts';

type AnyRow = { uuid: string } & Record<string, Value>;

/** What one update did to one row. */
export type RowChange<S extends DatabaseSchema> = {
  [T in keyof S]: {
    table: T;
    kind: 'insert' | 'modify' | 'delete';
    /** As it is after the update; as it was last, if it went. */
    row: Row<S[T]>;
    /** Columns that differ; all of them when the row came or went. */
    columns: ReadonlySet<keyof S[T]>;
    /** What came into a set column and what left it. */
    membership(column: keyof S[T]): Membership;
  };
}[keyof S];

/** A server that sends more means us no good. */
const DEFAULT_MAX_ROWS = 1_000_000;

export class DatabaseCache<S extends DatabaseSchema> {
  readonly #schema: S;
  readonly #maxRows: number;
  #rows = 0;
  readonly #tables = new Map<string, Map<string, AnyRow>>();
  readonly #columns = new Map<string, ReadonlySet<string>>();

  /** @param maxRows of all tables together; an update that brings more throws. */
  constructor(schema: S, maxRows = DEFAULT_MAX_ROWS) {
    this.#schema = schema;
    this.#maxRows = maxRows;
    for (const [table, columns] of Object.entries(schema)) {
      this.#tables.set(table, new Map());
      this.#columns.set(table, new Set(Object.keys(columns)));
    }
  }

  /** Columns by table, as `OvsdbConnection.monitor` takes them. */
  get watched(): Record<string, string[]> {
    return Object.fromEntries(Object.entries(this.#schema).map(([table, columns]) => [table, Object.keys(columns)]));
  }

  /** Rows by UUID. */
  table<T extends keyof S & string>(table: T): ReadonlyMap<string, Row<S[T]>> {
    return this.#tables.get(table) as unknown as ReadonlyMap<string, Row<S[T]>>;
  }

  row<T extends keyof S & string>(table: T, rowUuid: string): Row<S[T]> | undefined {
    return this.table(table).get(rowUuid);
  }

  /**
   * Takes the tables of one update, or the first contents.
   * @returns what changed, in the order of the message; every row is up to date by then.
   * @throws ProtocolError when the update has a wrong shape or does not fit; the cache is of no use afterwards.
   */
  apply(tables: Record<string, unknown>, version: MonitorVersion): RowChange<S>[] {
    const changes: RowChange<S>[] = [];
    for (const [table, rows] of Object.entries(tables)) {
      const columns = Object.hasOwn(this.#schema, table) ? this.#schema[table] : undefined;
      if (!columns || !isObject(rows)) throw new ProtocolError(`an update of table ${brief(table)}: ${brief(rows)}`);
      for (const [rowUuid, change] of Object.entries(rows)) {
        if (!isUuid(rowUuid) || !isObject(change))
          throw new ProtocolError(`${table} ${brief(rowUuid)}: ${brief(change)}`);
        const done =
          version === 'update2'
            ? this.#applyUpdate2(table, columns, rowUuid, change)
            : this.#applyUpdate(table, columns, rowUuid, change);
        if (done) changes.push(done as unknown as RowChange<S>);
      }
    }
    return changes;
  }

  /** `<row-update2>`: exactly one of initial, insert, modify, delete. */
  #applyUpdate2(table: string, columns: TableSchema, rowUuid: string, change: Record<string, unknown>) {
    if ('initial' in change) return this.#insert(table, columns, rowUuid, change.initial);
    if ('insert' in change) return this.#insert(table, columns, rowUuid, change.insert);
    if ('delete' in change) return this.#delete(table, rowUuid);
    if ('modify' in change) return this.#modify(table, columns, rowUuid, change.modify);
    throw new ProtocolError(`${table} ${rowUuid}: ${brief(change)} is no row update`);
  }

  /** RFC 7047 section 4.1.6 `<row-update>`: `new` alone is an insertion, `old` alone a deletion, both a change. */
  #applyUpdate(table: string, columns: TableSchema, rowUuid: string, change: Record<string, unknown>) {
    const { new: after, old: before } = change;
    if (after === undefined && before === undefined)
      throw new ProtocolError(`${table} ${rowUuid}: an empty row update`);
    if (after === undefined) return this.#delete(table, rowUuid);
    if (before === undefined) return this.#insert(table, columns, rowUuid, after);
    return this.#replace(table, columns, rowUuid, after);
  }

  #insert(table: string, columns: TableSchema, rowUuid: string, json: unknown) {
    const rows = this.#tables.get(table)!;
    if (rows.has(rowUuid)) throw new ProtocolError(`${table} ${rowUuid} inserted, which is here already`);
    if (++this.#rows > this.#maxRows) throw new ProtocolError(`more than ${this.#maxRows} rows`);
    const row: AnyRow = { uuid: rowUuid };
    for (const [name, column] of Object.entries(columns)) row[name] = defaultValue(column);
    for (const [name, value] of cells(table, columns, json)) row[name] = parseValue(columns[name]!, value);
    rows.set(rowUuid, row);
    return this.#whole(table, 'insert', row);
  }

  #delete(table: string, rowUuid: string) {
    const row = this.#known(table, rowUuid);
    this.#tables.get(table)!.delete(rowUuid);
    this.#rows--;
    return this.#whole(table, 'delete', row);
  }

  #modify(table: string, columns: TableSchema, rowUuid: string, json: unknown) {
    const row = this.#known(table, rowUuid);
    const changed = new Map<string, Membership>();
    for (const [name, difference] of cells(table, columns, json)) {
      const { value, membership } = applyDifference(columns[name]!, row[name], difference);
      row[name] = value;
      changed.set(name, membership);
    }
    return modification(table, row, changed);
  }

  #replace(table: string, columns: TableSchema, rowUuid: string, json: unknown) {
    const row = this.#known(table, rowUuid);
    const changed = new Map<string, Membership>();
    for (const [name, cell] of cells(table, columns, json)) {
      const value = parseValue(columns[name]!, cell);
      if (sameValue(row[name], value)) continue;
      changed.set(name, membershipBetween(row[name], value));
      row[name] = value;
    }
    return changed.size > 0 ? modification(table, row, changed) : undefined;
  }

  #known(table: string, rowUuid: string): AnyRow {
    const row = this.#tables.get(table)!.get(rowUuid);
    if (!row) throw new ProtocolError(`an update of ${table} ${rowUuid}, unknown here`);
    return row;
  }

  #whole(table: string, kind: 'insert' | 'delete', row: AnyRow) {
    const membership = (column: string): Membership => {
      const value = row[column];
      const atoms = value instanceof Set ? [...value] : [];
      return kind === 'insert' ? { added: atoms, removed: [] } : { added: [], removed: atoms };
    };
    return { table, kind, row, columns: this.#columns.get(table)!, membership };
  }
}

function modification(table: string, row: AnyRow, changed: Map<string, Membership>) {
  const membership = (column: string): Membership => changed.get(column) ?? { added: [], removed: [] };
  return { table, kind: 'modify' as const, row, columns: new Set(changed.keys()), membership };
}

function cells(table: string, columns: TableSchema, json: unknown): [string, unknown][] {
  if (!isObject(json)) throw new ProtocolError(`${brief(json)} where a row of ${table} is due`);
  const entries = Object.entries(json);
  for (const [name] of entries) {
    if (!Object.hasOwn(columns, name))
      throw new ProtocolError(`${table} with a column ${brief(name)}, which nobody asked for`);
  }
  return entries;
}
