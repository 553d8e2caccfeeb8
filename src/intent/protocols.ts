/** IP protocols by name and number, after the IANA registry "Assigned Internet Protocol Numbers". */

const numbers = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  rsvp: 46,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  eigrp: 88,
  ospf: 89,
  pim: 103,
  vrrp: 112,
  l2tp: 115,
  sctp: 132,
  udplite: 136,
} as const;

export type ProtocolName = keyof typeof numbers;

export const protocolNames = Object.keys(numbers) as ProtocolName[];

const names = new Map<number, ProtocolName>(protocolNames.map((name) => [numbers[name], name]));

/** The number of a protocol written as a name or as 0 to 255; undefined for `any`, and for what is none. */
export function protocolNumber(text: string): number | undefined {
  if (Object.hasOwn(numbers, text)) return numbers[text as ProtocolName];
  return /^\d{1,3}$/.test(text) && Number(text) <= 255 ? Number(text) : undefined;
}

/** The one form a protocol is kept in: `any`, its name where it has one, else its number; undefined for what is none. */
export function canonicalProtocol(text: string): string | undefined {
  if (text === 'any') return text;
  const number = protocolNumber(text);
  return number === undefined ? undefined : (names.get(number) ?? String(number));
}

/** Protocols with ports, in their one form. */
export const withPorts: ReadonlySet<string> = new Set<ProtocolName>(['tcp', 'udp', 'sctp']);
