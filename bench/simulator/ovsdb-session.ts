/** The server's side of an OVSDB session that the hypervisor opened (RFC 7047 section 4): what Keyway asks, and no more. */
import type { Socket } from 'node:net';
import { JsonFramer } from '../../plugins/openvswitch/ovsdb/json-frame.ts';
import type { Column, TableSchema, Value } from '../../plugins/openvswitch/ovsdb/schema.ts';
import { isObject } from '../../plugins/openvswitch/ovsdb/types.ts';
import { sameValue } from '../../plugins/openvswitch/ovsdb/value.ts';
import { type Database, jsonValue, type RowChange, schema } from './database.ts';

type Monitor = { name: unknown; columns: Map<string, TableSchema> };

export class OvsdbSession {
  readonly #socket: Socket;
  readonly #database: Database;
  readonly #monitors: Monitor[] = [];
  readonly #listener = (changes: readonly RowChange[]): void => this.#changed(changes);

  constructor(socket: Socket, database: Database) {
    this.#socket = socket;
    this.#database = database;
    const framer = new JsonFramer((text) => this.#receive(JSON.parse(text) as unknown));
    socket.on('data', (chunk: Buffer) => framer.push(chunk));
    socket.on('close', () => database.listeners.delete(this.#listener));
    database.listeners.add(this.#listener);
  }

  #receive(message: unknown): void {
    if (!isObject(message)) throw new Error('a JSON-RPC message is an object');
    // Of what it answers us there is nothing but echoes, and we ask for none.
    if (typeof message.method !== 'string') return;
    const params = message.params as unknown[];
    const answer = this.#answer(message.method, params);
    if (message.id !== null) this.#send({ id: message.id, result: null, error: null, ...answer });
  }

  #answer(method: string, params: unknown[]): { result: unknown } | { error: unknown } {
    switch (method) {
      case 'echo':
        return { result: params };
      case 'list_dbs':
        return { result: ['Open_vSwitch'] };
      case 'monitor_cond':
        return { result: this.#monitor(params[1], params[2] as Record<string, { columns: string[] }[]>) };
      case 'transact':
        return { result: this.#database.transact(params.slice(1)) };
      default:
        return { error: 'unknown method' };
    }
  }

  #monitor(name: unknown, requests: Record<string, { columns: string[] }[]>): unknown {
    const monitor: Monitor = { name, columns: new Map() };
    const contents: Record<string, Record<string, unknown>> = {};
    for (const [table, [request]] of Object.entries(requests)) {
      const columns = Object.fromEntries(request!.columns.map((column) => [column, schema[table]![column]!]));
      monitor.columns.set(table, columns);
      const rows: Record<string, unknown> = {};
      for (const row of this.#database.rows(table).values()) rows[row.uuid] = { initial: whole(columns, row.cells) };
      contents[table] = rows;
    }
    this.#monitors.push(monitor);
    return contents;
  }

  #changed(changes: readonly RowChange[]): void {
    for (const { name, columns } of this.#monitors) {
      const tables: Record<string, Record<string, unknown>> = {};
      let any = false;
      for (const change of changes) {
        const watched = columns.get(change.table);
        const update = watched && rowUpdate(watched, change);
        if (update === undefined) continue;
        any = true;
        tables[change.table] ??= {};
        tables[change.table]![change.uuid] = update;
      }
      if (any) this.#send({ id: null, method: 'update2', params: [name, tables] });
    }
  }

  #send(message: object): void {
    this.#socket.write(JSON.stringify(message));
  }
}

/** Columns that have their default value are left out (ovsdb-server(7), 4.1.14). */
function whole(columns: TableSchema, cells: Record<string, Value>): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const [name, column] of Object.entries(columns)) {
    const value = cells[name];
    if (!isDefault(value)) row[name] = jsonValue(column, value);
  }
  return row;
}

function isDefault(value: Value): boolean {
  if (value instanceof Set || value instanceof Map) return value.size === 0;
  return value === undefined || value === '' || value === 0 || value === false;
}

/** `<row-update2>`. */
function rowUpdate(columns: TableSchema, { before, after }: RowChange): object | undefined {
  if (after === undefined) return { delete: null };
  if (before === undefined) return { insert: whole(columns, after.cells) };
  const modified: Record<string, unknown> = {};
  let any = false;
  for (const [name, column] of Object.entries(columns)) {
    const [old, now] = [before[name], after.cells[name]];
    if (old === now || sameValue(old, now)) continue;
    any = true;
    modified[name] = difference(column, old, now);
  }
  return any ? { modify: modified } : undefined;
}

/** In a set, what changed sides; in a map, what was put and what went; any other value whole. */
function difference(column: Column, old: Value, now: Value): unknown {
  if (old instanceof Set && now instanceof Set) return jsonValue(column, old.symmetricDifference(now));
  if (old instanceof Map && now instanceof Map) {
    const pairs = [...old].filter(([key]) => !now.has(key));
    for (const [key, value] of now) if (old.get(key) !== value) pairs.push([key, value]);
    return ['map', pairs];
  }
  return jsonValue(column, now);
}
