/** `--filter` and `--label`: which resources of a list are shown. */
import type { Query } from './client.ts';
import { UsageError } from './errors.ts';
import type { KindModel } from './model.ts';
import type { Item } from './resources.ts';
import { didYouMean } from './suggest.ts';
import { at, cell } from './table.ts';
import { notationOf } from './values.ts';

export type Filter = (item: Item) => boolean;

/** JSON pointer that a field, flag, column or dotted path names. */
function pointerOf(kind: KindModel, name: string): string {
  if (name.startsWith('label.') || name.startsWith('labels.')) {
    const key = name.slice(name.indexOf('.') + 1);
    return `/labels/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  }
  const field = kind.fields.find((one) => one.name === name || one.flag === name);
  if (field) return `/${field.name}`;
  if (name === 'name') return '/name';
  if (name === 'state') return '/status/state';
  const column = kind.columns.find((one) => one.title.toLowerCase() === name.toLowerCase());
  if (column) return column.field;
  if (/^[A-Za-z]\w*(\.\w+)+$/.test(name)) return `/${name.replaceAll('.', '/')}`;
  const top = ['uid', 'revision', 'kind', ...kind.extra];
  if (top.includes(name)) return `/${name}`;
  const names = [...kind.fields.map((one) => one.flag), ...kind.columns.map((one) => one.title.toLowerCase())];
  throw new UsageError(
    `--filter ${name}: a ${kind.kind} has no such field.${didYouMean(name, names)}`,
    `Fields: ${[...new Set(['name', 'state', ...names])].join(', ')}, label.KEY, or a dotted path such as status.state`,
  );
}

function pattern(text: string): RegExp {
  const parts = text.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's');
}

function matches(value: unknown, expression: RegExp): boolean {
  if (Array.isArray(value)) return value.some((one) => matches(one, expression)) || expression.test(notationOf(value));
  return expression.test(notationOf(value)) || expression.test(cell(value));
}

/** The part of the filters that the controller can apply itself; all of them are applied to its answer again. */
export function queryOf(kind: KindModel, filters: readonly string[], labels: readonly string[]): Query {
  const query: Record<string, string | string[]> = {};
  for (const text of filters) {
    const [, name, operator, value = ''] = /^([^=!]+)(!?=)(.*)$/s.exec(text) ?? [];
    const field = kind.fields.find((one) => `/${one.name}` === pointerOf(kind, name ?? ''));
    const scalar = field && !field.array && (field.type === 'string' || /^\d+$/.test(value));
    if (
      scalar &&
      ['string', 'integer'].includes(field.type) &&
      operator === '=' &&
      /^[^*]+$/.test(value) &&
      value !== '-'
    ) {
      query[field.name] = value;
    }
  }
  const exact = labels.filter((text) => /^[^=]+=/.test(text));
  if (exact.length > 0) query.label = exact;
  return query;
}

/** One `FIELD=VALUE` or `FIELD!=VALUE`. @throws UsageError */
function filterOf(kind: KindModel, text: string): Filter {
  const found = /^([^=!]+)(!?=)(.*)$/s.exec(text);
  if (!found) throw new UsageError(`--filter ${text}: written as FIELD=VALUE or FIELD!=VALUE`);
  const [, name, operator, value] = found as unknown as [string, string, string, string];
  const pointer = pointerOf(kind, name);
  const expression = pattern(value);
  return (item) => matches(at(item, pointer), expression) === (operator === '=');
}

/** All of them together. */
export function filtersOf(kind: KindModel, filters: readonly string[], labels: readonly string[]): Filter {
  const all = [
    ...filters.map((text) => filterOf(kind, text)),
    ...labels.map((text): Filter => {
      const end = text.indexOf('=');
      const key = end < 0 ? text : text.slice(0, end);
      return (item) => {
        const own = (item.labels ?? {}) as Record<string, unknown>;
        return Object.hasOwn(own, key) && (end < 0 || own[key] === text.slice(end + 1));
      };
    }),
  ];
  return (item) => all.every((one) => one(item));
}
