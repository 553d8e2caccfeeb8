/**
 * What intent should do, written down a second time without any index: every transaction is applied to a plain map, and
 * the whole map is judged, pair by pair, with ip-address for the arithmetic.
 */
import { Address4 } from 'ip-address';
import type { Operation } from '../../src/intent/intent.ts';
import { judgeAddresses } from './reference-addresses.ts';
import { canonical, inside, overlap, prefixesOf, v6 } from './reference-ip.ts';
import { judgePeerings, judgeRoutes } from './reference-routing.ts';

export { inside } from './reference-ip.ts';

// biome-ignore lint/suspicious/noExplicitAny: specs of every kind, member by member
export type Spec = Record<string, any>;
export type Plain = { kind: string; path: string; spec: Spec; labels: Record<string, string> };
export type Model = Map<string, Plain>;

export type Verdict = {
  /** Errors of single operations. */
  own: Set<string>;
  /** Errors of the whole. */
  whole: Set<string>;
  /** Errors that may follow from those of the whole, or not. */
  perhaps: Set<string>;
  /** The model afterwards; what the server is to fill in is missing. */
  after: Model;
};

/** A model on its way to be judged. */
export type Judging = {
  before: Model;
  after: Model;
  /** Whether a member of the resource is another one now, or the resource is new or gone. */
  hasChanged(path: string, ...members: string[]): boolean;
  /** Whether the transaction puts it, and not as it was. */
  isWritten(path: string): boolean;
  errors: Set<string>;
};

const hops = ['route.next-hop', 'resource.in-use'];

const segments: Record<string, string> = {
  offerings: 'offering',
  hypervisors: 'hypervisor',
  policies: 'policy',
  tenants: 'tenant',
  networks: 'network',
  peerings: 'peering',
  tiers: 'tier',
  ports: 'port',
  groups: 'group',
  rules: 'rule',
  routes: 'route',
  steering: 'steering',
};

export const kindOf = (path: string): string => segments[path.split('/').at(-2)!]!;
export const nameOf = (path: string): string => path.split('/').at(-1)!;
export const parentOf = (path: string): string => path.split('/').slice(0, -2).join('/');

const sorted = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) =>
    typeof v === 'object' && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );

export const same = (a: Plain, b: Plain): boolean => sorted([a.spec, a.labels]) === sorted([b.spec, b.labels]);

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
    const kind = kindOf(path);
    const spec = filled(kind, path, { ...operation.spec }, old?.spec);
    const fixed = {
      tier: ['cidr', ...(old?.spec.ipv6Cidr ? ['ipv6Cidr'] : [])],
      port: ['tier'],
      hypervisor: ['systemId'],
    };
    for (const member of fixed[kind as 'tier'] ?? [])
      if (old !== undefined && old.spec[member] !== spec[member]) own.add('resource.immutable');
    judgeOwn(kind, spec, own);
    const plain = { kind, path, spec, labels: operation.labels ?? {} };
    if (old === undefined || !same(plain, old)) changed.add(path);
    after.set(path, plain);
  }
  const hasChanged = (path: string, ...members: string[]) => {
    const [was, is] = [before.get(path), after.get(path)];
    return members.some((member) => sorted(was?.spec[member]) !== sorted(is?.spec[member])) || !was !== !is;
  };
  const isWritten = (path: string) => changed.has(path);
  const judging: Judging = { before, after, hasChanged, isWritten, errors: new Set() };
  judgeWhole(judging, changed, operations);
  const { errors: whole } = judging;
  const ports = [...after.values()].filter(({ kind }) => kind === 'port');
  const perhaps = new Set<string>();
  // Who has an address that two want is a matter of order, and so is what is asked of the one or the other.
  if (whole.has('address.in-use')) perhaps.add('address.exhausted');
  // What a port may not have, no route leads to.
  if ([...whole].some((code) => code.startsWith('address.'))) for (const code of hops) perhaps.add(code);
  // An address that is yet to be chosen may be a next hop.
  if (ports.some(({ spec }) => spec.ips === undefined)) for (const code of hops) perhaps.add(code);
  // What a port holds where its tier is missing is told by whoever held it before.
  if (ports.some(({ path, spec }) => !after.has(`${parentOf(path)}/tiers/${spec.tier}`)))
    for (const code of [...hops, 'mac.in-use', 'address.in-use', 'address.outside', 'route.loop']) perhaps.add(code);
  return { own, whole, perhaps, after };
}

/** What is kept, what follows from the rest, and everything in its one form. */
function filled(kind: string, path: string, spec: Spec, old: Spec | undefined): Spec {
  for (const member of ['mtu', 'mac', 'ips', 'ifaceId', 'gateway', 'ipv6Gateway', 'systemId'])
    if (spec[member] === undefined && old?.[member] !== undefined) spec[member] = old[member];
  if (kind === 'hypervisor') spec.systemId ??= nameOf(path);
  if (typeof spec.mac === 'string') spec.mac = spec.mac.toLowerCase();
  for (const member of ['ipv6Cidr', 'ipv6Gateway', 'destination', 'nextHop'])
    if (spec[member] !== undefined) spec[member] = canonical(spec[member]);
  if (spec.ips !== undefined) spec.ips = spec.ips.map(canonical);
  if (spec.allowedAddressPairs !== undefined)
    spec.allowedAddressPairs = spec.allowedAddressPairs.map((pair: Spec) => ({ ...pair, ip: canonical(pair.ip) }));
  for (const end of ['from', 'to'])
    if (spec[end]?.cidrs !== undefined) spec[end] = { cidrs: spec[end].cidrs.map(canonical) };
  if (spec.protocol === '6') spec.protocol = 'tcp';
  if (kind === 'tier') {
    spec.gateway ??= new Address4(spec.cidr).startAddressExclusive().correctForm();
    if (spec.ipv6Cidr !== undefined) spec.ipv6Gateway ??= `${spec.ipv6Cidr.split('/')[0]}1`;
  }
  return spec;
}

/** What is wrong with a spec whatever else there is. */
function judgeOwn(kind: string, spec: Spec, own: Set<string>): void {
  const twice = (list: unknown[] | undefined) => list !== undefined && new Set(list.map(sorted)).size < list.length;
  if (kind === 'port' && (twice(spec.ips) || twice(spec.allowedAddressPairs))) own.add('request.invalid');
  if (kind === 'route' && v6(spec.destination) !== v6(spec.nextHop)) own.add('address.family-mismatch');
  if (kind === 'peering' && spec.networks[0] === spec.networks[1]) own.add('peering.self');
  if (kind === 'steering') {
    if (twice(spec.via)) own.add('steering.repeated');
    if (spec.via.some((port: string) => port === spec.from.port || port === spec.to.port)) own.add('steering.loop');
  }
  const versions = (end: Spec | undefined) => [end?.cidr ?? [], end?.cidrs ?? []].flat().map(v6);
  const [from, to] = [versions(spec.from), versions(spec.to)];
  if (from.length > 0 && to.length > 0 && !from.some((version) => to.includes(version)))
    own.add('address.family-mismatch');
}

function judgeWhole(judging: Judging, changed: Set<string>, operations: Operation[]): void {
  const { after: model, errors } = judging;
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
      if (a.kind === 'tier' && parentOf(a.path) === parentOf(b.path) && overlap(prefixesOf(a.spec), prefixesOf(b.spec)))
        errors.add('address.overlap');
      if (a.kind === 'port' && a.spec.ifaceId !== undefined && a.spec.ifaceId === b.spec.ifaceId)
        errors.add('iface-id.in-use');
      if (a.kind === 'port') judgeMacs(a, b, errors);
    }
  if (all.some(({ kind, spec }) => kind === 'network' && spec.ipv6Cidr !== undefined && spec.mtu < 1280))
    errors.add('mtu.too-small');
  for (const tier of all.filter((r) => r.kind === 'tier')) {
    const network = model.get(parentOf(tier.path));
    if (network && !prefixesOf(tier.spec).every((p) => prefixesOf(network.spec).some((around) => inside(p, around))))
      errors.add('address.outside');
  }
  // A network that is to go still says what was wrong with the addresses in it.
  const used = new Set(all.filter((r) => ['port', 'route'].includes(r.kind)).map((r) => parentOf(r.path)));
  for (const network of used) {
    judgeAddresses(judging, network);
    judgeRoutes(judging, network);
  }
  judgePeerings(judging);
}

/** Own MACs are a port's alone, those of pairs may be shared in a tier. */
function judgeMacs(a: Plain, b: Plain, errors: Set<string>): void {
  if (a.path.split('/')[1] !== b.path.split('/')[1]) return;
  const shared = ({ spec }: Plain): string[] =>
    (spec.allowedAddressPairs ?? []).flatMap((pair: Spec) => pair.mac ?? []);
  const oneTier = parentOf(a.path) === parentOf(b.path) && a.spec.tier === b.spec.tier;
  const clash =
    (a.spec.mac !== undefined && (a.spec.mac === b.spec.mac || shared(b).includes(a.spec.mac))) ||
    (b.spec.mac !== undefined && shared(a).includes(b.spec.mac)) ||
    (!oneTier && shared(a).some((mac) => shared(b).includes(mac)));
  if (clash) errors.add('mac.in-use');
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
  if (kind === 'policy') return strings(spec.tenants).map((t) => `tenants/${t}`);
  if (kind === 'peering') return strings(spec.networks).map((n) => `${parentOf(path)}/networks/${n}`);
  if (kind === 'steering')
    return [...end(spec.from), ...end(spec.to), ...strings(spec.via).map((p) => `${network}/ports/${p}`)];
  if (kind !== 'port') return [];
  return [
    `${network}/tiers/${spec.tier as string}`,
    ...strings(spec.groups).map((g) => `${network}/groups/${g}`),
    ...strings(spec.hypervisors).map((h) => `hypervisors/${h}`),
  ];
}
