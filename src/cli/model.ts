/**
 * What the CLI knows of resources: plain JSON, made from the resource definitions by generate.ts and held to them by a
 * test. The CLI reads this instead of the definitions because importing typebox costs more than a whole `--help`.
 */
import generated from './model.generated.json' with { type: 'json' };

/** A member of a spec, as far as flags need it. */
export type FieldModel = {
  /** Name in the REST contract: `ifaceId`. */
  name: string;
  /** Name on the command line, without dashes: `iface-id`; the singular for arrays and maps. */
  flag: string;
  /** `map` is an object with free keys, `object` one with known members. */
  type: 'string' | 'integer' | 'boolean' | 'object' | 'map';
  /** The flag is repeated, each time for one element. */
  array: boolean;
  required: boolean;
  description: string;
  /** The only values there are. */
  values?: (string | number | boolean)[];
  /** Values to choose from; others may be given too. */
  suggestions?: string[];
  /** A value that would be taken. */
  example?: string;
  /** Exactly one member may be given. */
  oneOf?: boolean;
  /** Members of an object. */
  members?: FieldModel[];
  restricted?: boolean;
  serverFilled?: boolean;
  immutable?: boolean;
  /** The value names a resource of this kind. */
  reference?: { kind: string; within: 'network' | 'tenant' | 'top' };
};

export type ColumnModel = { title: string; field: string; wide?: boolean };

export type ExampleModel = { name: string; parents: string[]; spec: Record<string, unknown> };

export type KindModel = {
  kind: string;
  segment: string;
  /** Kinds of the parents, outermost first. */
  parents: string[];
  summary: string;
  fields: FieldModel[];
  /** Members of the answer beside the spec; ignored when sent back. */
  extra: string[];
  columns: ColumnModel[];
  examples: ExampleModel[];
};

export type Model = { kinds: KindModel[] };

export const model = generated as Model;

const byKind = new Map(model.kinds.map((kind) => [kind.kind, kind]));
const bySegment = new Map(model.kinds.map((kind) => [kind.segment, kind]));

/** The kind of this name. @throws Error when there is none: names come from the model itself. */
export function kindModel(kind: string): KindModel {
  const found = byKind.get(kind);
  if (!found) throw new Error(`no kind ${kind} in the model`);
  return found;
}

/** The kind a word names, singular or plural, or undefined. */
export function findKind(word: string): KindModel | undefined {
  return byKind.get(word) ?? bySegment.get(word);
}

/** Kinds that live directly in resources of this kind. */
export function childKinds(kind: string): KindModel[] {
  return model.kinds.filter((candidate) => candidate.parents.at(-1) === kind);
}
