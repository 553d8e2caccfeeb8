/** What ports and public addresses have used, for billing. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { Name } from '../intent/fields.ts';
import type { Path } from '../intent/model.ts';
import { formatPath } from '../intent/path.ts';
import { Problem, type ProblemCode } from '../problems.ts';
import type { Usage, UsagePage } from '../usage/service.ts';
import { areaAccess, resourceAccess } from './access.ts';
import { defaultLimit, limitParameter } from './list.ts';
import { type Reader, seesResource } from './reader.ts';
import { accessProblems, described, problemResponses, ref } from './schemas.ts';
import type { Services } from './services.ts';

const closed = { additionalProperties: false } as const;

const UsageQuery = Type.Object(
  {
    tenant: Type.Optional(
      Type.Unsafe<string>({ ...Name, description: 'Of this tenant only; a token of a tenant is told of its own' }),
    ),
    since: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Milliseconds since the epoch: only what has changed, or was deleted, then or later',
      }),
    ),
    limit: limitParameter,
    cursor: Type.Optional(
      Type.String({ maxLength: 2048, description: 'The `next` of the page before, with the same tenant and since' }),
    ),
  },
  closed,
);
type UsageQuery = Static<typeof UsageQuery>;

const description =
  'Read from the switches concerned now, which bring their counters up to date about once a second. The figures only grow, ' +
  'whichever hypervisor a VM moves to. Frames with their Ethernet header, as the switch has them.';

const notFound: ProblemCode[] = ['name.invalid', 'resource.not-found'];

export function usageRoutes(plain: FastifyInstance, { usage, intent }: Services): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>();
  const schema = {
    description,
    tags: ['usage'],
    querystring: Type.Object({}, closed),
    response: {
      200: described(ref('Usage'), 'Since it was ordered'),
      ...problemResponses(...accessProblems, ...notFound),
    },
  };
  const of = async (path: Path, reader: Reader): Promise<Usage> => {
    const resource = intent.get(path);
    const found = resource && seesResource(reader, resource) ? await usage.of(path) : undefined;
    if (found === undefined) throw new Problem('resource.not-found', `There is no ${path}`);
    return found;
  };
  app.get(
    '/v1/tenants/:tenant/networks/:network/ports/:port/usage',
    {
      config: { access: resourceAccess('port', 'read') },
      schema: {
        operationId: 'getPortUsage',
        summary: 'What a port has received and sent',
        ...schema,
        params: Type.Object({ tenant: Name, network: Name, port: Name }),
      },
    },
    ({ params: { tenant, network, port }, reader }) => of(formatPath('port', networkAt(tenant, network), port), reader),
  );
  app.get(
    '/v1/tenants/:tenant/networks/:network/public-ips/:publicIp/usage',
    {
      config: { access: resourceAccess('public-ip', 'read') },
      schema: {
        operationId: 'getPublicIpUsage',
        summary: 'What a public address has received from outside and sent there',
        ...schema,
        params: Type.Object({ tenant: Name, network: Name, publicIp: Name }),
      },
    },
    ({ params: { tenant, network, publicIp }, reader }) =>
      of(formatPath('public-ip', networkAt(tenant, network), publicIp), reader),
  );
  app.get(
    '/v1/usage',
    {
      config: { access: areaAccess('usage', 'read') },
      schema: {
        operationId: 'listUsage',
        summary: 'What ports and public addresses have used, those deleted among them',
        description:
          'As it was last written, within about a minute. What there is comes first, by path; then what was deleted, by tenant, ' +
          'oldest first, with `until`: kept for 40 days. What changes later than `until` of a list is told by one with it as `since`.',
        tags: ['usage'],
        querystring: UsageQuery,
        response: {
          200: described(ref('UsageList'), 'A page'),
          ...problemResponses(
            ...accessProblems,
            'name.invalid',
            'request.invalid',
            'cursor.invalid',
            'store.unavailable',
          ),
        },
      },
    },
    ({ query, reader }): Promise<UsagePage> => {
      const { since, limit = defaultLimit, cursor } = query;
      const asTenant = reader.tenant !== undefined;
      return usage.list({ tenant: tenantOf(query, reader), since, limit, cursor, asTenant });
    },
  );
}

const networkAt = (tenant: string, network: string): Path =>
  formatPath('network', formatPath('tenant', '', tenant), network);

/** @throws Problem auth.forbidden, before anything is looked up */
function tenantOf({ tenant }: UsageQuery, reader: Reader): Path | undefined {
  const asked = tenant === undefined ? reader.tenant : formatPath('tenant', '', tenant);
  if (reader.tenant !== undefined && asked !== reader.tenant)
    throw new Problem('auth.forbidden', `The token is for ${reader.tenant}.`);
  return asked;
}
