/** `/v1/gateway-hosts/{hypervisor}/services`: the WebSocket by which `keyway gateway-host` is told what to serve. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { ServicesMessage } from '../drivers/gateway-services.ts';
import { Name } from '../intent/fields.ts';
import type { Resource } from '../intent/model.ts';
import { formatPath } from '../intent/path.ts';
import { Problem } from '../problems.ts';
import { areaAccess } from './access.ts';
import { accessProblems, problemResponses } from './schemas.ts';
import type { Services } from './services.ts';

const description = `A WebSocket. It tells what the program of this gateway host is to serve, as JSON texts: first all of it between
\`{"type":"begin","hypervisor","name"}\` and \`{"type":"end"}\`, then only what changes. \`{"type":"network","network"}\` is a network
without its ports; \`{"type":"ports","network","set","remove"}\` are ports of it that are new or differ, and numbers of those that are gone;
\`{"type":"remove","network"}\` says that it is served there no longer. Every message holds what is so now, so that after a break the
whole is told anew. The server closes with 4401 \`auth.invalid\` (the token has expired or was revoked) and 1001 (the controller stops).`;

type Params = { hypervisor: string };

export function gatewayRoutes(app: FastifyInstance, { intent, gatewayStreams }: Services): void {
  const find = (name: string): Resource<'hypervisor'> => {
    const path = formatPath('hypervisor', '', name);
    const found = intent.getAs('hypervisor', path);
    if (found === undefined) throw new Problem('resource.not-found', `There is no ${path}`);
    return found;
  };
  app.route({
    method: 'GET',
    url: '/v1/gateway-hosts/:hypervisor/services',
    config: { access: areaAccess('gateway-services', 'read') },
    schema: {
      operationId: 'followGatewayServices',
      summary: 'Follow what a gateway host is to serve',
      description,
      tags: ['gateway-hosts'],
      params: Type.Object({ hypervisor: Name }),
      response: {
        101: Type.Unsafe({ ...ServicesMessage, description: 'WebSocket; each message is one of these' }),
        ...problemResponses(...accessProblems, 'name.invalid', 'request.invalid', 'resource.not-found'),
      },
    },
    // Before the upgrade, so that a refusal is an HTTP answer.
    preHandler: (request, _reply, done) => {
      try {
        find((request.params as Params).hypervisor);
        done();
      } catch (error) {
        done(error as Error);
      }
    },
    handler: () => {
      throw new Problem('request.invalid', 'This is a WebSocket: ask with Connection: Upgrade');
    },
    wsHandler: (socket, request) => {
      const { id, name } = find((request.params as Params).hypervisor);
      gatewayStreams.follow(socket, request.principal, { number: id, name });
    },
  });
}
