import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AccessRequest,
  type Area,
  authorise,
  type Principal,
  type Role,
  roles,
  seesRestricted,
  seesTenant,
  setsRestricted,
} from '../../src/auth/roles.ts';
import { definitions, type Kind, kinds } from '../../src/intent/resources/index.ts';
import { Problem } from '../../src/problems.ts';

const as = (role: Role): Principal => ({
  token: 't',
  role,
  tenant: role === 'tenant' ? 'acme' : undefined,
  ...(role === 'gateway-host' && { hypervisor: 'gw1' }),
});

const may = (role: Role, request: AccessRequest): boolean => {
  const problem = authorise(as(role), request);
  if (problem !== undefined) expect(problem).toMatchObject({ code: 'auth.forbidden', status: 403 });
  return problem === undefined;
};

const resource = (kind: Kind, action: 'read' | 'write', tenant?: string): AccessRequest => ({
  resource: definitions[kind],
  action,
  tenant,
});

/** Below /v1/tenants/{t}. */
const inTenant: Kind[] = kinds.filter((kind) => definitions[kind].parent !== undefined);

/** What attaches hardware is the operator's, though it lies in a network. */
const ofTenant = (kind: Kind) => (kind === 'vlan-attachment' ? 'no' : 'yes');

/** Who may, in the order admin, operator, orchestrator, tenant, gateway-host. */
const table: [string, AccessRequest, string][] = [
  ...inTenant.flatMap((kind): [string, AccessRequest, string][] => [
    [`read ${kind} of acme`, resource(kind, 'read', 'acme'), `yes yes yes ${ofTenant(kind)} no`],
    [`write ${kind} of acme`, resource(kind, 'write', 'acme'), `yes no yes ${ofTenant(kind)} no`],
    [`read ${kind} of globex`, resource(kind, 'read', 'globex'), 'yes yes yes no no'],
    [`write ${kind} of globex`, resource(kind, 'write', 'globex'), 'yes no yes no no'],
    [`read ${kind} of nobody`, resource(kind, 'read'), 'yes yes yes no no'],
    [`write ${kind} of nobody`, resource(kind, 'write'), 'yes no yes no no'],
  ]),
  ['read tenant acme', resource('tenant', 'read', 'acme'), 'yes yes yes yes no'],
  ['write tenant acme', resource('tenant', 'write', 'acme'), 'yes no yes no no'],
  ['read tenant globex', resource('tenant', 'read', 'globex'), 'yes yes yes no no'],
  ['list tenants', resource('tenant', 'read'), 'yes yes yes no no'],
  ['read offerings', resource('offering', 'read'), 'yes yes yes yes no'],
  ['write offerings', resource('offering', 'write'), 'yes no no no no'],
  ['read hypervisors', resource('hypervisor', 'read'), 'yes yes yes no no'],
  ['write hypervisors', resource('hypervisor', 'write'), 'yes yes no no no'],
  ...(
    [
      ['lost-hypervisors', 'write', 'yes no no no no'],
      ['tokens', 'read', 'yes yes no no no'],
      ['tokens', 'write', 'yes no no no no'],
      ['audit', 'read', 'yes yes no no no'],
      ['flows', 'read', 'yes yes no no no'],
      ['drift', 'read', 'yes yes no no no'],
      ['drift', 'write', 'yes no no no no'],
      ['recompute', 'read', 'yes yes no no no'],
      ['recompute', 'write', 'yes yes no no no'],
      ['doctor', 'read', 'yes yes no no no'],
      ['backup', 'write', 'yes no no no no'],
      ['compact', 'write', 'yes no no no no'],
      ['gateway-services', 'read', 'yes yes no no no'],
      ['devices', 'read', 'yes yes no no no'],
      ['devices', 'write', 'yes no no no no'],
      ['drivers', 'read', 'yes yes no no no'],
      ['where', 'read', 'yes yes yes no no'],
      ['trace', 'read', 'yes yes yes yes no'],
      ['usage', 'read', 'yes yes yes yes no'],
      ['verify', 'read', 'yes yes yes yes no'],
      ['events', 'read', 'yes yes yes yes no'],
      ['apply', 'write', 'yes yes yes yes no'],
    ] as [Area, 'read' | 'write', string][]
  ).map(([area, action, who]): [string, AccessRequest, string] => [`${action} ${area}`, { area, action }, who]),
  ...(['provider-network', 'ip-pool', 'trunk'] as const).flatMap((kind): [string, AccessRequest, string][] => [
    [`read ${kind}`, resource(kind, 'read'), 'yes yes yes no no'],
    [`write ${kind}`, resource(kind, 'write'), 'yes no no no no'],
  ]),
  ['services of gw1', { area: 'gateway-services', action: 'read', hypervisor: 'gw1' }, 'yes yes no no yes'],
  ['services of gw2', { area: 'gateway-services', action: 'read', hypervisor: 'gw2' }, 'yes yes no no no'],
  ['trace in acme', { area: 'trace', action: 'read', tenant: 'acme' }, 'yes yes yes yes no'],
  ['trace in globex', { area: 'trace', action: 'read', tenant: 'globex' }, 'yes yes yes no no'],
];

describe('who may', () => {
  test('there are kinds to judge', () => {
    expect(inTenant).toEqual(expect.arrayContaining(['network', 'tier', 'port', 'group', 'rule']));
  });

  test.each(table)('%s', (_, request, who) => {
    expect(roles.map((role) => (may(role, request) ? 'yes' : 'no')).join(' ')).toBe(who);
  });
});

test('no request that names another tenant is open to a tenant, nor told from one for what is not there', () => {
  const name = fc.stringMatching(/^[a-z0-9]{1,8}$/);
  const what = fc.oneof(
    fc.constantFrom(...kinds).map((kind) => ({ resource: definitions[kind] })),
    fc.constantFrom<Area>('apply', 'events', 'trace', 'tokens').map((area) => ({ area })),
  );
  fc.assert(
    fc.property(name, name, fc.constantFrom('read' as const, 'write' as const), what, (own, other, action, asked) => {
      fc.pre(own !== other);
      const principal: Principal = { token: 't', role: 'tenant', tenant: own };
      const problem = authorise(principal, { action, tenant: other, ...asked });
      expect(problem).toBeInstanceOf(Problem);
      expect(problem!.detail).toBe(`The token is for tenant ${own}.`);
    }),
  );
});

test('restricted fields: operators see them, orchestrators set them, tenants know nothing of them', () => {
  expect(roles.map((role) => [seesRestricted(as(role)), setsRestricted(as(role))])).toEqual([
    [true, true],
    [true, false],
    [true, true],
    [false, false],
    [false, false],
  ]);
});

test('a tenant is shown what concerns itself, the others everything', () => {
  const shown = (role: Role) => ['acme', 'globex', undefined].map((tenant) => seesTenant(as(role), tenant));
  expect(shown('tenant')).toEqual([true, false, false]);
  expect(shown('gateway-host')).toEqual([false, false, true]);
  for (const role of roles.slice(0, 3)) expect(shown(role)).toEqual([true, true, true]);
});
