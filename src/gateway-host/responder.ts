/**
 * Answers what ports ask of DHCP servers and routers: a frame and what is configured go in, a frame comes out. Who asks is
 * told by the tenant's key and the frame's source MAC, which port security has held the VM to.
 */

import { isIn, parseIpPrefix } from '../intent/ip.ts';
import { linkLocalOf } from '../pipeline/stages/ports.ts';
import { serviceAddress } from '../pipeline/stages/services.ts';
import { answerDhcp4, type Lease4 } from './dhcp4/answer.ts';
import { formatDhcp4, parseDhcp4 } from './dhcp4/message.ts';
import { answerDhcp6 } from './dhcp6/answer.ts';
import { formatDhcp6, parseDhcp6 } from './dhcp6/message.ts';
import { type Datagram, formatFrame, formatUdp, parseFrame, parseUdp, protocols } from './frame.ts';
import { isRouterSolicitation, routerAdvertisement } from './router/advertisement.ts';
import type { Network, Port, Served, Tier } from './served.ts';

export type Outcome =
  | { kind: 'reply'; service: Service; port: Port; frame: Buffer }
  /** `port` where it is known who asked. */
  | { kind: 'silence'; why: string; service: Service | undefined; port: Port | undefined };

export type Service = 'dhcp4' | 'dhcp6' | 'router';

/** ff02::1, all nodes, and ff02::1:2, all DHCP relay agents and servers. */
const allNodes = (0xff02n << 112n) | 1n;
const allServers = (0xff02n << 112n) | 0x1_0002n;

export class Responder {
  readonly #served: Served;
  readonly #duration: number;

  /** @param leaseDuration seconds */
  constructor(served: Served, leaseDuration: number) {
    this.#served = served;
    this.#duration = leaseDuration;
  }

  /** @param key of the tenant, as the switch told it with the frame */
  answer(key: number, frame: Uint8Array): Outcome {
    const asked = parseFrame(frame);
    if (asked === undefined) return silence('no whole IP packet');
    const port = this.#served.byMac(key, asked.ethernetSource);
    if (port === undefined) return silence('nobody that is known here');
    const { network } = port;
    const tier = network.tierOf(port);
    if (tier === undefined || !network.told.dhcp) return silence('no addresses are handed out there', undefined, port);
    if (asked.protocol === protocols.icmpv6) return this.#solicited(asked, port, tier);
    const udp = asked.protocol === protocols.udp ? parseUdp(asked.payload) : undefined;
    if (udp === undefined) return silence('nothing that is served', undefined, port);
    if (asked.source.family === 4 && udp.sourcePort === 68 && udp.destinationPort === 67)
      return this.#dhcp4(udp.payload, port, tier);
    if (asked.source.family === 6 && udp.sourcePort === 546 && udp.destinationPort === 547)
      return this.#dhcp6(asked, udp.payload, port, tier);
    return silence('nothing that is served', undefined, port);
  }

  /** What a port is told of its router without having asked; undefined where its tier has no IPv6. */
  advertisement(port: Port): Buffer | undefined {
    const tier = port.network.tierOf(port);
    return tier?.prefix6 === undefined || !port.network.told.dhcp
      ? undefined
      : advertise(port, tier, tier.prefix6, { family: 6, value: allNodes });
  }

  #dhcp4(payload: Buffer, port: Port, tier: Tier): Outcome {
    const request = parseDhcp4(payload);
    if (request === undefined) return silence('malformed', 'dhcp4', port);
    const lease = this.#lease4(port, tier);
    if (lease.addresses.length === 0) return silence('the port has no IPv4 address', 'dhcp4', port);
    const answer = answerDhcp4(request, port.mac, lease);
    if (answer.kind === 'silence') return silence(answer.why, 'dhcp4', port);
    const source = { family: 4, value: tier.gateway } as const;
    const destination = { family: 4, value: answer.to } as const;
    const { bytes } = formatDhcp4(answer.message, answer.room);
    const frame = formatFrame({
      ...between(port),
      source,
      destination,
      hopLimit: 64,
      protocol: protocols.udp,
      payload: formatUdp(source, destination, { sourcePort: 67, destinationPort: 68, payload: bytes }),
    });
    return { kind: 'reply', service: 'dhcp4', port, frame };
  }

  #lease4({ ips, told, network }: Port, { prefix, gateway }: Tier): Lease4 {
    const addresses: number[] = [];
    for (const ip of ips) if (ip.family === 4 && isIn(prefix, ip)) addresses.push(ip.value);
    const routes: Lease4['routes'][number][] = [];
    for (const { destination } of network.told.routes) {
      const to = parseIpPrefix(destination);
      // The router knows the next hop; it is told for machines whose default route is another.
      if (to?.family === 4) routes.push({ destination: to.value, length: to.length, nextHop: gateway });
    }
    const { domain, mtu } = network.told;
    const duration = this.#duration;
    return {
      ...{
        addresses,
        prefixLength: prefix.length,
        gateway,
        nameServer: serviceAddress.value,
        routes,
        duration,
        mtu,
        domain,
      },
      hostname: told.hostname,
    };
  }

  #dhcp6(asked: Datagram, payload: Buffer, port: Port, tier: Tier): Outcome {
    const request = parseDhcp6(payload);
    if (request === undefined) return silence('malformed', 'dhcp6', port);
    const { prefix6 } = tier;
    if (prefix6 === undefined) return silence('the tier has no IPv6', 'dhcp6', port);
    const addresses: bigint[] = [];
    for (const ip of port.ips) if (ip.family === 6 && isIn(prefix6, ip)) addresses.push(ip.value);
    const { domain } = port.network.told;
    const lease = { addresses, domain, duration: this.#duration, server: port.network.gatewayMac };
    const multicast = asked.destination.value === allServers;
    const answer = answerDhcp6(request, lease, multicast);
    if (answer.kind === 'silence') return silence(answer.why, 'dhcp6', port);
    const source = linkLocalOf(tier.mac);
    const destination = asked.source;
    const frame = formatFrame({
      ...between(port),
      source,
      destination,
      hopLimit: 64,
      protocol: protocols.udp,
      payload: formatUdp(source, destination, {
        sourcePort: 547,
        destinationPort: 546,
        payload: formatDhcp6(answer.message),
      }),
    });
    return { kind: 'reply', service: 'dhcp6', port, frame };
  }

  #solicited(asked: Datagram, port: Port, tier: Tier): Outcome {
    if (!isRouterSolicitation(asked)) return silence('no router solicitation', 'router', port);
    if (tier.prefix6 === undefined) return silence('the tier has no IPv6', 'router', port);
    // RFC 4861 section 6.2.6: to the soliciting address where there is one.
    const { source } = asked;
    const to = source.value === 0n ? ({ family: 6, value: allNodes } as const) : source;
    return { kind: 'reply', service: 'router', port, frame: advertise(port, tier, tier.prefix6, to) };
  }
}

/** To the MAC of one port, whatever the address: RFC 6085. */
function advertise(
  port: Port,
  { mac }: Tier,
  prefix: NonNullable<Tier['prefix6']>,
  to: Datagram['destination'],
): Buffer {
  const address = linkLocalOf(mac);
  return formatFrame({
    ...between(port),
    source: address,
    destination: to,
    hopLimit: 255,
    protocol: protocols.icmpv6,
    payload: routerAdvertisement({ mac, address, prefix, mtu: port.network.told.mtu }, to),
  });
}

/** Frames of services come from the network's gateway, which flows tell them by, and go to one port. */
function between({ mac, network }: { mac: number; network: Network }) {
  return { ethernetSource: network.gatewayMac, ethernetDestination: mac };
}

function silence(why: string, service?: Service, port?: Port): Outcome {
  return { kind: 'silence', why, service, port };
}
