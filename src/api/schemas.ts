/** Component schemas of the OpenAPI document: the answers and bodies, derived from the resource definitions. */
import Type, { type TObject, type TSchema } from 'typebox';
import { roles } from '../auth/roles.ts';
import type { ResourceDefinition } from '../intent/define.ts';
import { Labels, Name } from '../intent/fields.ts';
import { definitions, kinds } from '../intent/resources/index.ts';
import { type ProblemCode, problems } from '../problems.ts';
import type { CheckState } from '../reconcile/upkeep.ts';
import { problemType } from './problem-answers.ts';
import { ConnectivitySchema, TraceSchema } from './trace-schema.ts';
import { UsageListSchema, UsageSchema } from './usage-schema.ts';

/** Refers to a component by its name. */
export function ref(name: string): TSchema {
  return Type.Unsafe({ $ref: `${name}#` });
}

/** The schema with a description of its own, of the answer it stands for. */
export function described(schema: TSchema, description: string): TSchema {
  return Type.Unsafe({ ...schema, description });
}

/** `network` -> `Network`, the component's name. */
export function componentName(kind: string): string {
  return kind.replace(/(^|-)([a-z])/g, (_, _dash, letter: string) => letter.toUpperCase());
}

/** Listed and read alike: approved, or waiting. */
export const anyHypervisor = Type.Unsafe({ anyOf: [ref('Hypervisor'), ref('PendingHypervisor')] });

/** Problems of every route that asks for a token. */
export const accessProblems: ProblemCode[] = ['auth.missing', 'auth.invalid', 'auth.forbidden', 'rate.exceeded'];

const FieldErrorSchema = Type.Object(
  {
    field: Type.String({ description: 'JSON pointer (RFC 6901) into the body; empty for the whole' }),
    code: Type.String({
      description: 'A problem code, or: required, unknown, type, value, format, range, length, unique',
    }),
    message: Type.String(),
  },
  { $id: 'FieldError' },
);

const ProblemSchema = Type.Object(
  {
    type: Type.String({ format: 'uri' }),
    status: Type.Integer(),
    title: Type.String(),
    code: Type.Unsafe<ProblemCode>({ type: 'string', enum: Object.keys(problems), description: 'Stable' }),
    detail: Type.String(),
    advice: Type.String({ description: 'What to do next' }),
    errors: Type.Array(ref('FieldError')),
    instance: Type.Optional(Type.String({ description: 'Id of the request, as in the log of the controller' })),
  },
  { $id: 'Problem', description: 'RFC 9457 problem document' },
);

const ConditionSchema = Type.Object(
  {
    type: Type.String(),
    status: Type.Unsafe({ type: 'string', enum: ['True', 'False', 'Unknown'] }),
    reason: Type.String(),
    message: Type.String(),
  },
  { $id: 'Condition' },
);

const StatusSchema = Type.Object(
  {
    state: Type.Unsafe({ type: 'string', enum: ['pending', 'programmed', 'degraded', 'failed', 'deleting'] }),
    observedRevision: Type.Integer({ description: 'Revision the compiler has seen' }),
    programmedRevision: Type.Integer({ description: 'Revision every connected switch concerned has acknowledged' }),
    conditions: Type.Array(ref('Condition')),
  },
  { $id: 'Status' },
);

/** Members every answer has beside the spec; accepted and ignored in a PUT, except labels. */
const common = {
  name: Name,
  uid: Type.String({ readOnly: true, description: 'Never changes, never used again' }),
  labels: Labels,
  revision: Type.Integer({ readOnly: true, description: 'Of the last change of spec or labels; also the ETag' }),
};

/** Members of answers that a body may carry and that are ignored: what was read can be put back. */
export function readOnlyMembers(definition: ResourceDefinition): string[] {
  return ['name', 'uid', 'revision', 'status', ...Object.keys(definition.extra?.properties ?? {})];
}

/** Query parameters that compare a member of the spec, by name: its top-level scalars. */
export function filterable(definition: ResourceDefinition): Record<string, TSchema> {
  return Object.fromEntries(Object.entries(definition.spec.properties).filter(([, schema]) => isScalar(schema)));
}

function isScalar(schema: TSchema): boolean {
  const { type, anyOf } = schema as { type?: string; anyOf?: TSchema[] };
  if (anyOf) return anyOf.every(isScalar);
  return type === 'string' || type === 'integer' || type === 'number' || type === 'boolean';
}

function answerSchema(definition: ResourceDefinition): TObject {
  const restricted = new Set(definition.restricted);
  const filled = new Set(definition.serverFilled?.filter((name) => definition.filledWith?.[name] === undefined));
  const members: Record<string, TSchema> = {};
  for (const [name, schema] of Object.entries(definition.spec.properties))
    members[name] =
      filled.has(name) && !restricted.has(name) ? required(schema) : optionalWhen(restricted, name, schema);
  for (const [name, schema] of Object.entries(definition.extra?.properties ?? {}))
    members[name] = optionalWhen(restricted, name, { ...schema, readOnly: true });
  return Type.Object(
    { ...common, ...members, status: ref('Status') },
    { $id: componentName(definition.kind), description: definition.summary },
  );
}

function required(schema: TSchema): TSchema {
  return Type.Unsafe({ ...schema });
}

/** Restricted members are missing from what a tenant is shown. */
function optionalWhen(restricted: ReadonlySet<string>, name: string, schema: TSchema): TSchema {
  return restricted.has(name) ? Type.Optional(schema) : schema;
}

function bodySchema(definition: ResourceDefinition): TObject {
  const ignored = Object.fromEntries(
    readOnlyMembers(definition).map((name) => [
      name,
      Type.Optional(Type.Unsafe({ readOnly: true, description: 'Accepted and ignored' })),
    ]),
  );
  return Type.Object(
    { ...definition.spec.properties, labels: Type.Optional(Labels), ...ignored },
    {
      $id: `${componentName(definition.kind)}Body`,
      description: `What is asked for: ${definition.summary}`,
      additionalProperties: false,
    },
  );
}

function listSchema(definition: ResourceDefinition): TObject {
  const name = componentName(definition.kind);
  return Type.Object(
    {
      items: Type.Array(definition.kind === 'hypervisor' ? anyHypervisor : ref(name), {
        description: 'Sorted by name',
      }),
      revision: Type.Integer({
        description: 'Events since this revision tell everything the list (all its pages) may have missed',
      }),
      next: Type.Optional(Type.String({ description: 'Cursor of the next page; missing on the last one' })),
    },
    { $id: `${name}List` },
  );
}

const PendingHypervisorSchema = Type.Object(
  {
    name: Name,
    systemId: Type.String(),
    chassis: Type.Unsafe({ ...definitions.hypervisor.extra?.properties.chassis }),
    connected: Type.Literal(false),
    status: ref('Status'),
  },
  {
    $id: 'PendingHypervisor',
    description:
      'A hypervisor that waits for approval: nothing is written to it, or kept of it. PUT its name to approve it',
  },
);

const ChangeSchema = Type.Object(
  {
    type: Type.Literal('change'),
    revision: Type.Integer(),
    kind: Type.Unsafe({ type: 'string', enum: kinds }),
    path: Type.String(),
    change: Type.Unsafe({ type: 'string', enum: ['created', 'replaced', 'deleted'] }),
    resource: Type.Object({}, { description: 'As it is then, without status; as it last was when deleted' }),
  },
  { $id: 'Change' },
);

const EventPageSchema = Type.Object(
  {
    changes: Type.Array(ref('Change')),
    next: Type.Integer({ description: 'To be given as since for what comes after' }),
  },
  { $id: 'EventPage' },
);

const TokenSchema = Type.Object(
  {
    id: Type.String(),
    role: Type.Unsafe({ type: 'string', enum: [...roles] }),
    tenant: Type.Optional(Type.String()),
    hypervisor: Type.Optional(Type.String()),
    description: Type.String(),
    created: Type.Integer({ description: 'Milliseconds since the epoch' }),
    expires: Type.Optional(Type.Integer({ description: 'Milliseconds since the epoch; never when missing' })),
  },
  { $id: 'Token' },
);

const AuditRecordSchema = Type.Object(
  {
    sequence: Type.Integer({ description: 'Increasing; numbers may be missing' }),
    at: Type.Integer({ description: 'Milliseconds since the epoch' }),
    revision: Type.Integer({ description: 'Of the change' }),
    by: Type.Object({
      token: Type.String({ description: 'Id of the token' }),
      role: Type.Unsafe({ type: 'string', enum: [...roles] }),
      tenant: Type.Optional(Type.String()),
    }),
    action: Type.String({ examples: ['put', 'delete', 'apply', 'create-token', 'revoke-token'] }),
    target: Type.String({ description: 'Path below /v1/' }),
    resources: Type.Optional(Type.Array(Type.String(), { description: 'Of an apply: the first of what it names' })),
    count: Type.Optional(Type.Integer({ description: 'Of an apply: how many it names' })),
    members: Type.Optional(
      Type.Array(
        Type.Object({
          path: Type.String(),
          member: Type.String({ examples: ['portSecurity'] }),
          from: Type.Optional(Type.Unsafe({ description: 'Missing where it was left out' })),
          to: Type.Optional(Type.Unsafe({ description: 'Missing where it is left out, or the resource deleted' })),
        }),
        { description: 'Changes that loosen what guards others, in full: the first of them' },
      ),
    ),
    tenant: Type.Optional(Type.String({ description: 'Tenant concerned' })),
    request: Type.Optional(Type.String({ description: 'Id of the request' })),
    from: Type.Optional(Type.String({ description: 'Address it came from' })),
  },
  { $id: 'AuditRecord' },
);

const FlowSchema = Type.Object(
  {
    text: Type.String({ description: 'In the notation of ovs-ofctl' }),
    table: Type.Integer(),
    tableName: Type.String(),
    priority: Type.Integer(),
    cookie: Type.String({ examples: ['0x1000200000001'] }),
    packets: Type.Optional(Type.Integer({ description: 'Installed flows only, as are bytes and duration' })),
    bytes: Type.Optional(Type.Integer()),
    duration: Type.Optional(Type.Number({ description: 'Seconds since it was installed' })),
    purpose: Type.Object({
      stage: Type.String({ description: 'Stage of the pipeline' }),
      path: Type.Optional(Type.String({ description: 'What it serves; missing for the base of the pipeline' })),
      text: Type.String(),
    }),
  },
  { $id: 'Flow' },
);

const RecomputationSchema = Type.Object(
  {
    revision: Type.Integer({ description: 'Of intent, when it began' }),
    subjects: Type.Integer({ description: 'Things that were compiled' }),
    units: Type.Integer({ description: 'Units of flows that came out' }),
    different: Type.Array(
      Type.Object({
        unit: Type.String(),
        subject: Type.Optional(Type.String({ description: 'What it is compiled from' })),
        where: Type.Unsafe<'compiler' | 'southbound'>({ type: 'string', enum: ['compiler', 'southbound'] }),
        what: Type.String(),
        hypervisors: Type.Array(Type.String()),
      }),
    ),
    unsettled: Type.Array(Type.String(), {
      description: 'What kept changing while it was looked at: of it nothing is known',
    }),
    mended: Type.Boolean({ description: 'What differed was sent anew' }),
    took: Type.Number({ description: 'Milliseconds' }),
    longestSlice: Type.Number({ description: 'Milliseconds in which nothing else was done, at most' }),
  },
  { $id: 'Recomputation' },
);

const DiagnosisSchema = Type.Object(
  {
    at: Type.Integer({ description: 'Milliseconds since the epoch' }),
    worst: Type.Unsafe<CheckState>({ type: 'string', enum: ['ok', 'warn', 'fail'] }),
    checks: Type.Array(
      Type.Object({
        check: Type.String({ examples: ['hypervisor.connection', 'tunnel', 'store.disk'] }),
        object: Type.String({ description: 'Path of a resource, or what it is about' }),
        state: Type.Unsafe<CheckState>({ type: 'string', enum: ['ok', 'warn', 'fail'] }),
        found: Type.String(),
        advice: Type.String({ description: 'What to do; empty where nothing is to be done' }),
      }),
      { description: 'Worst first' },
    ),
  },
  { $id: 'Diagnosis' },
);

/** Every component there is, to be given to the app. */
export function componentSchemas(): TSchema[] {
  return [
    FieldErrorSchema,
    ProblemSchema,
    ConditionSchema,
    StatusSchema,
    PendingHypervisorSchema,
    ChangeSchema,
    EventPageSchema,
    TokenSchema,
    AuditRecordSchema,
    FlowSchema,
    TraceSchema,
    ConnectivitySchema,
    UsageSchema,
    UsageListSchema,
    RecomputationSchema,
    DiagnosisSchema,
    ...kinds.flatMap((kind) => {
      const definition = definitions[kind];
      return [answerSchema(definition), bodySchema(definition), listSchema(definition)];
    }),
  ];
}

/** Responses of a route for the problems it may answer with, grouped by HTTP status. */
export function problemResponses(...codes: ProblemCode[]): Record<string, unknown> {
  const byStatus = Map.groupBy(new Set(codes), (code) => problems[code].status);
  const responses: Record<string, unknown> = { default: problemResponse(['internal']) };
  for (const [status, together] of byStatus) responses[status] = problemResponse(together);
  return responses;
}

function problemResponse(codes: readonly ProblemCode[]): object {
  const description = codes.map((code) => `\`${code}\`: ${problems[code].title}`).join('; ');
  return { description, content: { [problemType]: { schema: ref('Problem') } } };
}
