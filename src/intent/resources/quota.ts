import Type, { type TInteger } from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description } from '../fields.ts';

const most = (what: string): TInteger =>
  Type.Integer({ minimum: 0, maximum: 1_000_000, description: `${what} at most; unbounded when left out` });

export const quota = defineResource({
  kind: 'quota',
  segment: 'quotas',
  parent: undefined,
  summary: 'What the tenant of the same name may have at most; there may be a quota before there is the tenant',
  spec: Type.Object(
    {
      networks: Type.Optional(most('Networks')),
      ports: Type.Optional(most('Ports, in all its networks')),
      rules: Type.Optional(most('Access rules, in all its networks')),
      publicIps: Type.Optional(most('Public addresses, in all its networks')),
      requestsPerSecond: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 100_000,
          description:
            'Requests to the API per second on average, with all tokens of the tenant; unbounded when left out',
        }),
      ),
      requestBurst: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 1_000_000,
          description: 'Requests at once after a pause; twice requestsPerSecond when left out',
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  extra: Type.Object({
    used: Type.Object(
      { networks: Type.Integer(), ports: Type.Integer(), rules: Type.Integer(), publicIps: Type.Integer() },
      { description: 'What the tenant has' },
    ),
  }),
  writers: [],
  tenantReads: false,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'NETWORKS', field: '/networks' },
    { title: 'USED', field: '/used/networks' },
    { title: 'PORTS', field: '/ports' },
    { title: 'USED', field: '/used/ports' },
    { title: 'RULES', field: '/rules' },
    { title: 'USED', field: '/used/rules' },
    { title: 'PUBLIC-IPS', field: '/publicIps' },
    { title: 'USED', field: '/used/publicIps' },
    { title: 'REQUESTS/S', field: '/requestsPerSecond' },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [
    { name: 'acme', parents: [], spec: { networks: 10, ports: 500, rules: 1000, publicIps: 5, requestsPerSecond: 50 } },
  ],
});

export type QuotaSpec = SpecOf<typeof quota>;
