/** The reference model's judgement of static routes and peerings. */
import { holders, pairsOf } from './reference-addresses.ts';
import { inside, isHost, overlap, prefixesOf } from './reference-ip.ts';
import { type Judging, type Model, type Plain, parentOf } from './reference-model.ts';

const inNetwork = (model: Model, network: string, kind: string): Plain[] =>
  [...model.values()].filter((r) => r.kind === kind && parentOf(r.path) === network);

export function judgeRoutes({ after: model, isWritten, errors }: Judging, network: string): void {
  const routes = inNetwork(model, network, 'route');
  const tiers = inNetwork(model, network, 'tier').flatMap(({ spec }) => prefixesOf(spec));
  const held = holders(model, network);
  const ports = inNetwork(model, network, 'port');
  const isOfPort = (ip: string) => {
    const holder = held.find((one) => one.ip === ip);
    if (holder !== undefined) return model.get(holder.path)!.kind === 'port';
    return ports.some((port) => pairsOf(port).some((pair) => isHost(pair) && pair === ip));
  };
  const isOutside = (ip: string) => !tiers.some((prefix) => inside(ip, prefix));
  for (const [i, route] of routes.entries()) {
    const { destination, nextHop } = route.spec as { destination: string; nextHop: string };
    const isNew = isWritten(route.path);
    if (routes.slice(i + 1).some((other) => other.spec.destination === destination)) errors.add('address.overlap');
    const inTier = tiers.some((prefix) => inside(destination, prefix));
    const behindItself = (inTier || isOutside(nextHop)) && inside(nextHop, destination);
    if (isNew && behindItself) errors.add('route.loop');
    else if (inTier) errors.add('address.overlap');
    if (!isOfPort(nextHop)) errors.add(isNew ? 'route.next-hop' : 'resource.in-use');
    if (isNew && !behindItself && leadsTo(route, route, routes, isOutside, new Set())) errors.add('route.loop');
  }
}

/** Whether the next hop of one route is reached over the other, hop by hop. */
function leadsTo(
  from: Plain,
  to: Plain,
  routes: readonly Plain[],
  isOutside: (ip: string) => boolean,
  seen: Set<Plain>,
): boolean {
  if (!isOutside(from.spec.nextHop)) return false;
  for (const next of routes) {
    if (!inside(from.spec.nextHop, next.spec.destination)) continue;
    if (next === to) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    if (leadsTo(next, to, routes, isOutside, seen)) return true;
  }
  return false;
}

export function judgePeerings({ after: model, errors }: Judging): void {
  const joined = [...model.values()]
    .filter((r) => r.kind === 'peering')
    .map(({ path, spec }) => (spec.networks as string[]).map((name) => `${parentOf(path)}/networks/${name}`).sort());
  if (new Set(joined.map((ends) => ends.join())).size < joined.length) errors.add('peering.duplicate');
  const prefixes = (path: string) => prefixesOf(model.get(path)?.spec ?? {});
  for (const [i, [a, b]] of joined.entries()) {
    if (overlap(prefixes(a!), prefixes(b!))) errors.add('peering.overlap');
    for (const [c, d] of joined.slice(i + 1))
      for (const [one, two, other, third] of [
        [a, b, c, d],
        [a, b, d, c],
        [b, a, c, d],
        [b, a, d, c],
      ])
        if (one === other && model.has(one!) && two !== third && overlap(prefixes(two!), prefixes(third!)))
          errors.add('peering.overlap');
    for (const [network, peer] of [
      [a!, b!],
      [b!, a!],
    ]) {
      const routes = inNetwork(model, network!, 'route');
      if (routes.some(({ spec }) => prefixes(peer!).some((prefix) => inside(spec.destination, prefix))))
        errors.add('address.overlap');
      if (inNetwork(model, network!, 'port').some((port) => overlap(pairsOf(port), prefixes(peer!))))
        errors.add('address.overlap');
    }
  }
}
