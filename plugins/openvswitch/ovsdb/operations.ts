/** Operations of a transaction (RFC 7047 section 5.2). */
import { type JsonRow, type JsonValue, uuid } from './types.ts';

export type Condition = [column: string, fn: '==' | '!=' | 'includes' | 'excludes', value: JsonValue];
export type Mutation = [column: string, mutator: '+=' | 'insert' | 'delete', value: JsonValue];

export type Operation =
  | { op: 'insert'; table: string; row: JsonRow; 'uuid-name'?: string }
  | { op: 'select'; table: string; where: Condition[]; columns?: string[] }
  | { op: 'update'; table: string; where: Condition[]; row: JsonRow }
  | { op: 'mutate'; table: string; where: Condition[]; mutations: Mutation[] }
  | { op: 'delete'; table: string; where: Condition[] }
  | {
      op: 'wait';
      table: string;
      where: Condition[];
      columns: string[];
      until: '==' | '!=';
      rows: JsonRow[];
      timeout: number;
    }
  | { op: 'comment'; comment: string };

/** The row with this UUID, and no other. */
export function is(rowUuid: string): Condition[] {
  return [['_uuid', '==', uuid(rowUuid)]];
}

/** @param uuidName `namedUuid(uuidName)` stands for the new row in the same transaction. */
export function insert(table: string, row: JsonRow, uuidName?: string): Operation {
  return uuidName === undefined ? { op: 'insert', table, row } : { op: 'insert', table, row, 'uuid-name': uuidName };
}

export function select(table: string, where: Condition[], columns?: string[]): Operation {
  return columns === undefined ? { op: 'select', table, where } : { op: 'select', table, where, columns };
}

export function update(table: string, where: Condition[], row: JsonRow): Operation {
  return { op: 'update', table, where, row };
}

export function mutate(table: string, where: Condition[], mutations: Mutation[]): Operation {
  return { op: 'mutate', table, where, mutations };
}

/** `delete`, which is a word of the language. */
export function remove(table: string, where: Condition[]): Operation {
  return { op: 'delete', table, where };
}

/**
 * The transaction fails with `timed out` unless the selected rows, cut down to `columns`, are these rows (or are not).
 * @param timeout milliseconds; 0, the default, asks once.
 */
export function wait(
  table: string,
  where: Condition[],
  columns: string[],
  until: '==' | '!=',
  rows: JsonRow[],
  timeout = 0,
): Operation {
  return { op: 'wait', table, where, columns, until, rows, timeout };
}

export function comment(text: string): Operation {
  return { op: 'comment', comment: text };
}

/** Sets these keys of a map column and leaves the others: RFC 7047's `insert` does not replace, so the keys go first. */
export function putKeys(column: string, entries: Record<string, string>): Mutation[] {
  return [
    [column, 'delete', ['set', Object.keys(entries)]],
    [column, 'insert', ['map', Object.entries(entries)]],
  ];
}
