/**
 * What a DHCPv6 server says (RFC 8415 section 18.3) that hands out reservations only: the addresses of a port are its own,
 * always. No state is kept, and the server's identifier is the network's, so that both gateways of a network are one server.
 */
import {
  type Association,
  addressOption6,
  associationOption,
  type Dhcp6Message,
  messageTypes6,
  type Option6,
  optionCodes6,
  parseAssociation,
  statusCodes6,
  statusOption,
} from './message.ts';

export type Lease6 = {
  addresses: readonly bigint[];
  domain: string;
  /** Seconds. */
  duration: number;
  /** MAC the server's DUID is made from (DUID-LL, RFC 8415 section 11.4): the network's gateway. */
  server: number;
};

export type Answer6 = { kind: 'reply'; message: Dhcp6Message } | { kind: 'silence'; why: string };

/** @param multicast the request was sent to All_DHCP_Relay_Agents_and_Servers (ff02::1:2) */
export function answerDhcp6(request: Dhcp6Message, lease: Lease6, multicast: boolean): Answer6 {
  const asking = readRequest(request);
  if (typeof asking === 'string') return silence(asking);
  const refusal = refusalOf(request.type, asking, lease);
  if (refusal !== undefined) return silence(refusal);
  if (!multicast) return unicast(request, asking, lease);
  switch (request.type) {
    case messageTypes6.solicit:
      return asking.rapid
        ? reply(request, asking, lease, messageTypes6.reply, [
            { code: optionCodes6.rapidCommit, data: Buffer.alloc(0) },
            ...granted(asking, lease),
          ])
        : reply(request, asking, lease, messageTypes6.advertise, [
            // 255: nothing better is to be waited for, section 21.8.
            { code: optionCodes6.preference, data: Buffer.of(255) },
            ...granted(asking, lease),
          ]);
    case messageTypes6.request:
    case messageTypes6.renew:
    case messageTypes6.rebind:
      return reply(request, asking, lease, messageTypes6.reply, granted(asking, lease));
    case messageTypes6.confirm:
      return confirm(request, asking, lease);
    case messageTypes6.release:
    case messageTypes6.decline:
      return reply(request, asking, lease, messageTypes6.reply, [statusOption(statusCodes6.success, '')]);
    default:
      return reply(request, asking, lease, messageTypes6.reply, []);
  }
}

type Asking = {
  client: Option6 | undefined;
  server: Option6 | undefined;
  associations: Association[];
  rapid: boolean;
  wants: ReadonlySet<number>;
};

function readRequest({ options }: Dhcp6Message): Asking | string {
  const one = (code: number) => options.find((option) => option.code === code);
  const associations: Association[] = [];
  for (const option of options) {
    const { code } = option;
    if (code !== optionCodes6.nonTemporary && code !== optionCodes6.temporary && code !== optionCodes6.prefixDelegation)
      continue;
    const association = parseAssociation(option);
    if (association === undefined) return 'an identity association is malformed';
    associations.push(association);
  }
  const client = one(optionCodes6.clientIdentifier);
  // A DUID has a type and up to 128 bytes: section 11.1.
  if (client !== undefined && (client.data.length < 3 || client.data.length > 130)) return 'its DUID is malformed';
  const wants = new Set<number>();
  const list = one(optionCodes6.optionRequest)?.data ?? Buffer.alloc(0);
  for (let at = 0; at + 1 < list.length; at += 2) wants.add(list.readUInt16BE(at));
  return {
    client,
    server: one(optionCodes6.serverIdentifier),
    associations,
    rapid: one(optionCodes6.rapidCommit) !== undefined,
    wants,
  };
}

/** Section 16: what is to be discarded, and why. */
function refusalOf(type: number, { client, server, associations }: Asking, lease: Lease6): string | undefined {
  const ours = server?.data.equals(serverIdentifier(lease));
  switch (type) {
    case messageTypes6.solicit:
    case messageTypes6.confirm:
    case messageTypes6.rebind:
      if (client === undefined) return 'it has no client identifier';
      return server === undefined ? undefined : 'it names a server';
    case messageTypes6.request:
    case messageTypes6.renew:
    case messageTypes6.release:
    case messageTypes6.decline:
      if (client === undefined) return 'it has no client identifier';
      return ours === true ? undefined : 'it is for another server';
    case messageTypes6.informationRequest:
      if (associations.length > 0) return 'an information request with an identity association';
      return ours === false ? 'it is for another server' : undefined;
    default:
      return 'not a type of message a client sends';
  }
}

/** Section 18.4: nobody was allowed to. */
function unicast(request: Dhcp6Message, asking: Asking, lease: Lease6): Answer6 {
  const answered: readonly number[] = [
    messageTypes6.request,
    messageTypes6.renew,
    messageTypes6.release,
    messageTypes6.decline,
  ];
  if (!answered.includes(request.type)) return silence('it was not sent to the multicast address of servers');
  const message: Dhcp6Message = {
    type: messageTypes6.reply,
    transaction: request.transaction,
    options: [...identifiers(asking, lease), statusOption(statusCodes6.useMulticast, 'ff02::1:2 is where to ask')],
  };
  return { kind: 'reply', message };
}

/** Each association as it is now. */
function granted({ associations }: Asking, { addresses, duration }: Lease6): Option6[] {
  const lifetimes = { preferred: duration, valid: duration };
  const nonTemporary = associations.filter(({ code }) => code === optionCodes6.nonTemporary);
  // All addresses of the port go to one association: the one that has one of them already, else the first.
  const owner =
    nonTemporary.find((association) => association.addresses.some((a) => addresses.includes(a))) ?? nonTemporary[0];
  return associations.map((association) => {
    if (association.code === optionCodes6.prefixDelegation) {
      const status = statusOption(statusCodes6.noPrefixes, 'prefixes are not delegated here');
      return associationOption(association, [0, 0], [status]);
    }
    // What it has that is not the port's ends at once: sections 18.3.4 and 18.3.5.
    const ended = association.addresses
      .filter((address) => !addresses.includes(address))
      .map((address) => addressOption6(address, { preferred: 0, valid: 0 }));
    if (association !== owner || addresses.length === 0) {
      const status = statusOption(statusCodes6.noAddresses, 'the port has no other addresses');
      return associationOption(association, [0, 0], [...ended, status]);
    }
    const times = [Math.floor(duration / 2), Math.floor((duration * 4) / 5)] as const;
    const own = addresses.map((address) => addressOption6(address, lifetimes));
    return associationOption(association, times, [...own, ...ended]);
  });
}

/** Section 18.3.3. An address that is not the port's passes no switch, so here it is as good as on another link. */
function confirm(request: Dhcp6Message, asking: Asking, lease: Lease6): Answer6 {
  const asked = asking.associations.flatMap(({ addresses }) => addresses);
  if (asked.length === 0) return silence('it has nothing to confirm');
  const right = asked.every((address) => lease.addresses.includes(address));
  const status = right
    ? statusOption(statusCodes6.success, '')
    : statusOption(statusCodes6.notOnLink, 'not the addresses of this port');
  return reply(request, asking, lease, messageTypes6.reply, [status]);
}

function reply(
  { transaction }: Dhcp6Message,
  asking: Asking,
  lease: Lease6,
  type: number,
  options: readonly Option6[],
): Answer6 {
  const domain = asking.wants.has(optionCodes6.domainList) ? domainList(lease.domain) : undefined;
  const message: Dhcp6Message = {
    type,
    transaction,
    options: [
      ...identifiers(asking, lease),
      ...options,
      ...(domain === undefined ? [] : [{ code: optionCodes6.domainList, data: domain }]),
    ],
  };
  return { kind: 'reply', message };
}

function identifiers({ client }: Asking, lease: Lease6): Option6[] {
  const server = { code: optionCodes6.serverIdentifier, data: serverIdentifier(lease) };
  return client === undefined ? [server] : [client, server];
}

/** DUID-LL over Ethernet. */
export function serverIdentifier({ server }: Pick<Lease6, 'server'>): Buffer {
  const duid = Buffer.alloc(10);
  duid.writeUInt16BE(3, 0);
  duid.writeUInt16BE(1, 2);
  duid.writeUIntBE(server, 4, 6);
  return duid;
}

/** RFC 3646 section 4: names as on the wire (RFC 1035 section 3.1), not compressed. Undefined where it is no name. */
function domainList(domain: string): Buffer | undefined {
  const labels = domain.split('.').filter((label) => label !== '');
  if (labels.length === 0 || labels.some((label) => label.length > 63)) return undefined;
  return Buffer.concat([
    ...labels.flatMap((label) => [Buffer.of(label.length), Buffer.from(label, 'latin1')]),
    Buffer.of(0),
  ]);
}

function silence(why: string): Answer6 {
  return { kind: 'silence', why };
}
