/** Transactions in a world so small that they get in each other's way. */
import fc from 'fast-check';
import type { Operation } from '../../src/intent/intent.ts';

const tenant = fc.constantFrom('tenants/a', 'tenants/b');
const network = fc.tuple(tenant, fc.constantFrom('m', 'm', 'n', 'n', 'o')).map(([t, n]) => `${t}/networks/${n}`);
const tierName = fc.constantFrom('t', 'u');
const portName = fc.constantFrom('p', 'q', 'r');
const groupName = fc.constantFrom('g', 'h');
const ip = fc.constantFrom(
  '10.0.0.0',
  '10.0.0.1',
  '10.0.0.2',
  '10.0.0.3',
  '10.0.1.1',
  '10.0.1.2',
  '10.0.1.9',
  '10.0.1.255',
  'fd00::',
  'fd00::2',
  'fd00::3',
  'fd00:0:0:1::5',
  'FD00:0:0:1:0::5',
);
const mac = fc.constantFrom('02:00:00:00:00:0a', '02:00:00:00:00:0A', '02:00:00:00:00:0b');
const pair = fc.record(
  {
    ip: fc.constantFrom(
      '10.0.0.2',
      '10.0.1.2',
      '10.0.1.8/30',
      '192.168.0.0/24',
      '192.168.0.7',
      '10.9.0.5/32',
      'FD00:0:0:1::5',
      'fd00::2',
    ),
    mac: fc.constantFrom('02:00:00:00:00:0b', '02:00:00:00:00:0c'),
  },
  { requiredKeys: ['ip'] },
);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const some = (name: fc.Arbitrary<string>) => optional(fc.uniqueArray(name, { maxLength: 2 }));
const end = fc.oneof(
  tierName.map((tier) => ({ tier })),
  groupName.map((group) => ({ group })),
  portName.map((port) => ({ port })),
  fc.constant({ any: true }),
  fc.constant({ cidr: '10.0.0.0/8' }),
  fc.constant({ cidrs: ['10.0.0.0/8', 'FD00::/8'] }),
);
const ends = fc.oneof(
  { weight: 9, arbitrary: fc.record({ from: end, to: end }) },
  { weight: 1, arbitrary: fc.constant({ from: { cidr: '10.0.0.0/8' }, to: { cidr: 'fd00::/8' } }) },
);

const withSpec = (path: fc.Arbitrary<string>, spec: fc.Arbitrary<Record<string, unknown>>) => fc.tuple(path, spec);
const child = (segment: string, name: fc.Arbitrary<string>) =>
  fc.tuple(network, name).map(([n, x]) => `${n}/${segment}/${x}`);

/** Mostly what the tier has already. */
function tierSpec(at: string, name: string, choice: number): Record<string, unknown> {
  const cidr = name === 't' ? '10.0.0.0/30' : '10.0.1.0/24';
  const ipv6Cidr = name === 't' ? 'fd00::/126' : 'fd00:0:0:1::/64';
  const isDual = name === 'u' && at.endsWith('/m');
  if (choice === 0) return { cidr: '10.0.0.0/24' };
  if (choice === 1) return { cidr: '10.0.1.0/24' };
  if (choice === 2) return { cidr, ipv6Cidr };
  if (choice < 5 && name === 'u')
    return { cidr, gateway: '10.0.1.9', ...(isDual ? { ipv6Cidr, ipv6Gateway: 'FD00:0:0:1::5' } : {}) };
  return { cidr, ...(isDual ? { ipv6Cidr } : {}), description: choice < 7 ? 'x' : 'y' };
}

const requested = fc.oneof(
  {
    weight: 1,
    arbitrary: withSpec(fc.constantFrom('offerings/basic', 'offerings/silver'), fc.constant({ services: ['routing'] })),
  },
  {
    weight: 1,
    arbitrary: withSpec(
      fc.constantFrom('hypervisors/h1', 'hypervisors/h2'),
      fc.record({
        admission: fc.constantFrom('approved', 'drained'),
        systemId: optional(fc.constantFrom('h1', 'h2', 's')),
      }),
    ),
  },
  { weight: 2, arbitrary: withSpec(tenant, fc.record({ description: optional(fc.constantFrom('x', 'y')) })) },
  {
    weight: 3,
    arbitrary: withSpec(
      network,
      fc.record({
        offering: fc.constantFrom('basic', 'basic', 'silver'),
        cidr: fc.constantFrom('10.0.0.0/16', '10.0.0.0/16', '10.0.0.0/24', '10.9.0.0/16', '10.9.0.0/16', '10.0.0.0/8'),
        ipv6Cidr: fc.constantFrom(undefined, 'fd00::/48', 'FD00::0/48', 'fd00::/62', 'fd09::/48'),
        mtu: fc.constantFrom(undefined, undefined, 1400, 1279),
      }),
    ),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(network, tierName, fc.nat(9))
      .map(([n, name, choice]): [string, Record<string, unknown>] => [`${n}/tiers/${name}`, tierSpec(n, name, choice)]),
  },
  {
    weight: 8,
    arbitrary: withSpec(
      child('ports', portName),
      fc.record({
        tier: tierName,
        mac: optional(mac),
        allowedAddressPairs: optional(fc.array(pair, { minLength: 1, maxLength: 2 })),
        ips: optional(fc.uniqueArray(ip, { minLength: 1, maxLength: 2 })),
        groups: some(groupName),
        ifaceId: optional(fc.constantFrom('i', 'j')),
        hypervisors: optional(fc.constant(['h1'])),
      }),
    ),
  },
  { weight: 3, arbitrary: withSpec(child('groups', groupName), fc.record({ ports: some(portName) })) },
  {
    weight: 3,
    arbitrary: withSpec(
      child('rules', fc.constantFrom('x', 'y')),
      fc.tuple(ends, fc.constantFrom('any', 'tcp', '6')).map(([both, protocol]) => ({
        action: 'allow',
        priority: 1,
        ...both,
        protocol,
      })),
    ),
  },
  {
    weight: 5,
    arbitrary: withSpec(
      child('routes', fc.constantFrom('v', 'w')),
      fc
        .tuple(
          fc.constantFrom('192.168.0.0/24', '192.168.0.0/16', '0.0.0.0/0', '10.0.1.0/25', '10.9.1.0/24', 'FD77::/64'),
          fc.constantFrom('10.0.1.1', '10.0.1.2', '10.0.1.2', '192.168.0.7', '10.9.0.5'),
          fc.nat(9),
        )
        .map(([destination, nextHop, mixed]) => ({
          destination,
          nextHop: destination.includes(':') !== (mixed === 0) ? 'fd00:0:0:1::5' : nextHop,
        })),
    ),
  },
  {
    weight: 3,
    arbitrary: withSpec(
      fc.tuple(tenant, fc.constantFrom('j', 'k')).map(([t, p]) => `${t}/peerings/${p}`),
      fc.record({
        networks: fc.constantFrom(['m', 'o'], ['m', 'o'], ['n', 'o'], ['o', 'm'], ['m', 'n'], ['n', 'n']),
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: withSpec(
      child('steering', fc.constantFrom('s')),
      fc
        .tuple(ends, fc.array(portName, { minLength: 1, maxLength: 2 }))
        .map(([both, via]) => ({ priority: 1, ...both, via })),
    ),
  },
  {
    weight: 1,
    arbitrary: withSpec(
      fc.constant('policies/p'),
      some(fc.constantFrom('a', 'b'))
        .filter((names) => names?.length !== 0)
        .map((tenants) => ({
          action: 'deny',
          priority: 1,
          tenants,
          from: { any: true },
          to: { any: true },
          protocol: 'any',
        })),
    ),
  },
);

/** An operation; `current` stands for the revision the resource has when it is run. */
export type Planned = { operation: Operation; current: boolean };

const planned: fc.Arbitrary<Planned> = fc
  .record({
    at: requested,
    remove: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    createOnly: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
    revision: fc.constantFrom(...Array(38).fill('none'), 'current', 'wrong'),
    labels: fc.constantFrom(undefined, undefined, { l: '1' }),
  })
  .map(({ at: [path, spec], remove, createOnly, revision, labels }) => {
    const ifRevision = revision === 'wrong' ? 1_000_000 : undefined;
    const defined = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
    const operation: Operation = remove
      ? { op: 'delete', path, ifRevision }
      : { op: 'put', path, spec: defined, labels, createOnly, ifRevision };
    return { operation, current: revision === 'current' };
  });

/** One transaction, every path at most once. */
export const transaction = fc.oneof(
  { weight: 3, arbitrary: fc.uniqueArray(planned, { minLength: 1, maxLength: 1 }) },
  { weight: 2, arbitrary: fc.uniqueArray(planned, { minLength: 2, maxLength: 5, selector: (p) => p.operation.path }) },
);

const router = (at: string): Operation[] => [
  {
    op: 'put',
    path: `${at}/ports/r`,
    spec: {
      tier: 'u',
      ips: ['10.0.1.2'],
      allowedAddressPairs: [{ ip: '192.168.0.7', mac: '02:00:00:00:00:0b' }],
    },
  },
  { op: 'put', path: `${at}/routes/v`, spec: { destination: '192.168.0.0/16', nextHop: '10.0.1.2' } },
];

const tenants: Operation[] = ['tenants/a', 'tenants/b'].flatMap((t) => [
  { op: 'put', path: t, spec: {} },
  { op: 'put', path: `${t}/networks/o`, spec: { offering: 'basic', cidr: '10.9.0.0/16' } },
  ...['m', 'n'].flatMap((n): Operation[] => [
    { op: 'put', path: `${t}/networks/${n}`, spec: { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00::/48' } },
    { op: 'put', path: `${t}/networks/${n}/tiers/t`, spec: { cidr: '10.0.0.0/30' } },
    {
      op: 'put',
      path: `${t}/networks/${n}/tiers/u`,
      spec: { cidr: '10.0.1.0/24', ...(n === 'm' ? { ipv6Cidr: 'fd00:0:0:1::/64' } : {}) },
    },
    // A router with an address behind it, and a route to it.
    ...(n === 'm' ? router(`${t}/networks/m`) : []),
    { op: 'put', path: `${t}/networks/${n}/groups/g`, spec: {} },
    { op: 'put', path: `${t}/networks/${n}/groups/h`, spec: {} },
  ]),
]);

/** Something to build on: without it, hardly anything would fit. */
export const groundwork: Operation[] = [
  { op: 'put', path: 'hypervisors/h1', spec: { admission: 'approved' } },
  ...tenants,
];
