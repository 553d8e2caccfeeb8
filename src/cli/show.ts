/** Resources on the terminal: tables, records, names, one line of what was done. */

import { type ColumnModel, childKinds, type KindModel } from './model.ts';
import type { Item, Row } from './resources.ts';
import type { Session } from './session.ts';
import { paintState, safe } from './style.ts';
import { at, type Column, cell, record, Table } from './table.ts';

type Condition = { type: string; status: string; reason: string; message: string };

/** `acme/shop/web1`. */
export function fullName(row: Row): string {
  return [...row.parents, row.item.name].join('/');
}

/** The table of a kind; with `everywhere`, the parents not known beforehand come first. */
export class ResourceTable {
  readonly #kind: KindModel;
  readonly #columns: ColumnModel[];
  readonly #table: Table;
  readonly #known: number;

  constructor(session: Session, kind: KindModel, wide: boolean, known: number) {
    this.#kind = kind;
    this.#known = known;
    this.#columns = kind.columns.filter((column) => wide || !column.wide);
    const parents = kind.parents.slice(known).map((parent): Column => ({ title: parent.toUpperCase() }));
    const own = this.#columns.map(
      (column): Column => ({
        title: column.title,
        ...(column.field === '/status/state' ? { paint: (text: string) => paintState(session.paint, text) } : {}),
      }),
    );
    const labels: Column[] = wide ? [{ title: 'LABELS' }] : [];
    this.#table = new Table([...parents, ...own, ...labels], session.paint, session.columns);
    this.#wide = wide;
  }

  readonly #wide: boolean;

  #cells(row: Row): string[] {
    return [
      ...row.parents.slice(this.#known, this.#kind.parents.length).map(safe),
      ...this.#columns.map((column) => cell(at(row.item, column.field))),
      ...(this.#wide ? [cell(row.item.labels)] : []),
    ];
  }

  whole(rows: readonly Row[]): string {
    return this.#table.whole(rows.map((row) => this.#cells(row)));
  }

  row(row: Row): string {
    return this.#table.row(this.#cells(row));
  }
}

function title(name: string): string {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return words[0]!.toUpperCase() + words.slice(1);
}

function conditionLine(condition: Condition): string {
  const reason = condition.reason ? ` (${condition.reason})` : '';
  const message = condition.message ? `: ${condition.message}` : '';
  return safe(`${condition.type}=${condition.status}${reason}${message}`);
}

/** Everything about one resource, for people. */
export function describeItem(session: Session, kind: KindModel, row: Row): string {
  const { item } = row;
  const entries: [string, string][] = [['Name', safe(fullName(row))]];
  for (const field of kind.fields) {
    if (item[field.name] !== undefined) entries.push([title(field.name), cell(item[field.name])]);
  }
  for (const name of kind.extra) {
    if (item[name] !== undefined) entries.push([title(name), cell(item[name])]);
  }
  entries.push(['Labels', cell(item.labels)], ['Revision', cell(item.revision)], ['Uid', cell(item.uid)]);
  const state = at(item, '/status/state');
  if (typeof state === 'string') {
    const programmed = at(item, '/status/programmedRevision');
    entries.push(['State', `${paintState(session.paint, state)} at revision ${cell(programmed)}`]);
  }
  const conditions = at(item, '/status/conditions');
  if (Array.isArray(conditions)) {
    (conditions as Condition[]).forEach((condition, i) => {
      entries.push([i === 0 ? 'Conditions' : '', conditionLine(condition)]);
    });
  }
  let text = record(entries, session.paint, session.columns);
  const below = childKinds(kind.kind);
  if (below.length > 0) {
    const words = below.map((child) => `keyway ${child.kind} list ${fullName(row)}`);
    text += session.paint('dim', `In it: ${words.join(' | ')}\n`);
  }
  return text;
}

/** `created port acme/shop/web1 (revision 12, pending)` and what Keyway chose. */
export function doneLine(session: Session, verb: string, kind: KindModel, row: Row): string {
  const { item } = row;
  const notes = [`revision ${cell(item.revision)}`];
  const state = at(item, '/status/state');
  if (typeof state === 'string') notes.push(paintState(session.paint, state));
  const chosen = kind.fields
    .filter((field) => field.serverFilled && item[field.name] !== undefined)
    .map((field) => `${field.flag} ${cell(item[field.name])}`);
  return `${verb} ${kind.kind} ${safe(fullName(row))} (${[...notes, ...chosen].join(', ')})\n`;
}

/** One resource in the format wanted; false when the format is left to the caller. */
export async function printItem(session: Session, format: string, kind: KindModel, row: Row): Promise<boolean> {
  if (await session.printAs(format, row.item)) return true;
  if (format === 'name') {
    session.print(`${safe(fullName(row))}\n`);
    return true;
  }
  if (format === 'table' || format === 'wide') {
    session.print(new ResourceTable(session, kind, format === 'wide', kind.parents.length).whole([row]));
    return true;
  }
  return false;
}

export type { Item, Row };
