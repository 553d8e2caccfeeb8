/** The reference model's judgement of addresses: of ports, gateways and allowed address pairs. */
import { bounds, inside, isEnd, isHost, numberOf, overlap, prefixesOf, v6 } from './reference-ip.ts';
import { type Judging, type Model, nameOf, type Plain, parentOf, type Spec } from './reference-model.ts';

export type Holder = { ip: string; path: string };

/** Addresses that a gateway or a port has to itself; where two want one, the first. */
export function holders(model: Model, network: string, errors = new Set<string>()): Holder[] {
  const within = [...model.values()].filter((r) => parentOf(r.path) === network);
  const held: Holder[] = [];
  for (const { kind, path, spec } of within)
    if (kind === 'tier')
      for (const ip of [spec.gateway, spec.ipv6Gateway]) if (ip !== undefined) held.push({ ip, path });
  for (const { kind, path, spec } of within) {
    const tier = model.get(`${network}/tiers/${spec.tier as string}`);
    if (kind !== 'port' || tier === undefined) continue;
    for (const ip of (spec.ips ?? []) as string[]) {
      const prefix = prefixesOf(tier.spec).find((one) => inside(ip, one));
      if (prefix === undefined) errors.add('address.outside');
      else if (isEnd(ip, prefix)) errors.add('address.invalid');
      else if (held.some((other) => other.ip === ip)) errors.add('address.in-use');
      else held.push({ ip, path });
    }
  }
  return held;
}

export function pairsOf({ spec }: Plain): string[] {
  return (spec.allowedAddressPairs ?? []).map((pair: Spec) => pair.ip);
}

export function judgeAddresses({ before, after: model, hasChanged, errors }: Judging, network: string): void {
  const within = [...model.values()].filter((r) => parentOf(r.path) === network);
  const held = holders(model, network, errors);
  const ports = within.filter((r) => r.kind === 'port');
  const tiers = within.filter((r) => r.kind === 'tier');
  /** Addresses of each tier that are in pairs. */
  const kept = new Map<string, string[]>(tiers.map(({ path }) => [path, []]));
  for (const port of ports) {
    const tier = model.get(`${network}/tiers/${port.spec.tier as string}`);
    for (const pair of tier === undefined ? [] : pairsOf(port)) {
      const own = prefixesOf(tier!.spec).find((prefix) => inside(pair, prefix));
      if (own === undefined) {
        if (tiers.some(({ spec }) => overlap([pair], prefixesOf(spec))))
          errors.add(hasChanged(port.path, 'allowedAddressPairs') ? 'address.outside' : 'address.overlap');
      } else if (
        !prefixesOf(before.get(tier!.path)?.spec ?? {}).includes(own) &&
        !hasChanged(port.path, 'allowedAddressPairs')
      ) {
        // A tier gets no prefix around what is in use already.
        errors.add('address.overlap');
      } else if (isHost(pair) && isEnd(pair, own)) errors.add('address.invalid');
      else if (held.some(({ ip, path }) => path !== port.path && inside(ip, pair))) errors.add('address.in-use');
      else kept.get(tier!.path)!.push(pair);
    }
  }
  for (const tier of tiers)
    for (const prefix of prefixesOf(tier.spec)) {
      const wanted = ports.filter((p) => p.spec.tier === nameOf(tier.path) && p.spec.ips === undefined).length;
      const taken = new Set(held.map(({ ip }) => ip).filter((ip) => inside(ip, prefix)));
      for (const pair of kept.get(tier.path)!) if (isHost(pair) && inside(pair, prefix)) taken.add(pair);
      const { first, last } = bounds(prefix);
      const hosts = last - first + 1n - (v6(prefix) ? 1n : 2n);
      if (hosts - BigInt(taken.size) < BigInt(wanted)) errors.add('address.exhausted');
    }
}

/** Whether somebody has the address, or keeps it from being chosen. */
export function isTaken(model: Model, network: string, value: bigint, family6: boolean): boolean {
  const ports = [...model.values()].filter((r) => r.kind === 'port' && parentOf(r.path) === network);
  const wanted = (text: string) => {
    const { first, last } = bounds(text);
    return v6(text) === family6 && first <= value && value <= last;
  };
  return (
    holders(model, network).some(({ ip }) => v6(ip) === family6 && numberOf(ip) === value) ||
    ports.some((port) => pairsOf(port).some(wanted))
  );
}
