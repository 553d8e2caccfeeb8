/**
 * What intent should do, written down a second time without any index: every transaction is applied to a plain map, and
 * the whole map is judged, pair by pair, with ip-address for the arithmetic.
 */
import { Address4 } from 'ip-address';
import type { Operation } from '../../src/intent/intent.ts';

export type Plain = { kind: string; path: string; spec: Record<string, unknown>; labels: Record<string, string> };
export type Model = Map<string, Plain>;

export type Verdict = {
  /** Errors of single operations. */
  own: Set<string>;
  /** Errors of the whole. */
  whole: Set<string>;
  /** The model afterwards; what the server is to fill in is missing. */
  after: Model;
};

const segments: Record<string, string> = {
  offerings: 'offering',
  hypervisors: 'hypervisor',
  tenants: 'tenant',
  networks: 'network',
  tiers: 'tier',
  ports: 'port',
  groups: 'group',
  rules: 'rule',
};

export const kindOf = (path: string): string => segments[path.split('/').at(-2)!]!;
export const nameOf = (path: string): string => path.split('/').at(-1)!;
export const parentOf = (path: string): string => path.split('/').slice(0, -2).join('/');

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) =>
    typeof v === 'object' && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );

export const same = (a: Plain, b: Plain): boolean => canonical([a.spec, a.labels]) === canonical([b.spec, b.labels]);

export function judge(
  before: Model,
  revisions: (path: string) => number | undefined,
  operations: Operation[],
): Verdict {
  const own = new Set<string>();
  const after: Model = new Map(before);
  const changed = new Set<string>();
  for (const operation of operations) {
    const { path } = operation;
    const old = before.get(path);
    if (operation.ifRevision !== undefined && operation.ifRevision !== revisions(path))
      own.add(operation.op === 'delete' && old === undefined ? 'resource.not-found' : 'resource.changed');
    if (operation.op === 'delete') {
      if (old === undefined) own.add('resource.not-found');
      after.delete(path);
      continue;
    }
    if (operation.createOnly && old !== undefined) own.add('resource.exists');
    const spec: Record<string, unknown> = { ...operation.spec };
    if (typeof spec.mac === 'string') spec.mac = spec.mac.toLowerCase();
    for (const filled of ['mac', 'ips', 'ifaceId', 'gateway', 'systemId'])
      if (spec[filled] === undefined && old?.spec[filled] !== undefined) spec[filled] = old.spec[filled];
    const kind = kindOf(path);
    if (kind === 'hypervisor') spec.systemId ??= nameOf(path);
    if (kind === 'tier') spec.gateway ??= new Address4(spec.cidr as string).startAddressExclusive().correctForm();
    for (const fixed of { tier: ['cidr'], port: ['tier'], hypervisor: ['systemId'] }[kind] ?? [])
      if (old !== undefined && old.spec[fixed] !== spec[fixed]) own.add('resource.immutable');
    const plain = { kind, path, spec, labels: operation.labels ?? {} };
    if (old === undefined || !same(plain, old)) changed.add(path);
    after.set(path, plain);
  }
  return { own, whole: judgeWhole(after, changed, operations), after };
}

function judgeWhole(model: Model, changed: Set<string>, operations: Operation[]): Set<string> {
  const errors = new Set<string>();
  const all = [...model.values()];
  for (const { op, path } of operations)
    if (op === 'delete' && ['basic', 'gold', 'platinum'].some((n) => path === `offerings/${n}`))
      errors.add('resource.built-in');
  for (const one of all) {
    const missing = (target: string, code: string) => {
      if (!model.has(target)) errors.add(changed.has(one.path) ? code : 'resource.in-use');
      return !model.has(target);
    };
    const parent = parentOf(one.path);
    if (parent !== '' && missing(parent, operations.length > 1 ? 'reference.dangling' : 'resource.not-found')) continue;
    for (const target of targetsOf(one)) missing(target, 'reference.dangling');
  }
  for (const [i, a] of all.entries())
    for (const b of all.slice(i + 1)) {
      if (a.kind !== b.kind) continue;
      if (a.kind === 'hypervisor' && a.spec.systemId === b.spec.systemId) errors.add('hypervisor.system-id-in-use');
      if (a.kind === 'tier' && parentOf(a.path) === parentOf(b.path) && overlap(a, b)) errors.add('address.overlap');
      if (a.kind !== 'port') continue;
      if (a.spec.ifaceId !== undefined && a.spec.ifaceId === b.spec.ifaceId) errors.add('iface-id.in-use');
      const oneTenant = a.path.split('/')[1] === b.path.split('/')[1];
      if (oneTenant && a.spec.mac !== undefined && a.spec.mac === b.spec.mac) errors.add('mac.in-use');
    }
  for (const tier of all.filter((r) => r.kind === 'tier')) {
    const network = model.get(parentOf(tier.path));
    if (network && !inside(tier.spec.cidr as string, network.spec.cidr as string)) errors.add('address.outside');
  }
  // A network that is to go still says what was wrong with the addresses in it.
  for (const network of new Set(all.filter((r) => r.kind === 'port').map((r) => parentOf(r.path))))
    judgeAddresses(model, network, errors);
  return errors;
}

function judgeAddresses(model: Model, network: string, errors: Set<string>): void {
  const within = [...model.values()].filter((r) => parentOf(r.path) === network);
  const held = new Map<string, string>();
  for (const { kind, path, spec } of within) if (kind === 'tier') held.set(spec.gateway as string, path);
  const ports = within.filter((r) => r.kind === 'port');
  for (const port of ports) {
    const tier = model.get(`${network}/tiers/${port.spec.tier as string}`);
    for (const ip of tier === undefined ? [] : ((port.spec.ips as string[] | undefined) ?? [])) {
      const prefix = new Address4(tier!.spec.cidr as string);
      if (!inside(ip, tier!.spec.cidr as string)) errors.add('address.outside');
      else if ([prefix.startAddress(), prefix.endAddress()].some((end) => end.correctForm() === ip))
        errors.add('address.invalid');
      else if (held.has(ip)) errors.add('address.in-use');
      else held.set(ip, port.path);
    }
  }
  for (const tier of within.filter((r) => r.kind === 'tier')) {
    const wanted = ports.filter((p) => p.spec.tier === nameOf(tier.path) && p.spec.ips === undefined).length;
    const taken = [...held.keys()].filter((ip) => inside(ip, tier.spec.cidr as string)).length;
    if (2 ** (32 - new Address4(tier.spec.cidr as string).subnetMask) - 2 - taken < wanted)
      errors.add('address.exhausted');
  }
}

export function targetsOf({ kind, path, spec }: Plain): string[] {
  const network = path.split('/').slice(0, 4).join('/');
  const strings = (value: unknown) => (value as string[] | undefined) ?? [];
  const end = (value: unknown) =>
    Object.entries(value as Record<string, string>).flatMap(([member, name]) =>
      ['tier', 'group', 'port'].includes(member) ? [`${network}/${member}s/${name}`] : [],
    );
  if (kind === 'network') return [`offerings/${spec.offering as string}`];
  if (kind === 'group') return strings(spec.ports).map((p) => `${network}/ports/${p}`);
  if (kind === 'rule') return [...end(spec.from), ...end(spec.to)];
  if (kind !== 'port') return [];
  return [
    `${network}/tiers/${spec.tier as string}`,
    ...strings(spec.groups).map((g) => `${network}/groups/${g}`),
    ...strings(spec.hypervisors).map((h) => `hypervisors/${h}`),
  ];
}

export function inside(inner: string, outer: string): boolean {
  return new Address4(inner).isInSubnet(new Address4(outer));
}

function overlap(a: Plain, b: Plain): boolean {
  const [x, y] = [a.spec.cidr as string, b.spec.cidr as string];
  return inside(x, y) || inside(y, x);
}
