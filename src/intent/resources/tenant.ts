import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description } from '../fields.ts';

export const tenant = defineResource({
  kind: 'tenant',
  segment: 'tenants',
  parent: undefined,
  summary: 'Owner of networks; has one key on the wire',
  spec: Type.Object({ description: Type.Optional(Description) }, { additionalProperties: false }),
  extra: Type.Object({ key: Type.Integer({ minimum: 1, maximum: 0xffffff, description: 'GRE key of the tenant' }) }),
  restricted: ['key'],
  writers: ['orchestrator'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'KEY', field: '/key', wide: true },
    { title: 'STATE', field: '/status/state' },
    { title: 'DESCRIPTION', field: '/description' },
  ],
  examples: [{ name: 'acme', parents: [], spec: { description: 'Acme Corporation' } }],
});

export type TenantSpec = SpecOf<typeof tenant>;
