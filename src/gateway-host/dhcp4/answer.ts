/**
 * What a DHCP server says (RFC 2131 section 4.3) that hands out reservations only: a client has the addresses of its own
 * port, always, and no state is kept. So any server that knows the port gives the same answers.
 */
import { addressOption, type Dhcp4Message, messageTypes, optionCodes, sizeOfOption } from './message.ts';

/** IPv4 addresses as numbers. */
export type Lease4 = {
  /** Of the port, in its tier; the first is offered to who asks for none of them. */
  addresses: readonly number[];
  /** Length of the tier's prefix. */
  prefixLength: number;
  /** Address of the tier's gateway: who answers, too. */
  gateway: number;
  nameServer: number;
  domain: string;
  hostname: string;
  /** Bytes. */
  mtu: number;
  /** Beside the default route. */
  routes: readonly { destination: number; length: number; nextHop: number }[];
  /** Seconds. */
  duration: number;
};

export type Answer4 =
  | { kind: 'reply'; message: Dhcp4Message /** Where to: limited broadcast included. */; to: number; room: number }
  /** Nothing is to be said. */
  | { kind: 'silence'; why: string };

const anywhere = 0xffff_ffff;

/** @param request from the port's own MAC, which its client hardware address must be */
export function answerDhcp4(request: Dhcp4Message, mac: number, lease: Lease4): Answer4 {
  if (request.op !== 1) return silence('no request');
  if (request.clientMac !== mac) return silence('its client hardware address is not its own');
  if (request.relayAddress !== 0) return silence('it says that it was relayed');
  const server = addressOption(request.options, optionCodes.serverIdentifier);
  if (server !== undefined && server !== lease.gateway) return silence('it is for another server');
  switch (request.options.get(optionCodes.messageType)?.[0]) {
    case messageTypes.discover:
      return reply(request, lease, messageTypes.offer, chosen(request, lease));
    case messageTypes.request:
      return answerRequest(request, lease, server);
    case messageTypes.inform:
      // It has its address, whoever it has it from: RFC 2131 section 4.3.5.
      if (request.clientAddress === 0) return silence('inform without an address');
      return reply(request, lease, messageTypes.ack, undefined);
    case messageTypes.decline:
      return silence('declined: somebody else has the address');
    case messageTypes.release:
      return silence('released');
    default:
      return silence('not a type of message a client sends');
  }
}

/** The address a client asks for where it is one of its port, else the first. */
function chosen({ options, clientAddress }: Dhcp4Message, { addresses }: Lease4): number {
  const wish = addressOption(options, optionCodes.requestedAddress) ?? clientAddress;
  return addresses.includes(wish) ? wish : addresses[0]!;
}

/** RFC 2131 section 4.3.2: the state of the client shows in what it fills in. */
function answerRequest(request: Dhcp4Message, lease: Lease4, server: number | undefined): Answer4 {
  const requested = addressOption(request.options, optionCodes.requestedAddress);
  const { clientAddress } = request;
  if (server !== undefined && requested === undefined && clientAddress === 0)
    return silence('it selects a server, and no address');
  const wanted = clientAddress === 0 ? requested : clientAddress;
  if (wanted === undefined) return silence('it asks for no address');
  if (!lease.addresses.includes(wanted)) return refuse(request, lease);
  return reply(request, lease, messageTypes.ack, wanted);
}

/** @param address the one leased; undefined: parameters only */
function reply(request: Dhcp4Message, lease: Lease4, type: number, address: number | undefined): Answer4 {
  const room = roomFor(request, lease.mtu);
  const message: Dhcp4Message = {
    op: 2,
    transaction: request.transaction,
    seconds: 0,
    broadcast: request.broadcast,
    clientAddress: type === messageTypes.ack ? request.clientAddress : 0,
    yourAddress: address ?? 0,
    serverAddress: 0,
    relayAddress: 0,
    clientMac: request.clientMac,
    options: optionsFor(request, lease, type, address !== undefined, room),
  };
  // RFC 2131 section 4.1.
  const to = request.clientAddress !== 0 ? request.clientAddress : request.broadcast ? anywhere : (address ?? anywhere);
  return { kind: 'reply', message, to, room };
}

function refuse(request: Dhcp4Message, lease: Lease4): Answer4 {
  const options = new Map([
    [optionCodes.messageType as number, Buffer.of(messageTypes.nak)],
    [optionCodes.serverIdentifier, u32(lease.gateway)],
    ...identifier(request),
    [optionCodes.message, Buffer.from('not the address of this port')],
  ]);
  const message: Dhcp4Message = {
    ...{ op: 2, transaction: request.transaction, seconds: 0, broadcast: request.broadcast },
    ...{ clientAddress: 0, yourAddress: 0, serverAddress: 0, relayAddress: 0 },
    ...{ clientMac: request.clientMac, options },
  };
  return { kind: 'reply', message, to: anywhere, room: roomFor(request, lease.mtu) };
}

/** The first are needed by everybody, the last by the fewest: what does not fit is left out from the end. */
function optionsFor(
  request: Dhcp4Message,
  lease: Lease4,
  type: number,
  leased: boolean,
  room: number,
): Map<number, Buffer> {
  const asked = request.options.get(optionCodes.parameterRequestList);
  const wanted = (code: number) => asked === undefined || asked.includes(code);
  const options = new Map<number, Buffer>([
    [optionCodes.messageType, Buffer.of(type)],
    [optionCodes.serverIdentifier, u32(lease.gateway)],
  ]);
  if (leased) {
    options.set(optionCodes.leaseTime, u32(lease.duration));
    options.set(optionCodes.renewalTime, u32(Math.floor(lease.duration / 2)));
    options.set(optionCodes.rebindingTime, u32(Math.floor((lease.duration * 7) / 8)));
  }
  for (const [code, value] of identifier(request)) options.set(code, value);
  options.set(optionCodes.subnetMask, u32(lease.prefixLength === 0 ? 0 : -1 << (32 - lease.prefixLength)));
  const offer = (code: number, value: Buffer) => {
    if (wanted(code) && value.length > 0) options.set(code, value);
  };
  offer(optionCodes.router, u32(lease.gateway));
  offer(optionCodes.domainNameServer, u32(lease.nameServer));
  offer(optionCodes.interfaceMtu, u16(lease.mtu));
  offer(optionCodes.hostName, Buffer.from(lease.hostname));
  offer(optionCodes.domainName, Buffer.from(lease.domain));
  // Who asks for neither would take the router from it all the same; who knows nothing of it is spared the bytes.
  if (asked !== undefined) {
    for (const code of [optionCodes.classlessStaticRoutes, optionCodes.microsoftClasslessStaticRoutes]) {
      if (!asked.includes(code)) continue;
      let used = 241;
      for (const value of options.values()) used += sizeOfOption(value);
      options.set(code, classlessRoutes(lease, room - used));
    }
  }
  return options;
}

/** RFC 6842: it comes back as it was sent. */
function identifier({ options }: Dhcp4Message): [number, Buffer][] {
  const value = options.get(optionCodes.clientIdentifier);
  return value === undefined ? [] : [[optionCodes.clientIdentifier, value]];
}

/**
 * RFC 3442. The default route is among them, since who takes these ignores the router option; then the way to names and
 * metadata; then as many of the others as there is room for.
 */
export function classlessRoutes({ gateway, nameServer, routes }: Lease4, room: number): Buffer {
  const all = [
    { destination: 0, length: 0, nextHop: gateway },
    { destination: nameServer, length: 32, nextHop: gateway },
    ...routes,
  ];
  const parts: Buffer[] = [];
  let size = 0;
  for (const { destination, length, nextHop } of all) {
    const part = Buffer.concat([Buffer.of(length), u32(destination).subarray(0, Math.ceil(length / 8)), u32(nextHop)]);
    const sized = size + part.length;
    if (sized + 2 * Math.ceil(sized / 255) > room) break;
    size = sized;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** RFC 2132 section 9.10: what a client takes, 576 bytes of IP packet at least; here never more than the MTU. */
function roomFor({ options }: Dhcp4Message, mtu: number): number {
  const value = options.get(optionCodes.maximumMessageSize);
  const asked = value?.length === 2 ? value.readUInt16BE(0) : 576;
  return Math.max(576, Math.min(asked, mtu)) - 28;
}

function silence(why: string): Answer4 {
  return { kind: 'silence', why };
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
