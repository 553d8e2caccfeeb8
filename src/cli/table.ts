/** Tables that fit the terminal by breaking cells at spaces and commas; nothing is ever cut off. */
import { type Paint, pad, safe, unbreakable, width, wrap } from './style.ts';
import { notationOf } from './values.ts';

export type Column = {
  title: string /** Colours a cell once it has its width. */;
  paint?: (text: string) => string;
  right?: boolean;
};

/** A value as a table cell. */
export function cell(value: unknown): string {
  if (value === undefined || value === null || value === '') return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  const text = notationOf(value);
  return text === '' ? '-' : safe(text);
}

/** The member a JSON pointer (RFC 6901) names, undefined when there is none. */
export function at(value: unknown, pointer: string): unknown {
  let here = value;
  for (const part of pointer.split('/').slice(1)) {
    if (typeof here !== 'object' || here === null) return undefined;
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    here = Object.hasOwn(here, key) ? (here as Record<string, unknown>)[key] : undefined;
  }
  return here;
}

const gap = 2;

/** Widths of the columns: as wide as they need, the widest breakable ones narrowed until the table fits. */
export function fitted(rows: readonly (readonly string[])[], most: number | undefined): number[] {
  const count = rows[0]?.length ?? 0;
  const widths = Array.from({ length: count }, (_, i) => Math.max(...rows.map((row) => width(row[i] ?? ''))));
  if (most === undefined) return widths;
  const least = Array.from({ length: count }, (_, i) => Math.max(...rows.map((row) => unbreakable(row[i] ?? ''))));
  for (;;) {
    const over = widths.reduce((sum, one) => sum + one, 0) + gap * (count - 1) - most;
    if (over <= 0) return widths;
    const widest = widths
      .map((one, i) => ({ i, room: one - least[i]!, one }))
      .filter(({ room }) => room > 0)
      .sort((a, b) => b.one - a.one)[0];
    if (!widest) return widths;
    // Narrowed to the next widest at once where that is not too much.
    widths[widest.i] = widest.one - Math.min(over, widest.room, Math.max(1, Math.ceil(over / 2)));
  }
}

export class Table {
  readonly #columns: readonly Column[];
  readonly #paint: Paint;
  readonly #most: number | undefined;
  #widths: number[] = [];

  /** @param most width of the terminal, undefined where there is none. */
  constructor(columns: readonly Column[], paint: Paint, most: number | undefined) {
    this.#columns = columns;
    this.#paint = paint;
    this.#most = most;
  }

  /** Lines of the whole table with its heading. */
  whole(rows: readonly (readonly string[])[]): string {
    const titles = this.#columns.map((column) => column.title);
    this.#widths = fitted([titles, ...rows], this.#most);
    const heading = this.#line(titles, () => (text) => this.#paint('bold', text));
    return heading + rows.map((row) => this.row(row)).join('');
  }

  /** Lines of one more row, under the widths of the table printed before. */
  row(cells: readonly string[]): string {
    return this.#line(cells, (i) => this.#columns[i]?.paint);
  }

  #line(cells: readonly string[], paint: (column: number) => ((text: string) => string) | undefined): string {
    const broken = cells.map((text, i) => wrap(text, this.#widths[i] ?? width(text)));
    const height = Math.max(1, ...broken.map((lines) => lines.length));
    let text = '';
    for (let n = 0; n < height; n++) {
      const parts = broken.map((lines, i) => {
        const part = lines[n] ?? '';
        const to = this.#widths[i] ?? 0;
        const spaces = ' '.repeat(Math.max(0, to - width(part)));
        const painted = part === '' ? part : (paint(i)?.(part) ?? part);
        return this.#columns[i]?.right ? spaces + painted : painted + spaces;
      });
      text += `${parts.join(' '.repeat(gap)).trimEnd()}\n`;
    }
    return text;
  }
}

/** `Name:  value` lines, values broken under each other; an empty name goes on under the one before. */
export function record(
  entries: readonly (readonly [string, string])[],
  paint: Paint,
  most: number | undefined,
): string {
  const names = Math.max(0, ...entries.map(([name]) => width(name))) + 1;
  return entries
    .map(([name, value]) => {
      const lines = most === undefined ? [value] : wrap(value, Math.max(20, most - names - gap));
      return lines
        .map(
          (line, i) =>
            `${i === 0 ? paint('bold', pad(name === '' ? '' : `${name}:`, names)) : ' '.repeat(names)}  ${line}\n`,
        )
        .join('');
    })
    .join('');
}
