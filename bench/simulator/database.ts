/**
 * The database of a simulated hypervisor: rows that are really kept, transactions that happen as a whole or not at all
 * (RFC 7047 section 5.2), rows that nobody refers to any more removed as ovsdb-server does. Only what Keyway uses of it.
 */
import { watchedTables } from '../../plugins/openvswitch/chassis/schema.ts';
import { type Column, mapOf, optional, type TableSchema, type Value } from '../../plugins/openvswitch/ovsdb/schema.ts';
import { isObject, isUuid } from '../../plugins/openvswitch/ovsdb/types.ts';
import { defaultValue, parseValue, sameValue } from '../../plugins/openvswitch/ovsdb/value.ts';

/** Columns of vswitch.ovsschema that are watched or written. */
export const schema: Record<string, TableSchema> = {
  ...watchedTables,
  Bridge: { ...watchedTables.Bridge, external_ids: mapOf('string', 'string'), datapath_id: optional('string') },
};

/** Whose rows last only as long as one of these columns refers to them. */
const references: readonly { table: string; column: string; to: string }[] = [
  { table: 'Open_vSwitch', column: 'bridges', to: 'Bridge' },
  { table: 'Open_vSwitch', column: 'manager_options', to: 'Manager' },
  { table: 'Bridge', column: 'ports', to: 'Port' },
  { table: 'Bridge', column: 'controller', to: 'Controller' },
  { table: 'Port', column: 'interfaces', to: 'Interface' },
];

export type Row = { readonly uuid: string; cells: Record<string, Value> };

/** A row as a transaction found it and as it left it; undefined: it was not there. */
export type RowChange = { table: string; uuid: string; before: Row['cells'] | undefined; after: Row | undefined };

type Operation = Record<string, unknown>;

export class OperationFailed extends Error {
  readonly error: string;
  constructor(error: string, details: string) {
    super(details);
    this.error = error;
  }
}

const refused = (details: string): OperationFailed => new OperationFailed('constraint violation', details);

export class Database {
  readonly #tables = new Map<string, Map<string, Row>>();
  /** How many references each row has. */
  readonly #referrers = new Map<string, number>();
  #nextUuid = 1;
  /** Of the transaction under way, by row. */
  #changes = new Map<string, RowChange>();
  /** Told of every transaction that changed something, once it is done. */
  readonly listeners = new Set<(changes: readonly RowChange[]) => void>();

  constructor() {
    for (const table of Object.keys(schema)) this.#tables.set(table, new Map());
  }

  rows(table: string): ReadonlyMap<string, Row> {
    const rows = this.#tables.get(table);
    if (rows === undefined) throw new OperationFailed('unknown table', table);
    return rows;
  }

  row(table: string, uuid: string): Row | undefined {
    return this.rows(table).get(uuid);
  }

  /** @returns a result for each operation, the last one the error of what failed: then nothing has changed */
  transact(operations: readonly unknown[]): unknown[] {
    const results: unknown[] = [];
    const named = new Map<string, string>();
    for (const operation of operations) {
      if (isObject(operation) && typeof operation['uuid-name'] === 'string')
        named.set(operation['uuid-name'], this.#uuid());
    }
    try {
      for (const operation of operations) {
        if (!isObject(operation)) throw new OperationFailed('syntax error', 'an operation is an object');
        results.push(this.#carryOut(operation, named));
      }
      this.#collect();
    } catch (error) {
      this.#undo();
      if (!(error instanceof OperationFailed)) throw error;
      results.push({ error: error.error, details: error.message });
      return results;
    }
    this.#tell();
    return results;
  }

  /** As ovs-vswitchd or ovs-vsctl would, by the same rules. */
  edit(work: (write: (table: string, uuid: string, cells: Record<string, Value>) => void) => void): void {
    work((table, uuid, cells) => {
      const row = this.row(table, uuid);
      if (row === undefined) throw new Error(`${table} has no row ${uuid}`);
      this.#write(table, row, cells);
    });
    this.#collect();
    this.#tell();
  }

  /** A row as somebody else makes it; refer to it in the same `edit` or it goes again. */
  make(table: string, cells: Record<string, Value>): string {
    return this.#insert(table, this.#uuid(), cells);
  }

  #uuid(): string {
    return `00000000-0000-4000-8000-${(this.#nextUuid++).toString(16).padStart(12, '0')}`;
  }

  #carryOut(operation: Operation, named: ReadonlyMap<string, string>): unknown {
    if (operation.op === 'comment') return {};
    const table = String(operation.table);
    const columns = schema[table];
    if (columns === undefined) throw new OperationFailed('unknown table', table);
    if (operation.op === 'insert') {
      const name = operation['uuid-name'];
      const uuid = typeof name === 'string' ? named.get(name)! : this.#uuid();
      this.#insert(table, uuid, this.#cells(columns, operation.row, named));
      return { uuid: ['uuid', uuid] };
    }
    const found = this.#where(table, columns, operation.where);
    if (operation.op === 'update') {
      const cells = this.#cells(columns, operation.row, named);
      for (const row of found) this.#write(table, row, cells);
    } else if (operation.op === 'mutate') {
      for (const row of found) this.#mutate(table, columns, row, operation.mutations, named);
    } else if (operation.op === 'select') {
      return { rows: found.map((row) => ({ _uuid: ['uuid', row.uuid], ...jsonCells(columns, row.cells) })) };
    } else if (operation.op === 'wait') {
      // Only what is asked of it: that no such row, or one, is there.
      const wanted = Array.isArray(operation.rows) ? operation.rows.length : 0;
      if ((found.length === wanted) !== (operation.until === '==')) throw new OperationFailed('timed out', '');
      return {};
    } else {
      throw new OperationFailed('not supported', `operation ${String(operation.op)} is not simulated`);
    }
    return { count: found.length };
  }

  #where(table: string, columns: TableSchema, conditions: unknown): Row[] {
    if (!Array.isArray(conditions)) throw new OperationFailed('syntax error', 'where is an array');
    let found: Iterable<Row> = this.rows(table).values();
    for (const [column, fn, json] of conditions as [string, string, unknown][]) {
      if (fn !== '==') throw new OperationFailed('not supported', `condition ${fn} is not simulated`);
      if (column === '_uuid') {
        const row = this.row(table, uuidOf(json));
        found = row === undefined ? [] : [row];
      } else {
        const value = parseValue(columnOf(columns, column), json);
        found = [...found].filter(({ cells }) => sameValue(cells[column], value));
      }
    }
    return [...found];
  }

  #cells(columns: TableSchema, json: unknown, named: ReadonlyMap<string, string>): Record<string, Value> {
    if (!isObject(json)) throw new OperationFailed('syntax error', 'a row is an object');
    return Object.fromEntries(
      Object.entries(json).map(([name, value]) => [name, parseValue(columnOf(columns, name), resolve(value, named))]),
    );
  }

  #insert(table: string, uuid: string, cells: Record<string, Value>): string {
    const row: Row = { uuid, cells: {} };
    for (const [name, column] of Object.entries(schema[table]!)) row.cells[name] = defaultValue(column);
    this.#changes.set(uuid, { table, uuid, before: undefined, after: row });
    this.#tables.get(table)!.set(uuid, row);
    this.#write(table, row, cells);
    return uuid;
  }

  #mutate(table: string, columns: TableSchema, row: Row, mutations: unknown, named: ReadonlyMap<string, string>): void {
    for (const [name, mutator, json] of mutations as [string, string, unknown][]) {
      const column = columnOf(columns, name);
      const value = row.cells[name];
      if (mutator === '+=' && typeof value === 'number' && typeof json === 'number') {
        this.#write(table, row, { [name]: value + json });
      } else if (value instanceof Set && (mutator === 'insert' || mutator === 'delete')) {
        const members = parseValue(column, resolve(json, named)) as Set<string>;
        this.#write(table, row, { [name]: mutator === 'insert' ? value.union(members) : value.difference(members) });
      } else if (value instanceof Map && mutator === 'insert') {
        // What is there under a key stays (RFC 7047 section 5.1).
        this.#write(table, row, { [name]: new Map([...(parseValue(column, json) as Map<string, string>), ...value]) });
      } else if (value instanceof Map && mutator === 'delete') {
        const copy = new Map(value);
        for (const key of keysOf(json)) copy.delete(key);
        this.#write(table, row, { [name]: copy });
      } else {
        throw new OperationFailed('not supported', `${mutator} of ${table}.${name} is not simulated`);
      }
    }
  }

  /** Values are replaced, never changed in place: what the transaction found stays as it was. */
  #write(table: string, row: Row, cells: Record<string, Value>): void {
    if (!this.#changes.has(row.uuid))
      this.#changes.set(row.uuid, { table, uuid: row.uuid, before: row.cells, after: row });
    const before = row.cells;
    row.cells = { ...before, ...cells };
    this.#refer(table, before, row.cells);
  }

  #refer(table: string, before: Row['cells'], after: Row['cells']): void {
    for (const { column, table: from } of references) {
      if (from !== table || before[column] === after[column]) continue;
      for (const uuid of (before[column] as Set<string> | undefined) ?? []) this.#count(uuid, -1);
      for (const uuid of (after[column] as Set<string> | undefined) ?? []) this.#count(uuid, 1);
    }
  }

  #count(uuid: string, by: number): void {
    this.#referrers.set(uuid, (this.#referrers.get(uuid) ?? 0) + by);
  }

  /** Rows that nothing refers to go, and what they referred to; a reference to nothing fails. */
  #collect(): void {
    for (let again = true; again; ) {
      again = false;
      for (const change of [...this.#changes.values()]) {
        for (const { table, column, to } of references) {
          if (change.table !== table) continue;
          for (const uuid of membersOf(change.before, column)) again = this.#drop(to, uuid) || again;
          for (const uuid of membersOf(change.after?.cells, column))
            if (this.row(to, uuid) === undefined)
              throw refused(`${table}.${column} refers to ${uuid}, which is not there`);
        }
        if (change.table !== 'Open_vSwitch' && change.after) again = this.#drop(change.table, change.uuid) || again;
      }
    }
  }

  #drop(table: string, uuid: string): boolean {
    const row = this.row(table, uuid);
    if (row === undefined || (this.#referrers.get(uuid) ?? 0) > 0) return false;
    this.#tables.get(table)!.delete(uuid);
    this.#referrers.delete(uuid);
    const change = this.#changes.get(uuid);
    this.#refer(table, row.cells, {});
    if (change !== undefined && change.before === undefined) this.#changes.delete(uuid);
    else this.#changes.set(uuid, { table, uuid, before: change?.before ?? row.cells, after: undefined });
    return true;
  }

  #undo(): void {
    for (const { table, uuid, before, after } of [...this.#changes.values()].reverse()) {
      const rows = this.#tables.get(table)!;
      const row = rows.get(uuid) ?? after ?? { uuid, cells: {} };
      this.#refer(table, rows.has(uuid) ? row.cells : {}, before ?? {});
      if (before === undefined) rows.delete(uuid);
      else rows.set(uuid, Object.assign(row, { cells: before }));
    }
    this.#changes = new Map();
  }

  #tell(): void {
    const changes = [...this.#changes.values()];
    this.#changes = new Map();
    if (changes.length > 0) for (const listener of this.listeners) listener(changes);
  }
}

function columnOf(columns: TableSchema, name: string): Column {
  const column = columns[name];
  if (column === undefined) throw new OperationFailed('unknown column', name);
  return column;
}

function membersOf(cells: Row['cells'] | undefined, column: string): Iterable<string> {
  const value = cells?.[column];
  return value instanceof Set ? (value as Set<string>) : [];
}

function uuidOf(json: unknown): string {
  const uuid = Array.isArray(json) && json[0] === 'uuid' ? json[1] : undefined;
  if (!isUuid(uuid)) throw new OperationFailed('syntax error', 'a UUID is wanted');
  return uuid;
}

/** Names of rows made in the same transaction, replaced by their UUIDs. */
function resolve(json: unknown, named: ReadonlyMap<string, string>): unknown {
  if (!Array.isArray(json)) return json;
  if (json[0] === 'named-uuid') {
    const uuid = named.get(String(json[1]));
    if (uuid === undefined) throw new OperationFailed('syntax error', `no row is named ${String(json[1])}`);
    return ['uuid', uuid];
  }
  if (json[0] === 'set') return ['set', (json[1] as unknown[]).map((atom) => resolve(atom, named))];
  return json;
}

/** Of a map's `delete`, which names keys or pairs. */
function keysOf(json: unknown): string[] {
  const [kind, list] = json as [string, unknown[]];
  return kind === 'map' ? list.map((pair) => String((pair as unknown[])[0])) : list.map(String);
}

/** RFC 7047 section 5.1. */
export function jsonValue(column: Column, value: Value): unknown {
  const atom = (one: unknown): unknown => (column.kind === 'uuid' ? ['uuid', one] : one);
  if (value === undefined) return ['set', []];
  if (value instanceof Set) return ['set', [...value].map(atom)];
  if (value instanceof Map) return ['map', [...value]];
  return atom(value);
}

export function jsonCells(columns: TableSchema, cells: Row['cells']): Record<string, unknown> {
  return Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, jsonValue(column, cells[name])]));
}
