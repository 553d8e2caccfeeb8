/** Lists: sorted by name, in pages, filtered by labels and by what was asked for. */
import Type, { type TObject, type TSchema } from 'typebox';
import type { ResourceDefinition } from '../intent/define.ts';
import type { Resource } from '../intent/model.ts';
import { fieldProblem, Problem } from '../problems.ts';
import { filterable } from './schemas.ts';

export const defaultLimit = 100;

export const limitParameter = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 1000, default: defaultLimit, description: 'Items of a page at most' }),
);

export const cursorParameter = Type.Optional(
  Type.String({
    maxLength: 256,
    description:
      'The `next` of the page before. It holds a place by name: what was created, changed or deleted since the first page ' +
      'shows as it is now if its name lies behind that place, else not at all; events since `revision` tell the difference',
  }),
);

const labelParameter = Type.Optional(
  Type.Array(Type.String({ pattern: '^[^=]+=' }), {
    maxItems: 32,
    description: 'KEY=VALUE; may be repeated, then all must hold',
  }),
);

/** Query of a list: paging, labels, and equality on every top-level scalar of the spec. */
export function listQuery(definition: ResourceDefinition): TObject {
  const filters = Object.entries(filterable(definition)).map(([name, schema]): [string, TSchema] => {
    if (name === 'limit' || name === 'cursor' || name === 'label')
      throw new TypeError(`${definition.kind} has a member ${name}, which is a parameter of every list`);
    return [name, Type.Optional(Type.Unsafe({ ...schema, description: `Only those with this ${name}` }))];
  });
  return Type.Object(
    { limit: limitParameter, cursor: cursorParameter, label: labelParameter, ...Object.fromEntries(filters) },
    { additionalProperties: false },
  );
}

export type ListQuery = { limit?: number; cursor?: string; label?: string[]; [filter: string]: unknown };

/** The filter of a query; undefined when it filters nothing. */
export function filterOf({ limit, cursor, label = [], ...members }: ListQuery): ((r: Resource) => boolean) | undefined {
  const wanted = Object.entries(members);
  const labels = label.map(parseLabel);
  if (wanted.length === 0 && labels.length === 0) return undefined;
  return (resource) =>
    hasLabels(resource, labels) &&
    wanted.every(([name, value]) => (resource.spec as Record<string, unknown>)[name] === value);
}

export type Label = [key: string, value: string];

/** `KEY=VALUE`; the value may hold further equals signs. */
export function parseLabel(text: string): Label {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}

export function hasLabels({ labels }: Resource, wanted: readonly Label[]): boolean {
  return wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}

/** Tenants cannot search by what they are not shown. @throws Problem auth.forbidden */
export function refuseRestrictedFilters(definition: ResourceDefinition, query: ListQuery): void {
  const member = definition.restricted?.find((name) => query[name] !== undefined);
  if (member !== undefined)
    throw fieldProblem('auth.forbidden', `?${member}`, `${member} is shown to admin, operator and orchestrator only`);
}

/** Where the next page begins, and the revision of the first one. */
export type Cursor = { after: string; revision: number };

export function formatCursor({ after, revision }: Cursor): string {
  return Buffer.from(JSON.stringify([after, revision])).toString('base64url');
}

/** @throws Problem cursor.invalid */
export function parseCursor(text: string): Cursor {
  const invalid = () => new Problem('cursor.invalid', 'The cursor was not made by a list');
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    // Whatever it is, a list did not make it.
    throw invalid();
  }
  if (!Array.isArray(value) || value.length !== 2) throw invalid();
  const [after, revision] = value as unknown[];
  if (typeof after !== 'string' || !Number.isSafeInteger(revision) || (revision as number) < 0) throw invalid();
  return { after, revision: revision as number };
}
