/** What rules, policies and steering say of packets: what the protocol allows to be said, and ends that can meet. */
import { canonicalIpPrefix, type IpPrefix } from '../ip.ts';
import { canonicalProtocol, withPorts } from '../protocols.ts';
import { largestPort, parseNumberRange, type Range } from '../ranges.ts';
import type { Icmp, RuleEnd } from '../resources/traffic.ts';
import { transitPrefix } from '../transit.ts';
import type { Family } from '../versions.ts';
import type { Report } from './concern.ts';
import { judgeMatch } from './prefixes.ts';

type Traffic = {
  from: RuleEnd;
  to: RuleEnd;
  protocol?: string;
  ports?: string[];
  icmp?: Icmp;
};

/** Protocols of one IP version alone. */
const familyOfProtocol: Readonly<Record<string, Family>> = { icmp: 4, icmpv6: 6 };

const versions: Readonly<Record<Family, string>> = { 4: 'IPv4', 6: 'IPv6' };

/** First and last port of `443` or `8000-8100`; undefined when it is none. Leading zeros are refused. */
export function parsePortRange(text: string): Range | undefined {
  return parseNumberRange(text, largestPort);
}

/** Of rules, policies and steering. */
export const trafficMeaning = {
  normalise(spec: Traffic) {
    if (spec.protocol !== undefined) spec.protocol = canonicalProtocol(spec.protocol) ?? spec.protocol;
    for (const end of [spec.from, spec.to]) {
      if (end.cidr !== undefined) end.cidr = canonicalIpPrefix(end.cidr);
      if (end.cidrs !== undefined) end.cidrs = end.cidrs.map(canonicalIpPrefix);
    }
  },

  judge: (spec: Readonly<Traffic>, report: Report): void => judge(spec, report),
};

/** Policies may speak of transit tiers too. */
export const policyMeaning = {
  ...trafficMeaning,
  judge: (spec: Readonly<Traffic>, report: Report): void => judge(spec, report, transitPrefix),
};

/** @param except part of what is no address of traffic, which may be named all the same */
function judge(spec: Readonly<Traffic>, report: Report, except?: IpPrefix): void {
  const { protocol = 'any', ports, icmp } = spec;
  if (canonicalProtocol(protocol) === undefined)
    report('/protocol', 'request.invalid', `${protocol} is no protocol: a name, or a number of 0 to 255`);
  if (ports !== undefined && !withPorts.has(protocol))
    report('/ports', 'request.invalid', `Protocol ${protocol} has no ports: tcp, udp and sctp have`);
  ports?.forEach((range, i) => {
    if (parsePortRange(range) === undefined)
      report(`/ports/${i}`, 'request.invalid', `${range} is not a port of 1 to 65535, or two with the lower one first`);
  });
  if (icmp !== undefined && protocol !== 'icmp' && protocol !== 'icmpv6')
    report('/icmp', 'request.invalid', `ICMP type and code need protocol icmp or icmpv6, not ${protocol}`);
  judgeFamilies(spec, protocol, report, except);
}

/** Packets have one IP version: the protocol's, and that of both ends. */
function judgeFamilies(
  { from, to }: Readonly<Traffic>,
  protocol: string,
  report: Report,
  except: IpPrefix | undefined,
): void {
  const only = familyOfProtocol[protocol];
  const sources = judgeEnd(from, '/from', only, protocol, report, except);
  const destinations = judgeEnd(to, '/to', only, protocol, report, except);
  if (sources === undefined || destinations === undefined || sources.some((family) => destinations.includes(family)))
    return;
  const field = to.cidr === undefined ? '/to/cidrs' : '/to/cidr';
  report(
    field,
    'address.family-mismatch',
    `No packet goes from ${versions[sources[0]!]} to ${versions[destinations[0]!]}`,
  );
}

/** @returns the IP versions of an end of prefixes; undefined: not told apart, or an error has been told */
function judgeEnd(
  end: RuleEnd,
  field: string,
  only: Family | undefined,
  protocol: string,
  report: Report,
  except: IpPrefix | undefined,
): Family[] | undefined {
  const single = end.cidr !== undefined;
  const texts = single ? [end.cidr!] : end.cidrs;
  if (texts === undefined) return undefined;
  let sound = true;
  const found = new Set<Family>();
  texts.forEach((text, i) => {
    const where = single ? `${field}/cidr` : `${field}/cidrs/${i}`;
    const tell: Report = (...error) => {
      sound = false;
      report(...error);
    };
    const prefix = judgeMatch(text, where, tell, except);
    if (texts.indexOf(text) < i) tell(where, 'request.invalid', `${text} is there twice`);
    if (prefix === undefined) return;
    found.add(prefix.family);
    if (only !== undefined && prefix.family !== only)
      tell(where, 'address.family-mismatch', `${protocol} is ${versions[only]}, ${text} is ${versions[prefix.family]}`);
  });
  return sound ? [...found] : undefined;
}
