/** `POST /v1/apply`: many resources, in any order, as one transaction and one revision. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { authorise } from '../auth/roles.ts';
import { Labels } from '../intent/fields.ts';
import type { Operation, Outcome } from '../intent/intent.ts';
import type { Path, Resource } from '../intent/model.ts';
import { parsePath } from '../intent/path.ts';
import { definitions, type Kind, kinds } from '../intent/resources/index.ts';
import { equalJson } from '../intent/spec.ts';
import { type FieldError, Problem, type ProblemCode } from '../problems.ts';
import { type Asker, areaAccess } from './access.ts';
import { everything } from './horizon.ts';
import { hasLabels, parseLabel } from './list.ts';
import { type Reader, seesResource } from './reader.ts';
import { putProblems } from './resource-routes.ts';
import { accessProblems, described, problemResponses } from './schemas.ts';
import type { Services } from './services.ts';
import { timeoutOf, waitFor, waitParameters } from './wait.ts';
import { tenantNameOf } from './writes.ts';

/** Bytes. */
const bodyLimit = 16 << 20;
const mostResources = 10_000;

const closed = { additionalProperties: false } as const;

const Applied = Type.Object(
  {
    path: Type.String({ maxLength: 512, examples: ['tenants/acme/networks/shop'] }),
    kind: Type.Optional(Type.String({ description: 'Follows from the path; must agree with it when given' })),
    // Judged by intent, with everything else that may be wrong with the resource.
    spec: Type.Optional(Type.Unknown({ description: 'As the body of a PUT, without labels' })),
    labels: Type.Optional(Labels),
    delete: Type.Optional(Type.Literal(true, { description: 'It is not there afterwards' })),
  },
  closed,
);

const ApplyBody = Type.Object(
  {
    resources: Type.Array(Applied, { maxItems: mostResources, description: 'In any order' }),
    dryRun: Type.Optional(Type.Boolean({ description: 'Tell what would change, and change nothing' })),
    prune: Type.Optional(
      Type.Object(
        {
          label: Type.String({
            pattern: '^[^=]+=',
            description: 'KEY=VALUE: what has this label, is not named here and may be written by the token is deleted',
          }),
        },
        closed,
      ),
    ),
    ...waitParameters,
  },
  closed,
);

type ApplyBody = Static<typeof ApplyBody>;

const ApplyAnswer = Type.Object({
  revision: Type.Integer({
    description: 'Of the transaction; of the last change when nothing changed or would change',
  }),
  outcomes: Type.Array(
    Type.Object({
      path: Type.String(),
      kind: Type.Unsafe({ type: 'string', enum: kinds }),
      outcome: Type.Unsafe({ type: 'string', enum: ['created', 'replaced', 'unchanged', 'deleted'] }),
      changed: Type.Optional(
        Type.Array(Type.String(), { description: 'Members of the spec, and labels, that a replacement changed' }),
      ),
    }),
    { description: 'In the order of the request; then what prune deleted' },
  ),
  flows: Type.Optional(
    Type.Array(
      Type.Object({
        hypervisor: Type.String(),
        added: Type.Integer(),
        changed: Type.Integer(),
        removed: Type.Integer(),
      }),
      { description: 'Dry run only, and not for tenants: what would change on which switch' },
    ),
  ),
});

export function applyRoutes(app: FastifyInstance, services: Services): void {
  const apply = new Apply(services);
  app.withTypeProvider<TypeBoxTypeProvider>().post(
    '/v1/apply',
    {
      bodyLimit,
      config: { access: areaAccess('apply', 'write') },
      schema: {
        operationId: 'apply',
        summary: 'Create, replace and delete many resources in one transaction',
        description:
          `Up to ${mostResources} resources and ${bodyLimit >> 20} MiB. All or nothing; the errors of all resources are ` +
          'answered together, each with a JSON pointer such as `/resources/3/spec/cidr`.',
        tags: ['apply'],
        body: ApplyBody,
        response: {
          200: described(ApplyAnswer, 'What changed, or would change'),
          ...problemResponses(...accessProblems, ...putProblems, ...applyProblems),
        },
      },
    },
    (request) => apply.run(request, request.body),
  );
}

const applyProblems: ProblemCode[] = [
  'request.invalid',
  'name.invalid',
  'route.not-found',
  'resource.in-use',
  'resource.built-in',
  'store.conflict',
  'store.unavailable',
  'wait.timeout',
];

class Apply {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  async run(request: Asker, body: ApplyBody): Promise<object> {
    const { writes, status, fabric, horizon } = this.#services;
    const { reader } = request;
    const timeout = timeoutOf(body, '/timeout');
    mustBeAllowed(request, body.resources);

    const plan = this.#plan(request, body);
    const preview = body.dryRun === true && reader.restricted ? fabric.preview() : undefined;
    const dryRun = body.dryRun === true ? { dryRun: true, whileStaged: preview?.staged.bind(preview) } : undefined;
    const { revision, outcomes } = await writes.many(request, plan.operations, dryRun).catch((error: unknown) => {
      throw error instanceof Problem ? relocated(error, plan) : error;
    });
    const changed = body.dryRun !== true && outcomes.some(({ outcome }) => outcome !== 'unchanged');
    if (changed) await waitFor(status, revision, body, timeout);
    return {
      revision: changed ? revision : horizon.of(reader, revision),
      outcomes: inOrder(plan, outcomes, reader),
      flows: preview?.result(),
    };
  }

  #plan(request: Asker, { resources, prune }: ApplyBody): Plan {
    const plan: Plan = { operations: [], fields: [], absent: [] };
    resources.forEach(({ path, spec = {}, labels, delete: deleted }, i) => {
      const there = this.#services.intent.get(path);
      if (deleted === true && (there === undefined || !seesResource(request.reader, there))) {
        // What is not there is deleted already; a path that means nothing is left for the transaction to tell.
        const parsed = parsePath(path);
        if (!(parsed instanceof Problem)) {
          plan.absent.push({ at: i, path, kind: parsed.kind });
          return;
        }
      }
      plan.fields.push(`/resources/${i}`);
      plan.operations.push(
        deleted === true ? { op: 'delete', path } : { op: 'put', path, spec: spec as Record<string, unknown>, labels },
      );
    });
    if (prune)
      for (const path of this.#pruned(request, prune.label, new Set(resources.map((r) => r.path)))) {
        plan.fields.push('/prune');
        plan.operations.push({ op: 'delete', path });
      }
    return plan;
  }

  /** What has the label, is not named, and may be written by the token. Looks at everything the token may see. */
  #pruned({ principal, reader }: Asker, label: string, named: ReadonlySet<Path>): Path[] {
    const { intent } = this.#services;
    const wanted = [parseLabel(label)];
    const paths: Path[] = [];
    for (const resource of everything(intent, reader)) {
      const { kind, path } = resource;
      if (named.has(path) || !hasLabels(resource, wanted)) continue;
      const tenant = tenantNameOf(path);
      if (!authorise(principal, { action: 'write', tenant, resource: definitions[kind] })) paths.push(path);
    }
    return paths;
  }
}

type Plan = {
  operations: Operation[];
  /** Where each operation is in the request, as a JSON pointer. */
  fields: string[];
  /** What was to be deleted and is not there. */
  absent: { at: number; path: Path; kind: Kind }[];
};

/** @throws Problem with every resource that the token may not write, or that contradicts itself */
function mustBeAllowed({ principal }: Asker, resources: ApplyBody['resources']): void {
  const errors: FieldError[] = [];
  const seen = new Set<Path>();
  resources.forEach(({ path, kind, spec, delete: deleted }, i) => {
    const tell = (field: string, code: ProblemCode, message: string) =>
      errors.push({ field: `/resources/${i}${field}`, code, message });
    const parsed = parsePath(path);
    // What the path lacks is told by the transaction, with everything else.
    if (parsed instanceof Problem) return;
    const access = { action: 'write', tenant: tenantNameOf(path), resource: definitions[parsed.kind] } as const;
    const refusal = authorise(principal, access);
    if (refusal) tell('/path', refusal.code, refusal.detail);
    if (seen.has(path)) tell('/path', 'request.invalid', `${path} is in the request twice`);
    seen.add(path);
    if (kind !== undefined && kind !== parsed.kind)
      tell('/kind', 'request.invalid', `${path} names a ${parsed.kind}, not a ${kind}`);
    if (deleted === true && spec !== undefined) tell('/spec', 'request.invalid', 'What is to be deleted takes no spec');
  });
  const first = errors.find(({ code }) => code === 'auth.forbidden') ?? errors[0];
  if (first) throw new Problem(first.code as ProblemCode, first.message, errors);
}

/** Errors of the transaction, by the places in the request that its operations came from. */
function relocated(problem: Problem, { fields }: Plan): Problem {
  const errors = problem.errors.map((error) => {
    const [, index, rest] = /^\/resources\/(\d+)(.*)$/s.exec(error.field) ?? [];
    const place = index === undefined ? undefined : fields[Number(index)];
    return place === undefined ? error : { ...error, field: place === '/prune' ? place : place + rest };
  });
  return new Problem(problem.code, problem.detail, errors);
}

/** The outcomes in the order of the request. */
function inOrder({ absent }: Plan, outcomes: readonly Outcome[], reader: Reader): object[] {
  const told: object[] = outcomes.map((outcome) => shown(outcome, reader));
  for (const { at, path, kind } of absent) told.splice(at, 0, { path, kind, outcome: 'unchanged' });
  return told;
}

function shown({ path, kind, outcome, before, after }: Outcome, reader: Reader): object {
  return { path, kind, outcome, changed: outcome === 'replaced' ? changedMembers(before!, after!, reader) : undefined };
}

function changedMembers(before: Resource, after: Resource, reader: Reader): string[] {
  const was = before.spec as Readonly<Record<string, unknown>>;
  const is = after.spec as Readonly<Record<string, unknown>>;
  const hidden = reader.restricted ? [] : (definitions[after.kind].restricted ?? []);
  const members = Object.keys(definitions[after.kind].spec.properties).filter(
    (name) => !hidden.includes(name) && !equalJson(was[name], is[name]),
  );
  return equalJson(before.labels, after.labels) ? members : [...members, 'labels'];
}
