/** How requests are judged before their handler runs: bodies as they are, queries converted from text, names in paths. */
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify';
import Type, { type TSchema } from 'typebox';
import { Name, nameExpression } from '../intent/fields.ts';
import { Problem } from '../problems.ts';
import { validator } from '../validate.ts';

/** Gives every route under /v1 with parameters in its path the schema by which they are judged. */
export function judgeNamesInPaths(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const names = Array.from(route.url.matchAll(/:(\w+)/g), ([, name]) => name!);
    if (names.length === 0 || !route.url.startsWith('/v1/')) return;
    route.schema = { ...route.schema, params: Type.Object(Object.fromEntries(names.map((name) => [name, Name]))) };
  });
}

type Judge = (value: unknown) => { value: unknown } | { error: Error };

export const compileJudge: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  switch (httpPart) {
    case 'params':
      return judgeNames;
    case 'querystring':
      return queryJudge(schema);
    case 'headers':
      // Declared for the OpenAPI document; whoever reads a header judges it.
      return accept;
    default:
      return bodyJudge(schema);
  }
};

const accept: Judge = (value) => ({ value });

function bodyJudge(schema: TSchema): Judge {
  // Bodies that are components are resources: intent judges them, with everything else that may be wrong.
  if ('$ref' in schema) return accept;
  const validate = validator(schema);
  return (value) => {
    const errors = validate(value);
    if (errors.length === 0) return { value };
    return { error: new Problem('request.invalid', 'The body does not fit the schema', errors) };
  };
}

function queryJudge(schema: TSchema): Judge {
  const validate = validator(schema);
  const properties = (schema as { properties?: Record<string, TSchema> }).properties ?? {};
  return (query) => {
    const value: Record<string, unknown> = {};
    for (const [name, text] of Object.entries(query as Record<string, unknown>))
      value[name] = fromText(Object.hasOwn(properties, name) ? properties[name] : undefined, text);
    const errors = validate(value);
    if (errors.length === 0) return { value };
    const named = errors.map((error) => ({ ...error, field: `?${error.field.slice(1)}` }));
    return { error: new Problem('request.invalid', 'The query does not fit the schema', named) };
  };
}

/** Text of a query as the schema wants it; what does not convert stays text, and is refused by its type. */
function fromText(schema: TSchema | undefined, value: unknown): unknown {
  const { type } = (schema ?? {}) as { type?: string };
  if (type === 'array') return Array.isArray(value) ? value : [value];
  if (typeof value !== 'string') return value;
  if (type === 'integer' || type === 'number') return /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  if (type === 'boolean') return value === 'true' ? true : value === 'false' ? false : value;
  return value;
}

/** Every parameter in a path is the name of a resource, or the id of a token, which fits the same pattern. */
const judgeNames: Judge = (params) => {
  for (const [kind, name] of Object.entries(params as Record<string, string>))
    if (!nameExpression.test(name))
      return { error: new Problem('name.invalid', `${JSON.stringify(name.slice(0, 80))} cannot name a ${kind}`) };
  return { value: params };
};
