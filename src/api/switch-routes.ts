/** What is on switches, and where ports are: flows with the intent behind each, drift, explain, where. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { Name } from '../intent/fields.ts';
import type { Path } from '../intent/model.ts';
import { formatPath, tenantOf } from '../intent/path.ts';
import { Problem, type ProblemCode } from '../problems.ts';
import { anyToken, areaAccess, resourceAccess } from './access.ts';
import type { Answer } from './answers.ts';
import type { DumpedFlow } from './context.ts';
import { type Reader, seesResource } from './reader.ts';
import { accessProblems, described, problemResponses, ref } from './schemas.ts';
import type { Services } from './services.ts';

const closed = { additionalProperties: false } as const;

const Hypervisor = Type.Object({ hypervisor: Name });

const FlowsQuery = Type.Object(
  {
    which: Type.Optional(
      Type.Union([Type.Literal('installed'), Type.Literal('desired')], {
        default: 'installed',
        description: 'As read from the switch now, or as they should be',
      }),
    ),
    tenant: Type.Optional(Type.String({ description: 'Only those that serve something of this tenant' })),
    table: Type.Optional(Type.String({ description: 'Only those of the table with this number or name' })),
    port: Type.Optional(Type.String({ description: 'Only those that serve the port with this name or path' })),
  },
  closed,
);
type FlowsQuery = Static<typeof FlowsQuery>;

const ExplainQuery = Type.Object(
  {
    flow: Type.Optional(Type.String({ maxLength: 8192, description: 'In the notation of ovs-ofctl' })),
    cookie: Type.Optional(Type.String({ pattern: '^0x[0-9a-fA-F]{1,16}$' })),
  },
  closed,
);

const WhereQuery = Type.Object(
  {
    q: Type.String({
      minLength: 1,
      maxLength: 512,
      description: 'IP, MAC, name, path or ifaceId of a port; name, path or address of a public one',
    }),
  },
  closed,
);

const Explained = Type.Object({
  flow: Type.Optional(Type.String()),
  stage: Type.String({ description: 'Stage of the pipeline' }),
  path: Type.Optional(Type.String({ description: 'What it serves' })),
  text: Type.Array(Type.String()),
  hypervisors: Type.Array(Type.String(), { description: 'Where it is' }),
});

const SeenInterface = Type.Object({
  ifaceId: Type.String({ description: 'external_ids:iface-id, to be the ifaceId of its port' }),
  name: Type.String({ description: 'Of the interface on the hypervisor' }),
  mac: Type.Union([Type.String(), Type.Null()], {
    description: 'external_ids:attached-mac; null where the hypervisor does not say it',
  }),
});

const notFound: ProblemCode[] = ['name.invalid', 'request.invalid', 'resource.not-found'];

export function switchRoutes(plain: FastifyInstance, services: Services): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>();
  const routes = new SwitchRoutes(services);
  const url = '/v1/hypervisors/:hypervisor';
  app.get(
    `${url}/flows`,
    {
      config: { access: areaAccess('flows', 'read') },
      schema: {
        operationId: 'listFlows',
        summary: 'Flows of a switch, with counters and the intent behind each',
        tags: ['hypervisors'],
        params: Hypervisor,
        querystring: FlowsQuery,
        response: {
          200: Type.Object({ flows: Type.Array(ref('Flow')) }, { description: 'In the order of the switch' }),
          ...problemResponses(...accessProblems, ...notFound, 'hypervisor.not-connected'),
        },
      },
    },
    (request) => routes.flows(request.params.hypervisor, request.query),
  );
  app.get(
    `${url}/drift`,
    {
      config: { access: areaAccess('drift', 'read') },
      schema: {
        operationId: 'getDrift',
        summary: 'Desired against installed flows, read from the switch now',
        tags: ['hypervisors'],
        params: Hypervisor,
        querystring: Type.Object({}, closed),
        response: {
          200: Type.Object(
            {
              missing: Type.Array(ref('Flow')),
              extra: Type.Array(ref('Flow')),
              different: Type.Array(Type.Object({ desired: ref('Flow'), installed: ref('Flow') })),
            },
            { description: 'What differs; nothing when all three are empty' },
          ),
          ...problemResponses(...accessProblems, ...notFound, 'hypervisor.not-connected'),
        },
      },
    },
    (request) => routes.drift(request.params.hypervisor),
  );
  app.get(
    `${url}/interfaces`,
    {
      config: { access: resourceAccess('hypervisor', 'read') },
      schema: {
        operationId: 'listInterfaces',
        summary: 'VM interfaces the hypervisor shows that are no port of Keyway yet: what can be imported',
        tags: ['hypervisors'],
        params: Hypervisor,
        querystring: Type.Object({}, closed),
        response: {
          200: Type.Object({ interfaces: Type.Array(SeenInterface) }, { description: 'Sorted by name' }),
          ...problemResponses(...accessProblems, ...notFound),
        },
      },
    },
    (request) => routes.interfaces(request.params.hypervisor),
  );
  app.get(
    '/v1/explain',
    {
      config: { access: areaAccess('flows', 'read') },
      schema: {
        operationId: 'explainFlow',
        summary: 'What a flow or cookie does, and whom it serves',
        tags: ['inspection'],
        querystring: ExplainQuery,
        response: {
          200: described(Explained, 'What it does'),
          ...problemResponses(...accessProblems, 'request.invalid', 'resource.not-found'),
        },
      },
    },
    (request) => routes.explain(request.query),
  );
  app.get(
    '/v1/where',
    {
      // A tenant finds its own ports only, without their bindings.
      config: { access: anyToken },
      schema: {
        operationId: 'findPorts',
        summary: 'Where ports and public addresses are',
        tags: ['inspection'],
        querystring: WhereQuery,
        response: {
          200: Type.Object(
            {
              ports: Type.Array(Type.Object({ path: Type.String(), port: ref('Port') })),
              publicIps: Type.Array(
                Type.Object({
                  path: Type.String(),
                  publicIp: ref('PublicIp'),
                  hypervisors: Type.Optional(
                    Type.Array(Type.String(), {
                      description: 'Where it is at home, the one in charge first; not shown to tenants',
                    }),
                  ),
                }),
              ),
            },
            { description: 'Ports and public addresses found' },
          ),
          ...problemResponses(...accessProblems, 'request.invalid'),
        },
      },
    },
    (request) => routes.where(request.query, request.reader),
  );
}

type Found = {
  ports: { path: Path; port: Answer }[];
  publicIps: { path: Path; publicIp: Answer; hypervisors?: string[] }[];
};

type ShownFlow = {
  text: string;
  table: number;
  tableName: string;
  priority: number;
  cookie: string;
  packets: number | undefined;
  bytes: number | undefined;
  duration: number | undefined;
  purpose: DumpedFlow['purpose'];
};

type ShownDrift = {
  missing: ShownFlow[];
  extra: ShownFlow[];
  different: { desired: ShownFlow; installed: ShownFlow }[];
};

class SwitchRoutes {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  async flows(hypervisor: string, { which = 'installed', ...filters }: FlowsQuery): Promise<{ flows: ShownFlow[] }> {
    const flows = await this.#services.fabric.flows(this.#mustExist(hypervisor), which);
    return { flows: flows.filter(flowFilter(filters)).map(shownFlow) };
  }

  interfaces(hypervisor: string): { interfaces: Static<typeof SeenInterface>[] } {
    const seen = this.#services.fabric.unclaimed(this.#mustExist(hypervisor));
    return {
      interfaces: seen
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map(({ ifaceId, name, mac }) => ({ ifaceId, name, mac: mac ?? null })),
    };
  }

  async drift(hypervisor: string): Promise<ShownDrift> {
    const { missing, extra, different } = await this.#services.fabric.drift(this.#mustExist(hypervisor));
    return {
      missing: missing.map(shownFlow),
      extra: extra.map(shownFlow),
      different: different.map(({ desired, installed }) => ({
        desired: shownFlow(desired),
        installed: shownFlow(installed),
      })),
    };
  }

  async explain({ flow, cookie }: Static<typeof ExplainQuery>): Promise<object> {
    if ((flow === undefined) === (cookie === undefined))
      throw new Problem('request.invalid', 'Give either flow or cookie');
    return await this.#services.fabric.explain((flow ?? cookie)!);
  }

  where({ q }: Static<typeof WhereQuery>, reader: Reader): Found {
    const { answers, fabric } = this.#services;
    const found = fabric.where(q).filter(({ port }) => {
      if (reader.tenant === undefined) return true;
      // A tenant is not shown ifaceIds, so it does not find by them either.
      return seesResource(reader, port) && port.spec.ifaceId !== q;
    });
    const addresses = fabric.wherePublic(q).filter(({ publicIp }) => seesResource(reader, publicIp));
    return {
      ports: found.map(({ port }) => ({ path: port.path, port: answers.answer(port, reader) })),
      publicIps: addresses.map(({ publicIp, on }) => ({
        path: publicIp.path,
        publicIp: answers.answer(publicIp, reader),
        ...(reader.tenant === undefined ? { hypervisors: on } : {}),
      })),
    };
  }

  /** @returns its path @throws Problem resource.not-found */
  #mustExist(hypervisor: string): Path {
    const path = formatPath('hypervisor', '', hypervisor);
    if (this.#services.intent.get(path) === undefined)
      throw new Problem('resource.not-found', `There is no approved ${path}`);
    return path;
  }
}

function flowFilter({ tenant, table, port }: Omit<FlowsQuery, 'which'>): (flow: DumpedFlow) => boolean {
  const tenantPath = tenant === undefined ? undefined : formatPath('tenant', '', tenant);
  return ({ flow, tableName, purpose: { path } }) =>
    (table === undefined || table === tableName || table === String(flow.table)) &&
    (tenantPath === undefined || (path !== undefined && tenantOf(path) === tenantPath)) &&
    (port === undefined || path === port || (path?.endsWith(`/ports/${port}`) ?? false));
}

function shownFlow({ flow, text, tableName, purpose, stats }: DumpedFlow): ShownFlow {
  return {
    text,
    table: flow.table,
    tableName,
    priority: flow.priority,
    cookie: `0x${flow.cookie.toString(16)}`,
    // Counters are 64 bits wide on the wire; what a switch counts in years stays below 2^53.
    packets: stats && Number(stats.packets),
    bytes: stats && Number(stats.bytes),
    duration: stats?.duration,
    purpose: { stage: purpose.stage, path: purpose.path, text: purpose.text },
  };
}
