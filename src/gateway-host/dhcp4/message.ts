/** DHCP for IPv4 on the wire: RFC 2131 section 2, options of RFC 2132, long ones of RFC 3396. Over Ethernet only. */

export type Dhcp4Message = {
  /** 1 request, 2 reply. */
  op: 1 | 2;
  transaction: number;
  seconds: number;
  /** The client can take no unicast before it has an address. */
  broadcast: boolean;
  /** IPv4 addresses as numbers. */
  clientAddress: number;
  yourAddress: number;
  serverAddress: number;
  relayAddress: number;
  /** MAC. */
  clientMac: number;
  /** By code; parts of a long one joined. */
  options: ReadonlyMap<number, Buffer>;
};

export const optionCodes = {
  subnetMask: 1,
  router: 3,
  domainNameServer: 6,
  hostName: 12,
  domainName: 15,
  interfaceMtu: 26,
  requestedAddress: 50,
  leaseTime: 51,
  overload: 52,
  messageType: 53,
  serverIdentifier: 54,
  parameterRequestList: 55,
  message: 56,
  maximumMessageSize: 57,
  renewalTime: 58,
  rebindingTime: 59,
  clientIdentifier: 61,
  classlessStaticRoutes: 121,
  /** The same under the number that Microsoft chose before RFC 3442. */
  microsoftClasslessStaticRoutes: 249,
} as const;

export const messageTypes = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;

const cookie = 0x6382_5363;
const fixed = 240;
/** BOOTP's size, which old clients insist on: RFC 951, RFC 1542 section 2.1. */
const leastSize = 300;

/** Undefined for what is no DHCP message from or to an Ethernet client, or is cut short. */
export function parseDhcp4(bytes: Buffer): Dhcp4Message | undefined {
  if (bytes.length < fixed || bytes.readUInt32BE(236) !== cookie) return undefined;
  const op = bytes[0];
  if ((op !== 1 && op !== 2) || bytes[1] !== 1 || bytes[2] !== 6) return undefined;
  const parts = new Map<number, Buffer[]>();
  if (!gather(bytes.subarray(fixed), parts)) return undefined;
  // RFC 2132 section 9.3; RFC 3396 section 5: options, file, sname.
  const overload = parts.get(optionCodes.overload)?.[0]?.[0] ?? 0;
  if ((overload & 1) !== 0 && !gather(bytes.subarray(108, 236), parts)) return undefined;
  if ((overload & 2) !== 0 && !gather(bytes.subarray(44, 108), parts)) return undefined;
  const options = new Map<number, Buffer>();
  for (const [code, found] of parts) options.set(code, found.length === 1 ? found[0]! : Buffer.concat(found));
  return {
    op,
    transaction: bytes.readUInt32BE(4),
    seconds: bytes.readUInt16BE(8),
    broadcast: bytes[10]! >> 7 === 1,
    clientAddress: bytes.readUInt32BE(12),
    yourAddress: bytes.readUInt32BE(16),
    serverAddress: bytes.readUInt32BE(20),
    relayAddress: bytes.readUInt32BE(24),
    clientMac: bytes.readUIntBE(28, 6),
    options,
  };
}

/** False when an option is cut short. What has no end option ends with its bytes. */
function gather(bytes: Buffer, into: Map<number, Buffer[]>): boolean {
  for (let at = 0; at < bytes.length; ) {
    const code = bytes[at++]!;
    if (code === 0) continue;
    if (code === 255) return true;
    const length = bytes[at++];
    if (length === undefined || at + length > bytes.length) return false;
    const value = bytes.subarray(at, at + length);
    const found = into.get(code);
    if (found === undefined) into.set(code, [value]);
    else found.push(value);
    at += length;
  }
  return true;
}

/**
 * Options in the order of the map, each whole; what does not fit is left out.
 * @param room bytes of the UDP payload at most
 */
export function formatDhcp4(message: Dhcp4Message, room = 548): { bytes: Buffer; leftOut: number[] } {
  const pieces: Buffer[] = [];
  const leftOut: number[] = [];
  let left = room - fixed - 1;
  for (const [code, value] of message.options) {
    const size = sizeOfOption(value);
    if (size > left) {
      leftOut.push(code);
      continue;
    }
    left -= size;
    for (let at = 0; at === 0 || at < value.length; at += 255) {
      const part = value.subarray(at, at + 255);
      pieces.push(Buffer.of(code, part.length), part);
    }
  }
  pieces.push(Buffer.of(255));
  const options = Buffer.concat(pieces);
  const bytes = Buffer.alloc(Math.max(leastSize, fixed + options.length));
  bytes[0] = message.op;
  bytes[1] = 1;
  bytes[2] = 6;
  bytes.writeUInt32BE(message.transaction, 4);
  bytes.writeUInt16BE(message.seconds, 8);
  bytes[10] = message.broadcast ? 0x80 : 0;
  bytes.writeUInt32BE(message.clientAddress, 12);
  bytes.writeUInt32BE(message.yourAddress, 16);
  bytes.writeUInt32BE(message.serverAddress, 20);
  bytes.writeUInt32BE(message.relayAddress, 24);
  bytes.writeUIntBE(message.clientMac, 28, 6);
  bytes.writeUInt32BE(cookie, 236);
  options.copy(bytes, fixed);
  return { bytes, leftOut };
}

/** Bytes it takes, headers of its parts included. */
export function sizeOfOption(value: Buffer): number {
  return value.length + 2 * Math.max(1, Math.ceil(value.length / 255));
}

/** Of an option of exactly four bytes. */
export function addressOption(options: ReadonlyMap<number, Buffer>, code: number): number | undefined {
  const value = options.get(code);
  return value?.length === 4 ? value.readUInt32BE(0) : undefined;
}
