/**
 * Units of access rules. All rules of one network with the same priority and action are compiled together: where two of
 * them say the same of a packet the one with the lower id has the flow, so no two units ever claim one match, and no
 * overlap at equal priority is left to the switch. Rules match by address within the network, so their flows are the
 * same wherever the network is.
 */
import type { Path, Resource, View } from '../intent/model.ts';
import { protocolNumber } from '../intent/protocols.ts';
import type { RuleEnd } from '../intent/resources/rule.ts';
import type { Flow } from '../pipeline/flow.ts';
import {
  accessRule,
  accessRuleInReverse,
  type Masked,
  type RuleAlternative,
  type Service,
} from '../pipeline/stages/access-rules.ts';
import { host, prefix } from './addresses.ts';
import { maskedPorts } from './port-ranges.ts';
import type { CompileState, Unit } from './state.ts';

type RuleResource = Resource<'rule'>;

const everything: Masked = { value: 0, mask: 0 };

export function rulesUnit(state: CompileState, network: Path, priority: number, action: 'allow' | 'deny'): Unit[] {
  const { view } = state;
  const owner = view.getAs('network', network);
  if (owner === undefined) return [];
  const on = state.placement.hostsOfNetwork(network).filter((h) => state.hypervisors.has(h));
  if (on.length === 0) return [];
  const rules = [...view.children('rule', network)].filter(
    (r) => r.spec.priority === priority && r.spec.action === action,
  );
  rules.sort((a, b) => a.id - b.id);
  const flows: Flow[] = [];
  const claimed = new Set<string>();
  for (const rule of rules) {
    for (const alternative of alternatives(view, rule, owner.id)) {
      const key = alternativeKey(alternative);
      if (claimed.has(key)) continue;
      claimed.add(key);
      for (const side of ['egress', 'ingress'] as const) {
        flows.push(accessRule(alternative, side));
        const reverse = accessRuleInReverse(alternative, side);
        if (reverse === undefined) continue;
        // `any` and `tcp` without ports say the same of TCP.
        const reverseKey = `${side} ${alternativeKey({ ...alternative, service: tcpOf(alternative.service) })}`;
        if (!claimed.has(reverseKey)) flows.push(reverse);
        claimed.add(reverseKey);
      }
    }
  }
  return flows.length === 0 ? [] : [{ key: `rules/${owner.number}/${priority}/${action}`, on, flows }];
}

function alternativeKey(a: RuleAlternative): string {
  const s = a.service;
  const service =
    s.protocol === 'any'
      ? ''
      : s.protocol === 'other'
        ? `${s.number}`
        : s.protocol === 'icmp'
          ? `${s.type ?? ''}.${s.code ?? ''}`
          : `${s.ports?.value ?? 0}.${s.ports?.mask ?? 0}`;
  return `${a.source.value}/${a.source.mask}>${a.destination.value}/${a.destination.mask}:${s.protocol}:${service}`;
}

const tcpOf = (service: Service): Service => (service.protocol === 'any' ? { protocol: 'tcp' } : service);

function* alternatives(view: View, rule: RuleResource, network: number): Iterable<RuleAlternative> {
  const sources = addresses(view, rule.parent, rule.spec.from);
  const destinations = addresses(view, rule.parent, rule.spec.to);
  const services = servicesOf(rule);
  const { action, priority } = rule.spec;
  for (const source of sources) {
    for (const destination of destinations) {
      for (const service of services)
        yield { number: rule.number, id: rule.id, network, action, priority, source, destination, service };
    }
  }
}

/** Addresses an end stands for; none when it names a group without ports. */
function addresses(view: View, network: Path, end: RuleEnd): Masked[] {
  if (end.any === true) return [everything];
  if (end.cidr !== undefined) return [end.cidr].filter(isIpv4).map(prefix);
  if (end.cidrs !== undefined) return end.cidrs.filter(isIpv4).map(prefix);
  if (end.tier !== undefined) {
    const tier = view.getAs('tier', `${network}/tiers/${end.tier}`);
    return tier === undefined ? [] : [prefix(tier.spec.cidr)];
  }
  if (end.port !== undefined) {
    const port = view.getAs('port', `${network}/ports/${end.port}`);
    return port === undefined ? [] : port.spec.ips.filter(isIpv4).map(host);
  }
  return end.group === undefined
    ? []
    : members(view, network, end.group).flatMap((p) => p.spec.ips.filter(isIpv4).map(host));
}

const isIpv4 = (text: string): boolean => !text.includes(':');

/** Ports of a group: those it names and those that name it. */
function members(view: View, network: Path, name: string): Resource<'port'>[] {
  const path = `${network}/groups/${name}`;
  const group = view.getAs('group', path);
  if (group === undefined) return [];
  const found = new Map<Path, Resource<'port'>>();
  for (const n of group.spec.ports ?? []) {
    const port = view.getAs('port', `${network}/ports/${n}`);
    if (port !== undefined) found.set(port.path, port);
  }
  for (const r of view.referrers(path)) if (r.kind === 'port') found.set(r.path, r);
  return [...found.values()];
}

function servicesOf({ spec }: RuleResource): Service[] {
  const { protocol } = spec;
  if (protocol === 'any') return [{ protocol }];
  if (protocol === 'icmp') return [{ protocol, type: spec.icmp?.type, code: spec.icmp?.code }];
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') {
    const number = protocolNumber(protocol);
    return number === undefined ? [] : [{ protocol: 'other', number }];
  }
  if (spec.ports === undefined) return [{ protocol }];
  return maskedPorts(spec.ports).map((ports) => ({ protocol, ports }));
}
