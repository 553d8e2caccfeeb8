/** What is known of the names of one network: its ports', under its own domain, and back from their addresses. */
import type { Answer, DecodedPacket, Question, SoaAnswer } from 'dns-packet';
import { formatIpv4, parseIpv4 } from '../../intent/addresses.ts';
import { formatIp, type Ip, parseIpv6 } from '../../intent/ip.ts';
import type { Network, Port } from '../served.ts';

export type NameAnswer = {
  /** NXDOMAIN: there is no such name. */
  exists: boolean;
  answers: Answer[];
  authorities: Answer[];
};

/** Seconds what is said of ports may be kept: they come and go. */
const ttl = 30;

/** The name CloudStack's images look for their metadata under. */
const dataServer = 'data-server';

/** Undefined: a name that is for others to know. @param server address of names and metadata */
export function answerName(network: Network, { name, type }: Question, server: string): NameAnswer | undefined {
  const asked = name.toLowerCase().replace(/\.$/, '');
  const domain = network.told.domain.toLowerCase();
  if (asked === domain) return known(domain, []);
  if (asked.endsWith(`.${domain}`)) return ofPort(network, asked.slice(0, -domain.length - 1), name, type, server);
  const ip = reverseName(asked);
  if (ip === undefined) return undefined;
  const port = network.addresses.get(formatIp(ip));
  if (port !== undefined)
    return known(domain, type === 'PTR' || isAny(type) ? [{ type: 'PTR', name, ttl, data: nameOf(port) }] : []);
  // Who is behind a network's own addresses is nobody else's to say, nor to be asked.
  return network.covers(ip) ? unknown(domain) : undefined;
}

export function nameOf({ told, network }: Port): string {
  return `${told.hostname}.${network.told.domain}`.toLowerCase();
}

function ofPort(network: Network, label: string, name: string, type: string, server: string): NameAnswer {
  const { domain } = network.told;
  const ports = network.names.get(label);
  if (ports === undefined && label !== dataServer) return unknown(domain);
  const ips: Pick<Ip, 'family'>[] = [];
  const answers: Answer[] = [];
  const add = (ip: { family: 4 | 6; text: string }) => {
    ips.push(ip);
    const own = ip.family === 4 ? 'A' : 'AAAA';
    if (type === own || isAny(type)) answers.push({ type: own, name, ttl, data: ip.text });
  };
  for (const port of ports ?? []) for (const ip of port.ips) add({ family: ip.family, text: formatIp(ip) });
  if (ports === undefined) add({ family: 4, text: server });
  return known(domain, answers);
}

const isAny = (type: string): boolean => type === 'ANY' || type === '*';

function known(domain: string, answers: Answer[]): NameAnswer {
  // That there is nothing of the type is said with how long that holds: RFC 2308 section 2.2.
  return { exists: true, answers, authorities: answers.length === 0 ? [authority(domain)] : [] };
}

function unknown(domain: string): NameAnswer {
  return { exists: false, answers: [], authorities: [authority(domain)] };
}

function authority(domain: string): SoaAnswer {
  return {
    type: 'SOA',
    name: domain,
    ttl,
    data: {
      mname: `ns.${domain}`,
      rname: `hostmaster.${domain}`,
      serial: 1,
      refresh: 3_600,
      retry: 600,
      expire: 86_400,
      minimum: ttl,
    },
  };
}

/** Of `4.3.2.1.in-addr.arpa` (RFC 1035 section 3.5) or 32 nibbles under `ip6.arpa` (RFC 3596 section 2.5), whole addresses only. */
export function reverseName(name: string): Ip | undefined {
  if (name.endsWith('.in-addr.arpa')) {
    const value = parseIpv4(name.slice(0, -'.in-addr.arpa'.length).split('.').reverse().join('.'));
    return value === undefined ? undefined : { family: 4, value };
  }
  if (!name.endsWith('.ip6.arpa')) return undefined;
  const nibbles = name.slice(0, -'.ip6.arpa'.length).split('.');
  if (nibbles.length !== 32 || !nibbles.every((nibble) => /^[0-9a-f]$/.test(nibble))) return undefined;
  const text = nibbles
    .reverse()
    .join('')
    .replace(/.{4}(?!$)/g, '$&:');
  const value = parseIpv6(text);
  return value === undefined ? undefined : { family: 6, value };
}

/** The name an address is asked back by. */
export function reverseOf(ip: Ip): string {
  if (ip.family === 4) return `${formatIpv4(ip.value).split('.').reverse().join('.')}.in-addr.arpa`;
  return `${[...ip.value.toString(16).padStart(32, '0')].reverse().join('.')}.ip6.arpa`;
}

/** Why a query is not one that is looked into; a response code of RFC 1035 section 4.1.1. */
export function faultOf(query: DecodedPacket): 'FORMERR' | 'NOTIMP' | 'REFUSED' | undefined {
  if ((((query.flags ?? 0) >> 11) & 0xf) !== 0) return 'NOTIMP';
  const [question] = query.questions ?? [];
  if (query.questions?.length !== 1 || question === undefined) return 'FORMERR';
  if (question.type === 'AXFR' || question.type === 'IXFR') return 'REFUSED';
  return question.class === undefined || question.class === 'IN' || question.class === 'ANY' ? undefined : 'REFUSED';
}
