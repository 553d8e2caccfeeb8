/** Following a packet to the order that decided. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { Name } from '../intent/fields.ts';
import { parseIp } from '../intent/ip.ts';
import type { Path } from '../intent/model.ts';
import { parsePath, tenantOf } from '../intent/path.ts';
import { Problem } from '../problems.ts';
import {
  type Answer,
  type Connectivity,
  forTenant,
  type Question,
  type TraceRequest,
  type Verdict,
} from '../trace/service.ts';
import { type Asker, areaAccess } from './access.ts';
import type { Reader } from './reader.ts';
import { accessProblems, described, problemResponses, ref } from './schemas.ts';
import type { Services } from './services.ts';
import { tenantNameOf } from './writes.ts';

const closed = { additionalProperties: false } as const;

const PortOf = Type.Object({ tenant: Name, network: Name, port: Name }, closed);

const PortNumber = Type.Integer({ minimum: 0, maximum: 65_535 });

const TraceBody = Type.Object(
  {
    from: Type.Union([Type.String({ maxLength: 512 }), PortOf], {
      description:
        'The sending port: its path, or its names; `outside` or `outside:ADDRESS` for what comes in by a public address',
      examples: ['tenants/acme/networks/shop/ports/web1'],
    }),
    to: Type.Union([Type.String({ maxLength: 512 }), PortOf], {
      description:
        'An IP address, or the receiving port by path or names; from outside also the path of a public address; of a port also ' +
        '`dhcp`, `dhcpv6` and `router`: what it asks everybody on its link',
      examples: ['10.0.2.10'],
    }),
    protocol: Type.Optional(
      Type.String({ maxLength: 16, default: 'icmp', description: 'Name or number, as in rules; icmp when left out' }),
    ),
    ports: Type.Optional(
      Type.Object(
        { source: Type.Optional(PortNumber), destination: Type.Optional(PortNumber) },
        { ...closed, description: 'Of TCP, UDP or SCTP' },
      ),
    ),
    icmp: Type.Optional(
      Type.Object(
        {
          type: Type.Integer({ minimum: 0, maximum: 255 }),
          code: Type.Optional(Type.Integer({ minimum: 0, maximum: 255 })),
        },
        { ...closed, description: 'An echo request when left out' },
      ),
    ),
    state: Type.Optional(
      Type.Unsafe<'new' | 'established' | 'reply'>({
        type: 'string',
        enum: ['new', 'established', 'reply'],
        default: 'new',
        description: 'The packet opens a connection, belongs to one that is up, or answers on one that `to` has opened',
      }),
    ),
    source: Type.Optional(
      Type.String({ maxLength: 64, description: "Address to send from; the sender's own when left out" }),
    ),
    ttl: Type.Optional(Type.Integer({ minimum: 0, maximum: 255, description: 'Time to live, or hop limit' })),
    live: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Really send it, from the switch of the sender, and say which flows have counted it',
      }),
    ),
    assumeDown: Type.Optional(
      Type.Array(Name, {
        maxItems: 16,
        uniqueItems: true,
        description: 'Hypervisors taken to be dead, so as to see what others would do; not for tenants',
      }),
    ),
    length: Type.Optional(Type.Integer({ minimum: 42, maximum: 65_535, description: 'Of the frame, bytes' })),
  },
  closed,
);
type TraceBody = Static<typeof TraceBody>;

const ConnectivityBody = Type.Object(
  {
    hypervisors: Type.Optional(
      Type.Array(Name, {
        minItems: 1,
        maxItems: 1_000,
        uniqueItems: true,
        description: 'Tunnels between these; of one, all it has; all there are when left out',
      }),
    ),
  },
  closed,
);

export function traceRoutes(plain: FastifyInstance, services: Services): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>();
  const routes = new TraceRoutes(services);
  app.post(
    '/v1/trace',
    {
      // A tenant follows packets of its own ports only.
      config: { access: areaAccess('trace', 'read') },
      schema: {
        operationId: 'trace',
        summary: 'Follow a packet through the flows of every switch on its way, to the order that decided',
        description:
          'The flows are read from the switches now, and the packet is worked out through them; sent it is only when `live` is ' +
          'asked for. ' +
          'Tenants are told the verdict, what decided, and what is missing; not where their VMs are.',
        tags: ['inspection'],
        body: TraceBody,
        response: {
          200: described(ref('Trace'), 'What becomes of the packet'),
          ...problemResponses(
            ...accessProblems,
            'request.invalid',
            'request.malformed',
            'request.too-large',
            'request.unsupported-media-type',
            'resource.not-found',
            'name.invalid',
            'address.invalid',
            'trace.port-not-bound',
            'trace.not-possible',
            'hypervisor.not-connected',
            'store.unavailable',
          ),
        },
      },
    },
    (request) => routes.trace(request.body, request),
  );
  app.post(
    '/v1/connectivity',
    {
      config: { access: areaAccess('connectivity', 'write') },
      schema: {
        operationId: 'checkConnectivity',
        summary: 'Send probes over the tunnels between hypervisors, and say which do not carry them',
        description:
          'Frames of several sizes, up to what the MTU of the underlay leaves room for, in both directions, under a key that ' +
          'no tenant has. They end in the receiving switch; no VM sees them.',
        tags: ['inspection'],
        body: ConnectivityBody,
        response: {
          200: described(ref('Connectivity'), 'Of each pair of hypervisors with a tunnel, worst first'),
          ...problemResponses(
            ...accessProblems,
            'request.invalid',
            'request.malformed',
            'request.too-large',
            'request.unsupported-media-type',
            'resource.not-found',
            'trace.not-possible',
            'store.unavailable',
          ),
        },
      },
    },
    (request) => routes.connectivity(request.body.hypervisors, request),
  );
}

class TraceRoutes {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  async trace(body: TraceBody, asker: Asker): Promise<Answer> {
    const { reader } = asker;
    const { trace } = this.#services;
    const request = requestOf(body, reader);
    // Somebody's VM gets a packet it did not cause.
    if (body.live === true)
      await this.#audit(asker, 'trace-live', typeof request.from === 'string' ? request.from : 'outside');
    const answer = await (body.live === true ? trace.traceLive(request) : trace.trace(request));
    const told = { ...answer, verdict: await this.#authored(answer.verdict) };
    return reader.tenant === undefined ? told : forTenant(told, reader.tenant.slice(reader.tenant.indexOf('/') + 1));
  }

  async connectivity(hypervisors: readonly string[] | undefined, asker: Asker): Promise<Connectivity> {
    await this.#audit(asker, 'check-connectivity', 'connectivity');
    return await this.#services.trace.connectivity(hypervisors);
  }

  /** @throws Problem store.unavailable */
  async #audit(asker: Asker, action: string, target: string): Promise<void> {
    const { store, writes } = this.#services;
    const deed = { action, target, tenant: tenantNameOf(target) };
    await store.commit({ put: new Map([writes.record(asker, deed)]) });
  }

  /** With who wrote each rule last, as far as the audit still knows. */
  async #authored(verdict: Verdict): Promise<Verdict> {
    const decisions = verdict.decisions.map(async (decision) => {
      const record = decision.revision === undefined ? undefined : await this.#services.audit.at(decision.revision);
      if (record === undefined) return decision;
      const { token, role, tenant } = record.by;
      return { ...decision, author: { at: record.at, role, token, ...(tenant === undefined ? {} : { tenant }) } };
    });
    return { ...verdict, decisions: await Promise.all(decisions) };
  }
}

const questions: ReadonlySet<string> = new Set<Question>(['dhcp', 'dhcpv6', 'router']);

/** @throws Problem auth.forbidden before anything is looked up; name.invalid, request.invalid, address.invalid */
function requestOf(body: TraceBody, reader: Reader): TraceRequest {
  if (reader.tenant !== undefined && body.assumeDown !== undefined)
    throw new Problem('auth.forbidden', 'Hypervisors are not the affair of tenants.', [
      { field: '/assumeDown', code: 'auth.forbidden', message: 'not for tenants' },
    ]);
  return {
    from: fromOf(body.from, reader),
    to: toOf(body.to, reader),
    protocol: body.protocol ?? 'icmp',
    state: body.state ?? 'new',
    sourcePort: body.ports?.source,
    destinationPort: body.ports?.destination,
    icmp: body.icmp,
    source: body.source,
    ttl: body.ttl,
    length: body.length,
    assumeDown: body.assumeDown,
    within: reader.tenant,
  };
}

function fromOf(from: TraceBody['from'], reader: Reader): TraceRequest['from'] {
  const outside = typeof from === 'string' ? /^outside(?::(.*))?$/.exec(from) : null;
  return outside === null ? portPath(from, '/from', reader) : { outside: outside[1] };
}

function toOf(to: TraceBody['to'], reader: Reader): TraceRequest['to'] {
  if (typeof to !== 'string') return { port: portPath(to, '/to', reader) };
  if (parseIp(to) !== undefined) return { ip: to };
  if (questions.has(to)) return { ask: to as Question };
  if (/\/public-ips\/[^/]*$/.test(to)) return { publicIp: pathOf(to, '/to', reader, 'public-ip') };
  return { port: portPath(to, '/to', reader) };
}

function portPath(given: TraceBody['from'], field: string, reader: Reader): Path {
  const text =
    typeof given === 'string' ? given : `tenants/${given.tenant}/networks/${given.network}/ports/${given.port}`;
  return pathOf(text, field, reader, 'port');
}

function pathOf(text: string, field: string, { tenant }: Reader, kind: 'port' | 'public-ip'): Path {
  const path = text.replace(/^\/?(v1\/)?/, '');
  const parsed = parsePath(path);
  const bad = (message: string): Problem =>
    new Problem('request.invalid', message, [{ field, code: 'request.invalid', message }]);
  if (parsed instanceof Problem) {
    if (field === '/to' && /^[0-9a-fA-F:.]+$/.test(path)) {
      const message = `${path} is no IP address`;
      throw new Problem('address.invalid', message, [{ field, code: 'address.invalid', message }]);
    }
    if (parsed.code === 'name.invalid')
      throw new Problem(parsed.code, parsed.detail, [{ field, code: parsed.code, message: parsed.detail }]);
    throw bad(`${JSON.stringify(path)} is no path of a port${field === '/to' ? ', and no IP address' : ''}`);
  }
  if (parsed.kind !== kind) throw bad(`${path} is a ${parsed.kind}, not a ${kind}`);
  if (tenant !== undefined && tenantOf(path) !== tenant)
    throw new Problem('auth.forbidden', `The token is for ${tenant}.`, [
      { field, code: 'auth.forbidden', message: 'of another tenant' },
    ]);
  return path;
}
