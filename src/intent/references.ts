/** The references of a resource, by its definition: where each is in the spec, and the path it names. */
import type { Reference } from './define.ts';
import type { Path } from './model.ts';
import { formatPath, networkOf, tenantOf } from './path.ts';
import { definitions, type Kind, kinds } from './resources/index.ts';
import { equalJson } from './spec.ts';

export type FoundReference = {
  /** JSON pointer into the spec. */
  field: string;
  /** Path it names. */
  target: Path;
};

type Accessor = { steps: string[]; kind: Kind; within: Reference['within'] };

const accessors = Object.fromEntries(
  kinds.map((kind) => [
    kind,
    (definitions[kind].references ?? []).map((reference) => ({
      steps: reference.field.split('/').slice(1),
      kind: reference.kind as Kind,
      within: reference.within,
    })),
  ]),
) as Record<Kind, Accessor[]>;

/** Calls `visit` for every reference in the spec, in the order of the definition. */
export function eachReference(
  kind: Kind,
  path: Path,
  spec: Readonly<Record<string, unknown>>,
  visit: (target: Path, field: string) => void,
): void {
  for (const { steps, kind: target, within } of accessors[kind]) {
    const parent = within === 'top' ? '' : within === 'tenant' ? tenantOf(path) : networkOf(path);
    if (parent === undefined) throw new TypeError(`${path} lies in no ${within}`);
    walk(spec, steps, 0, '', (name, field) => visit(formatPath(target, parent, name), field));
  }
}

/** Members of the spec that hold references. */
const members = Object.fromEntries(
  kinds.map((kind) => [kind, [...new Set(accessors[kind].map(({ steps }) => steps[0]!))]]),
) as Record<Kind, string[]>;

/** Whether both specs name the same; cheap, and false at times where they do. */
export function sameReferences(
  kind: Kind,
  a: Readonly<Record<string, unknown>>,
  b: Readonly<Record<string, unknown>>,
): boolean {
  return members[kind].every((member) => equalJson(a[member], b[member]));
}

function walk(
  value: unknown,
  steps: readonly string[],
  at: number,
  field: string,
  found: (name: string, field: string) => void,
): void {
  if (value === undefined) return;
  const step = steps[at];
  if (step === undefined) found(value as string, field);
  else if (step === '*')
    (value as unknown[]).forEach((element, i) => {
      walk(element, steps, at + 1, `${field}/${i}`, found);
    });
  else walk((value as Record<string, unknown>)[step], steps, at + 1, `${field}/${step}`, found);
}
