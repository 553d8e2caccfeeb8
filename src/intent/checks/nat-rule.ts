/**
 * NAT rules: what of each type is needed, and that no two of them claim the same: a forwarded port, a public address
 * that stands for one port alone, the way out of a tier, the public face of a private address.
 */
import { canonicalIp, parseIp } from '../ip.ts';
import type { Path, Resource } from '../model.ts';
import { formatPath } from '../path.ts';
import { formatNumberRange, largestPort, overlappingIn, parseNumberRange, type Range, sizeOf } from '../ranges.ts';
import { SortedMap } from '../sorted.ts';
import { equalJson } from '../spec.ts';
import { newMap, type State } from '../state.ts';
import type { Concern, Report, Staging } from './concern.ts';
import { judgeAddress } from './prefixes.ts';
import { tierPath } from './tier-families.ts';

type NatRule = Resource<'nat-rule'>;
type Spec = NatRule['spec'];
type Member = 'tiers' | 'port' | 'address' | 'protocol' | 'publicPorts' | 'privatePorts';

/** Members of each type: needed or possible. What is not here is refused. */
const members: Readonly<Record<Spec['type'], Partial<Record<Member, 'needed' | 'possible'>>>> = {
  source: { tiers: 'possible' },
  static: { port: 'needed', address: 'possible' },
  'port-forward': {
    port: 'needed',
    address: 'possible',
    protocol: 'needed',
    publicPorts: 'needed',
    privatePorts: 'possible',
  },
};

const allMembers: readonly Member[] = ['tiers', 'port', 'address', 'protocol', 'publicPorts', 'privatePorts'];

/** Ports of a range that are translated to others at most: each is a flow. */
const mostTranslated = 256;

/** Of the source rule of a whole network, in place of a tier's name. */
const wholeNetwork = '';

export const natMeaning: Concern<'nat-rule'> = {
  normalise(spec) {
    for (const member of ['publicPorts', 'privatePorts'] as const) {
      const range = spec[member] === undefined ? undefined : parseNumberRange(spec[member], largestPort);
      if (range !== undefined) spec[member] = formatNumberRange(range);
    }
    if (spec.address !== undefined) spec.address = canonicalIp(spec.address);
  },

  judge(spec, report) {
    for (const member of allMembers) {
      const there = spec[member] !== undefined;
      const use = members[spec.type][member];
      if (there && use === undefined)
        report(`/${member}`, 'request.invalid', `A rule of type ${spec.type} has no ${member}`);
      else if (!there && use === 'needed')
        report(`/${member}`, 'request.invalid', `A rule of type ${spec.type} needs ${member}`);
    }
    if (spec.address !== undefined) judgeAddress(spec.address, '/address', report);
    if (spec.type === 'port-forward') judgePorts(spec, report);
  },

  release({ state, log }, before, after) {
    if (equalJson(before.spec, after)) return;
    const { spec, parent, path } = before;
    const publicIp = publicIpOf(before);
    if (spec.type === 'static') log.write(state.statics, publicIp, undefined);
    else log.writeIn(state.otherRules, publicIp, newMap, path, undefined);
    if (spec.type === 'source')
      for (const tier of tiersOf(spec)) log.writeIn(state.sources, parent, newMap, tier, undefined);
    if (spec.type === 'port-forward')
      log.writeIn(state.forwards, forwardsKey(before), () => new SortedMap(), portsOf(spec).first, undefined);
  },

  claim({ state, log }, draft, before, report) {
    if (equalJson(before?.spec, draft.spec)) return;
    const { spec, parent, path } = draft;
    const publicIp = publicIpOf(draft);
    const static_ = state.statics.get(publicIp);
    if (static_ !== undefined) {
      report('/publicIp', 'nat-rule.public-ip-in-use', `${spec.publicIp} stands for one port alone, by ${static_}`);
      return;
    }
    if (spec.type === 'static') {
      const [other] = (state.otherRules.get(publicIp) as Map<Path, true> | undefined)?.keys() ?? [];
      if (other !== undefined)
        report('/publicIp', 'nat-rule.public-ip-in-use', `${spec.publicIp} is used by ${other} too`);
      else log.write(state.statics, publicIp, path);
      return;
    }
    log.writeIn(state.otherRules, publicIp, newMap, path, true);
    if (spec.type === 'source') {
      tiersOf(spec).forEach((tier, i) => {
        const other = state.sources.get(parent)?.get(tier);
        const what = tier === wholeNetwork ? 'The network' : `Tier ${tier}`;
        const field = spec.tiers === undefined ? '' : `/tiers/${i}`;
        if (other !== undefined) report(field, 'nat-rule.source-in-use', `${what} goes out by ${other}`);
        else log.writeIn(state.sources, parent, newMap, tier, path);
      });
      return;
    }
    const key = forwardsKey(draft);
    const { first, last } = portsOf(spec);
    const other = overlappingIn(state.forwards.get(key), { first, last });
    if (other !== undefined)
      report(
        '/publicPorts',
        'nat-rule.port-in-use',
        `${spec.protocol} ${formatNumberRange(other)} of ${spec.publicIp} is forwarded by ${other.path}`,
      );
    else log.writeIn(state.forwards, key, () => new SortedMap(), first, { last, path });
  },

  conclude(staging, draft, before, report) {
    const { state } = staging;
    const { spec, parent } = draft;
    if (spec.type === 'source')
      spec.tiers?.forEach((name, i) => {
        const fault = outsideOverlay(state, parent, name);
        if (fault !== undefined) report(`/tiers/${i}`, 'nat-rule.tier', fault);
      });
    else judgeTarget(staging, draft as NatRule, report);
    if (before?.spec.type !== spec.type) judgeOffered(state, parent, [services[spec.type]], '/type', report);
  },
};

/** A port keeps the addresses that NAT rules lead to, unless they go with them. */
export const neededByNat: Concern<'port'> = {
  conclude(staging, draft, before, report) {
    if (before === undefined || equalJson(draft.spec.ips, before.spec.ips)) return;
    for (const rule of rulesOf(staging.state, draft.path)) {
      // It tells that itself.
      if (staging.writes(rule.path) || staging.isBroken(rule.path)) continue;
      judgeTarget(staging, rule, (_, __, message) => report('/ips', 'resource.in-use', `${rule.path}: ${message}`));
    }
  },
};

/** The service that an offering must have for rules of the type. */
export const services = {
  source: 'source-nat',
  static: 'static-nat',
  'port-forward': 'port-forwarding',
} as const satisfies Record<Spec['type'], Resource<'offering'>['spec']['services'][number]>;

/** Public addresses are of use where the offering has one of the services they are for. */
export const offeredAddresses: Concern<'public-ip'> = {
  conclude({ state }, draft, before, report) {
    if (before === undefined) judgeOffered(state, draft.parent, Object.values(services), '', report);
  },
};

/** A network keeps the services that its NAT rules and public addresses need. */
export const neededServices: Concern<'network'> = {
  conclude({ state, writes }, draft, before, report) {
    if (before === undefined || before.spec.offering === draft.spec.offering) return;
    for (const kind of ['nat-rule', 'public-ip'] as const)
      for (const resource of state.children(kind, draft.path)) {
        if (writes(resource.path)) continue;
        const needed = resource.kind === 'nat-rule' ? [services[resource.spec.type]] : Object.values(services);
        judgeOffered(state, draft.path, needed, '/offering', (field, code, message) =>
          report(field, code, `${resource.path}: ${message}`),
        );
      }
  },
};

function judgePorts({ publicPorts, privatePorts }: Readonly<Spec>, report: Report): void {
  const read = (text: string | undefined, field: string): Range | undefined => {
    if (text === undefined) return undefined;
    const range = parseNumberRange(text, largestPort);
    if (range === undefined)
      report(field, 'nat-rule.ports', `${text} is no port of 1 to 65535, nor two with the lower one first`);
    return range;
  };
  const [outer, inner] = [read(publicPorts, '/publicPorts'), read(privatePorts, '/privatePorts')];
  if (outer === undefined || inner === undefined) return;
  if (sizeOf(outer) !== sizeOf(inner))
    report(
      '/privatePorts',
      'nat-rule.ports',
      `${publicPorts} are ${sizeOf(outer)} ports, ${privatePorts} ${sizeOf(inner)}`,
    );
  else if (outer.first !== inner.first && sizeOf(outer) > mostTranslated)
    report('/privatePorts', 'nat-rule.ports', `${mostTranslated} ports at most are translated to others by one rule`);
}

/** The private address of a static or port-forward rule: one of its port's, and of no other static rule. */
function judgeTarget({ state, isBroken }: Staging, rule: NatRule, report: Report): void {
  const { spec, parent, path } = rule;
  const portPath = formatPath('port', parent, spec.port ?? '');
  const port = state.getAs('port', portPath);
  // That it is missing is told, and what is wrong with it.
  if (port?.spec.ips === undefined || isBroken(portPath)) return;
  const fault = outsideOverlay(state, parent, port.spec.tier);
  if (fault !== undefined) report('/port', 'nat-rule.tier', fault);
  const target = targetOf(spec, port);
  if (target === undefined) report('/port', 'nat-rule.no-ipv4', `Port ${port.name} has ${port.spec.ips.join(', ')}`);
  else if (!port.spec.ips.includes(target))
    report('/address', 'nat-rule.address', `${target} is none of ${port.spec.ips.join(', ')} of port ${port.name}`);
  else if (spec.type === 'static')
    for (const other of rulesOf(state, portPath))
      if (other.path !== path && other.spec.type === 'static' && targetOf(other.spec, port) === target)
        report(
          spec.address === undefined ? '/port' : '/address',
          'nat-rule.address-in-use',
          `${target} goes out by ${other.path}`,
        );
}

/** The private address a static or port-forward rule leads to; undefined: its port has no IPv4 address. */
export function targetOf({ address }: Spec, { spec }: Resource<'port'>): string | undefined {
  return address ?? spec.ips.find((text) => parseIp(text)?.family === 4);
}

/** Why a tier needs no way out; undefined: it may. */
function outsideOverlay(state: State, network: Path, name: string): string | undefined {
  const tier = state.getAs('tier', tierPath(network, name));
  return tier?.spec.providerNetwork === undefined ? undefined : `Tier ${name} is straight on a provider network`;
}

function judgeOffered(
  state: State,
  network: Path,
  needed: readonly Resource<'offering'>['spec']['services'][number][],
  field: string,
  report: Report,
): void {
  const name = state.getAs('network', network)?.spec.offering;
  const offering = name === undefined ? undefined : state.getAs('offering', formatPath('offering', '', name));
  if (offering === undefined || needed.some((service) => offering.spec.services.includes(service))) return;
  report(field, 'service.not-offered', `Offering ${offering.name} has no ${needed.join(', ')}`);
}

function* rulesOf(state: State, port: Path): Generator<NatRule, void, undefined> {
  for (const referrer of state.referrers(port)) if (referrer.kind === 'nat-rule') yield referrer;
}

function publicIpOf({ parent, spec }: { parent: Path; spec: Readonly<{ publicIp: string }> }): Path {
  return formatPath('public-ip', parent, spec.publicIp);
}

function tiersOf({ tiers }: Readonly<Spec>): readonly string[] {
  return tiers ?? [wholeNetwork];
}

function forwardsKey(rule: { parent: Path; spec: Readonly<Spec> }): string {
  return `${publicIpOf(rule)} ${rule.spec.protocol}`;
}

function portsOf({ publicPorts }: Readonly<Spec>): Range {
  return parseNumberRange(publicPorts!, largestPort)!;
}
