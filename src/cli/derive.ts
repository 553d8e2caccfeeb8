/** The CLI's model of resources, derived from their definitions. Imports typebox: for generate.ts and tests only. */
import type { TSchema } from 'typebox';
import type { ResourceDefinition } from '../intent/define.ts';
import { Name } from '../intent/fields.ts';
import { definitions, kinds } from '../intent/resources/index.ts';
import type { FieldModel, KindModel, Model } from './model.ts';

/** JSON Schema as far as definitions use it. */
type Schema = {
  type?: string;
  const?: string | number | boolean;
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  required?: string[];
  maxProperties?: number;
  description?: string;
  examples?: unknown[];
  /** Values to choose from where others may be given too. */
  'x-suggestions'?: string[];
};

/** `ifaceId` -> `iface-id`. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `ips` -> `ip`, `policies` -> `policy`, `addresses` -> `address`. */
export function singular(name: string): string {
  if (name.endsWith('ies')) return `${name.slice(0, -3)}y`;
  if (/(ss|x|sh|ch)es$/.test(name)) return name.slice(0, -2);
  return name.endsWith('s') && !name.endsWith('ss') ? name.slice(0, -1) : name;
}

/** JSON is what typebox builds: symbols and optional marks of the schema are no part of it. */
function plain(schema: TSchema): Schema {
  return JSON.parse(JSON.stringify(schema)) as Schema;
}

function literals(schema: Schema): (string | number | boolean)[] | undefined {
  if (schema.const !== undefined) return [schema.const];
  const values = schema.anyOf?.map((one) => one.const);
  if (!values || values.some((value) => value === undefined)) return undefined;
  return values as (string | number | boolean)[];
}

function typeOf(schema: Schema, where: string): Pick<FieldModel, 'type' | 'values'> {
  const values = literals(schema);
  if (values) {
    const type = typeof values[0];
    if (type === 'string') return { type, values };
    return { type: type === 'number' ? 'integer' : 'boolean', values };
  }
  if (schema.type === 'object') return { type: schema.patternProperties ? 'map' : 'object' };
  if (schema.type === 'string' || schema.type === 'integer' || schema.type === 'boolean') return { type: schema.type };
  throw new Error(`${where}: the CLI has no flag for a schema of type ${schema.type}`);
}

function field(definition: ResourceDefinition, pointer: string, name: string, schema: Schema, required: boolean) {
  const array = schema.type === 'array';
  const element = array ? (schema.items ?? {}) : schema;
  const { type, values } = typeOf(element, `${definition.kind}${pointer}`);
  const made: FieldModel = {
    name,
    flag: array || type === 'map' ? singular(kebab(name)) : kebab(name),
    type,
    array,
    required,
    description: schema.description ?? element.description ?? '',
  };
  if (values) made.values = values;
  const example = element.examples?.[0];
  if (example !== undefined) made.example = String(example);
  if (element['x-suggestions']) made.suggestions = element['x-suggestions'];
  const reference = definition.references?.find((one) => one.field === (array ? `${pointer}/*` : pointer));
  if (reference) {
    made.reference = { kind: reference.kind, within: reference.within };
    // What a name looks like says less than whose name it is.
    if (made.description === plain(Name).description) made.description = `Name of the ${reference.kind}`;
  }
  if (type === 'object') {
    made.members = members(definition, array ? `${pointer}/*` : pointer, element);
    if (element.maxProperties === 1) made.oneOf = true;
  }
  return made;
}

function members(definition: ResourceDefinition, pointer: string, schema: Schema): FieldModel[] {
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).map(([name, one]) =>
    field(definition, `${pointer}/${name}`, name, one, required.has(name)),
  );
}

function marks(definition: ResourceDefinition, one: FieldModel): FieldModel {
  if (definition.restricted?.includes(one.name)) one.restricted = true;
  if (definition.serverFilled?.includes(one.name)) one.serverFilled = true;
  if (definition.immutable?.includes(one.name)) one.immutable = true;
  return one;
}

function kindOf(definition: ResourceDefinition): KindModel {
  const parents: string[] = [];
  const all: Record<string, ResourceDefinition> = definitions;
  for (let parent = definition.parent; parent !== undefined; parent = all[parent]?.parent) parents.unshift(parent);
  return {
    kind: definition.kind,
    segment: definition.segment,
    parents,
    summary: definition.summary,
    fields: members(definition, '', plain(definition.spec)).map((one) => marks(definition, one)),
    extra: Object.keys(definition.extra?.properties ?? {}),
    columns: definition.columns.map(({ title, field: pointer, wide }) => ({
      title,
      field: pointer,
      ...(wide ? { wide } : {}),
    })),
    examples: definition.examples.map(({ name, parents: of, spec }) => ({ name, parents: [...of], spec })),
  };
}

/** The model as the definitions have it now. */
export function deriveModel(): Model {
  return { kinds: kinds.map((kind) => kindOf(definitions[kind])) };
}

/** Text of model.generated.json. */
export function modelText(): string {
  return `${JSON.stringify(deriveModel(), null, 1)}\n`;
}
