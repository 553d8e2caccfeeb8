/** The way out and in: by which NAT rule, and what is missing where it ends there. No hypervisor is named here. */
import { formatIp, type Ip } from '../intent/ip.ts';
import type { Resource, View } from '../intent/model.ts';
import { tenantOf } from '../intent/path.ts';
import { cookieResource } from '../pipeline/cookie.ts';
import { tableName } from '../pipeline/tables.ts';
import type { Translated, Verdict } from './answer.ts';
import { type Stop, translates } from './decisions.ts';
import type { Lookup } from './interpreter.ts';
import { wayOut } from './orders.ts';
import { missingNatRule } from './outside.ts';
import { macOf, type Resolved } from './request.ts';
import type { Surroundings } from './surroundings.ts';
import type { Walk } from './walk.ts';

type ByRule = { hypervisor: number; direction: 'out' | 'in'; rule: Resource<'nat-rule'> };

function* byRules(view: View, { hops }: Walk): Iterable<ByRule> {
  for (const { hypervisor, events } of hops)
    for (const e of events) {
      const direction = e.kind === 'lookup' && e.flow !== undefined ? translates(e.table) : undefined;
      if (direction === undefined || e.kind !== 'lookup' || e.flow === undefined) continue;
      const rule = view.byNumber(cookieResource(e.flow.cookie));
      if (rule?.kind === 'nat-rule') yield { hypervisor, direction, rule };
    }
}

const publicIpOf = (view: View, { parent, spec }: Resource<'nat-rule'>): Resource<'public-ip'> | undefined =>
  view.getAs('public-ip', `${parent}/public-ips/${spec.publicIp}`);

/** The NAT rules it went by, in order. */
export function translations({ view, fleet }: Pick<Surroundings, 'view' | 'fleet'>, walk: Walk): Translated[] {
  return Array.from(byRules(view, walk), ({ hypervisor, direction, rule }): Translated => {
    const publicIp = publicIpOf(view, rule);
    const pool = publicIp && view.getAs('ip-pool', `ip-pools/${publicIp.spec.pool}`);
    return {
      direction,
      natRule: rule.path,
      publicIp: `${rule.parent}/public-ips/${rule.spec.publicIp}`,
      address: publicIp?.spec.address ?? '',
      gateway: fleet.name(hypervisor),
      ...(pool === undefined ? {} : { providerNetwork: pool.spec.providerNetwork }),
      ...(direction === 'out' && pool !== undefined ? { nextHop: pool.spec.gateway } : {}),
    };
  });
}

export function outsideText(view: View, walk: Walk): string {
  const last = [...byRules(view, walk)].findLast(({ direction }) => direction === 'out');
  if (last === undefined) return 'Leaves the network';
  const address = publicIpOf(view, last.rule)?.spec.address;
  return `Leaves the network as ${address}: nat-rule ${last.rule.name}, public-ip ${last.rule.spec.publicIp}`;
}

export function servicesText(by: 'port' | 'program'): string {
  return by === 'port' ? 'Names and metadata are told there' : 'Addresses and routers are told there';
}

export const portText = ({ protocol, destinationPort }: Resolved): string =>
  [6, 17, 132].includes(protocol) ? `:${destinationPort}` : '';

/** As the receiver sees it, once it was translated; as it was sent where it was not. */
export function atReceiver(view: View, asked: Resolved, walk: Walk): Resolved {
  const last = [...byRules(view, walk)].findLast(({ direction }) => direction === 'in');
  if (last === undefined || asked.state === 'reply') return asked;
  const seen = walk.hops.at(-1)?.events.findLast((e): e is Lookup => e.kind === 'lookup')?.packet;
  const ip = (value: bigint | undefined): Ip | undefined =>
    value === undefined ? undefined : { family: 4, value: Number(value) };
  const [source, target] = [ip(seen?.get('ipv4_src')), ip(seen?.get('ipv4_dst'))];
  if (seen === undefined || source === undefined || target === undefined) return asked;
  const port = view.portByIp(last.rule.parent, target);
  const ported = (side: 'src' | 'dst'): number =>
    Number(seen.get(`tcp_${side}`) ?? seen.get(`udp_${side}`) ?? seen.get(`sctp_${side}`) ?? 0n);
  const own = formatIp(source) === formatIp(asked.sender.ip);
  return {
    ...asked,
    network: last.rule.parent,
    sender: { ...asked.sender, ip: source, port: own ? asked.sender.port : undefined },
    target,
    receiver: port && { port, mac: macOf(port), ip: target },
    sourcePort: ported('src'),
    destinationPort: ported('dst'),
  };
}

type Conclusion = Omit<Verdict, 'decisions'>;

const operator = 'The operator of the cloud: ';

/** Undefined: it ended elsewhere. */
export function stoppedOutside(
  { view }: { view: View },
  asked: Resolved,
  reason: Stop,
  at: Lookup,
): Conclusion | undefined {
  const { network, sender, target, publicIp } = asked;
  const refused = (text: string, ...needs: string[]): Conclusion => ({ outcome: 'refused', reason, text, needs });
  const pool = publicIp && view.getAs('ip-pool', `ip-pools/${publicIp.spec.pool}`);
  switch (reason) {
    case 'no-nat-rule': {
      if (tableName(at.table) === 'ProviderNat' || sender.port === undefined) {
        const text = `No nat-rule publishes that under ${formatIp(target)}`;
        const address = publicIp ?? addressAt(view, target);
        if (address !== undefined && tenantOf(address.path) !== tenantOf(network))
          return refused(text, 'A nat-rule of whoever has that address');
        return refused(text, missingNatRule(view, address?.parent ?? network, address, asked, undefined));
      }
      return refused('No nat-rule lets it out', ...wayOut(view, network, sender.port, target));
    }
    case 'standby':
      return refused('Another gateway is in charge', 'The gateway that is in charge: it gets the same packet');
    case 'no-public-ip':
      return refused(
        `Nobody takes ${formatIp(target)} there`,
        ...(publicIp === undefined ? [] : [`Status programmed of ${publicIp.path}, and a nat-rule for it`]),
      );
    case 'no-gateway':
      return refused(
        'No gateway of the network is there to take it',
        `${operator}a hypervisor with gateway true that is alive and has the provider network`,
      );
    case 'no-next-hop':
      return refused(
        'The next hop of the pool of public addresses has no MAC yet',
        `${operator}the gateway of the pool${pool === undefined ? '' : ` ${pool.name}`} answering ARP, or its gatewayMac`,
      );
    case 'no-services':
      return refused(
        'No gateway host serves the port',
        `Status programmed of ${sender.port?.path ?? network}`,
        `${operator}a gateway host that runs keyway gateway-host`,
      );
    case 'nowhere':
      return refused(`${formatIp(target)} is nowhere outside`, 'Another destination');
    default:
      return undefined;
  }
}

function addressAt(view: View, ip: Ip): Resource<'public-ip'> | undefined {
  if (ip.family !== 4) return undefined;
  for (const pool of view.children('ip-pool', '')) {
    const found = view.publicIpByAddress(pool.path, ip.value);
    if (found !== undefined) return found;
  }
  return undefined;
}
