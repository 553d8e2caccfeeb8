/**
 * Validation of values from outside against a schema: every error at once, each with a JSON pointer (RFC 6901) and
 * words for people. Nothing is converted, dropped or filled in.
 */
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Settings } from 'typebox/system';
import type { FieldError } from './problems.ts';

/** Errors told of one value at most; more would help nobody and cost the sender nothing to provoke. */
export const maxFieldErrors = 100;

// The library stops at 8, which hides errors of a value with many fields.
Settings.Set({ maxErrors: maxFieldErrors * 4 });

/** Judges a value; an empty list means it fits. Fields are prefixed with `at`. */
export type Validator = (value: unknown, at?: string) => FieldError[];

/** Compiles the schema once; call it when the program starts, not per request. */
export function validator(schema: TSchema): Validator {
  const compiled = Compile(schema);
  return (value, at = '') => (compiled.Check(value) ? [] : fieldErrors(schema, compiled.Errors(value), at));
}

type SchemaError = { keyword: string; schemaPath: string; instancePath: string; params: object; message: string };

function fieldErrors(root: TSchema, found: readonly SchemaError[], at: string): FieldError[] {
  const errors: FieldError[] = [];
  // Alternatives that failed are told once, by the anyOf above them.
  const alternatives = found.filter((e) => e.keyword === 'anyOf' || e.keyword === 'oneOf').map((e) => e.schemaPath);
  for (const error of found) {
    if (errors.length >= maxFieldErrors) break;
    // `false` schemas stand for additionalProperties, which names the same fields.
    if (error.keyword === 'boolean') continue;
    if (alternatives.some((path) => error.schemaPath.startsWith(`${path}/anyOf/`))) continue;
    const schema = schemaAt(root, error.schemaPath);
    const params = error.params as Record<string, unknown>;
    const field = at + error.instancePath;
    if (error.keyword === 'additionalProperties')
      for (const name of params.additionalProperties as string[])
        errors.push({ field: `${field}/${escapePointer(name)}`, ...unknownField(schema) });
    else if (error.keyword === 'required')
      for (const name of params.requiredProperties as string[])
        errors.push({ field: `${field}/${escapePointer(name)}`, code: 'required', message: 'The field is required' });
    else errors.push({ field, code: codes[error.keyword] ?? error.keyword, message: describe(error, schema, params) });
  }
  return errors;
}

function unknownField(schema: Record<string, unknown>): { code: string; message: string } {
  if (!schema.patternProperties) return { code: 'unknown', message: 'There is no such field' };
  const patterns = Object.keys(schema.patternProperties).join(' or ');
  return { code: 'format', message: `The key does not fit the pattern ${patterns}` };
}

/** Codes of single fields: stable, fewer than the keywords of JSON Schema. */
const codes: Record<string, string> = {
  type: 'type',
  anyOf: 'value',
  oneOf: 'value',
  const: 'value',
  enum: 'value',
  pattern: 'format',
  format: 'format',
  propertyNames: 'format',
  minimum: 'range',
  maximum: 'range',
  exclusiveMinimum: 'range',
  exclusiveMaximum: 'range',
  minLength: 'length',
  maxLength: 'length',
  minItems: 'length',
  maxItems: 'length',
  minProperties: 'length',
  maxProperties: 'length',
  uniqueItems: 'unique',
};

function describe(error: SchemaError, schema: Record<string, unknown>, params: Record<string, unknown>): string {
  const meaning = typeof schema.description === 'string' ? ` (${schema.description})` : '';
  switch (error.keyword) {
    case 'anyOf': {
      const values = (schema.anyOf as Record<string, unknown>[] | undefined)?.map((s) => s.const ?? s.type);
      return `Must be one of: ${values?.map(String).join(', ')}`;
    }
    case 'const':
      return `Must be ${JSON.stringify(params.allowedValue)}`;
    case 'pattern':
      return `Does not fit the pattern ${String(params.pattern)}${meaning}`;
    case 'minProperties':
    case 'maxProperties':
      if (schema.minProperties === 1 && schema.maxProperties === 1)
        return `Must have exactly one of ${Object.keys(schema.properties ?? {}).join(', ')}`;
      return sentence(error.message) + meaning;
    default:
      return sentence(error.message);
  }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function schemaAt(root: TSchema, path: string): Record<string, unknown> {
  let schema: unknown = root;
  for (const step of path.split('/').slice(1))
    schema = (schema as Record<string, unknown> | undefined)?.[unescapePointer(decodeURIComponent(step))];
  return (schema ?? {}) as Record<string, unknown>;
}

/** A step of a JSON pointer. */
export function escapePointer(step: string): string {
  return step.replaceAll('~', '~0').replaceAll('/', '~1');
}

function unescapePointer(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}
