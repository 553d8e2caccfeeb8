/** How often rules and policies were used. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { Name } from '../intent/fields.ts';
import type { Path } from '../intent/model.ts';
import { formatPath } from '../intent/path.ts';
import { Problem, type ProblemCode } from '../problems.ts';
import type { Hits } from '../reconcile/contract.ts';
import { resourceAccess } from './access.ts';
import { accessProblems, described, problemResponses } from './schemas.ts';
import type { Services } from './services.ts';

const closed = { additionalProperties: false } as const;

const count = (description: string) => Type.Integer({ minimum: 0, description });

const HitsAnswer = Type.Object({
  packets: count('Decided by it, in the direction it speaks of; at the end of each port concerned'),
  bytes: count('Of these packets'),
  carried: Type.Object(
    { packets: count('Of connections it had allowed, in both directions'), bytes: count('Of these packets') },
    { description: 'Beyond what opened a connection; none of what it denied' },
  ),
  complete: Type.Boolean({ description: 'Whether every switch concerned could be asked' }),
});

const description =
  'Read from the switches now, which bring their counters up to date about once a second. Both ends of a connection judge: ' +
  'what two ports exchange is counted at each. Counters begin anew when a switch has lost its flows.';

const notFound: ProblemCode[] = ['name.invalid', 'resource.not-found'];

export function hitRoutes(plain: FastifyInstance, { intent, fabric }: Services): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>();
  const schema = {
    description,
    tags: ['inspection'],
    querystring: Type.Object({}, closed),
    response: {
      200: described(HitsAnswer, 'Since its flows are on the switches'),
      ...problemResponses(...accessProblems, ...notFound),
    },
  };
  const hits = async (path: Path): Promise<Hits> => {
    const decider = intent.getAs('rule', path) ?? intent.getAs('policy', path);
    if (decider === undefined) throw new Problem('resource.not-found', `There is no ${path}`);
    return await fabric.hits(decider);
  };
  app.get(
    '/v1/tenants/:tenant/networks/:network/rules/:rule/hits',
    {
      config: { access: resourceAccess('rule', 'read') },
      schema: {
        operationId: 'getRuleHits',
        summary: 'How many packets an access rule decided',
        ...schema,
        params: Type.Object({ tenant: Name, network: Name, rule: Name }),
      },
    },
    ({ params: { tenant, network, rule } }) =>
      hits(formatPath('rule', formatPath('network', formatPath('tenant', '', tenant), network), rule)),
  );
  app.get(
    '/v1/policies/:policy/hits',
    {
      config: { access: resourceAccess('policy', 'read') },
      schema: {
        operationId: 'getPolicyHits',
        summary: 'How many packets a policy decided',
        ...schema,
        params: Type.Object({ policy: Name }),
      },
    },
    ({ params: { policy } }) => hits(formatPath('policy', '', policy)),
  );
}
