/**
 * Epochs: 32-bit numbers that are others once what they stand for says something else; the labels of connections carry
 * them. Each is a hash of what is said, so it is a function of present state: the same after a restart, after a backup was
 * restored, and after a change of a description. Two texts have the same one with a probability of 1 in 2^32.
 */
import type { Path, Resource, View } from '../intent/model.ts';
import { parentPath } from '../inventory/paths.ts';

/** Objects of intent are never changed in place: each is hashed once. */
const known = new WeakMap<object, number>();

function remembered(spec: object, text: () => string): number {
  let epoch = known.get(spec);
  if (epoch === undefined) {
    epoch = fnv1a(text());
    known.set(spec, epoch);
  }
  return epoch;
}

/** FNV-1a over the UTF-16 units, then the finaliser of MurmurHash3, as its low bits alone are weak. 32 bits, never 0. */
function fnv1a(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mixed(h);
}

function mixed(n: number): number {
  let h = n;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0 || 1;
}

type Saying = Resource<'rule'>['spec'] | Resource<'policy'>['spec'];

/** What it says of packets: not whether it is logged, nor what it is described as. */
function ownEpoch(spec: Saying): number {
  return remembered(spec, () =>
    JSON.stringify([
      spec.action,
      spec.priority,
      spec.from,
      spec.to,
      spec.protocol,
      spec.ports,
      spec.icmp?.type,
      spec.icmp?.code,
      'tenants' in spec ? spec.tenants : undefined,
    ]),
  );
}

/** Of a rule and the groups it names. Ports that name a group themselves have their own epoch. */
export function ruleEpoch(view: View, { parent, spec }: Resource<'rule'>): number {
  let epoch = ownEpoch(spec);
  for (const { group } of [spec.from, spec.to]) {
    if (group === undefined) continue;
    const named = view.getAs('group', `${parent}/groups/${group}`)?.spec;
    epoch = mixed(epoch * 31 + (named === undefined ? 0 : remembered(named, () => (named.ports ?? []).join())));
  }
  return epoch;
}

export function policyEpoch({ spec }: Resource<'policy'>): number {
  return ownEpoch(spec);
}

/** What decides on its traffic: its addresses, and the groups it names. */
export function portEpoch({ spec }: Resource<'port'>): number {
  return remembered(spec, () =>
    JSON.stringify([spec.mac, spec.ips, spec.groups, spec.allowedAddressPairs, spec.portSecurity]),
  );
}

/** Of everything that denies in the network: its deny rules, and the deny policies that concern its tenant. */
export function denyEpoch(view: View, network: Path): number {
  // A sum, as they have no order.
  let sum = 0;
  for (const rule of view.children('rule', network))
    if (rule.spec.action === 'deny') sum = (sum + mixed(ruleEpoch(view, rule) ^ rule.id)) | 0;
  for (const policy of view.children('policy', '')) {
    const { spec, id } = policy;
    if (spec.action === 'deny' && concerns(policy, parentPath(network))) sum = (sum + mixed(ownEpoch(spec) ^ id)) | 0;
  }
  return mixed(sum);
}

/** What a NAT rule translates: `inside` are the addresses or prefixes that it names by ports and tiers. */
export function natEpoch(spec: Resource<'nat-rule'>['spec'], address: number, inside: readonly string[]): number {
  const { type, protocol, publicPorts, privatePorts } = spec;
  return fnv1a(JSON.stringify([type, protocol, publicPorts, privatePorts, address, inside]));
}

/** Whether the policy holds for the tenant. */
export function concerns({ spec }: Resource<'policy'>, tenant: Path): boolean {
  return spec.tenants === undefined || spec.tenants.some((name) => `tenants/${name}` === tenant);
}
