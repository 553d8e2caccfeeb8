/** DHCPv6 on the wire between client and server: RFC 8415 sections 8 and 21. */
import { readIpv6, writeIpv6 } from '../frame.ts';

export type Option6 = { code: number; data: Buffer };

export type Dhcp6Message = {
  type: number;
  /** 24 bits. */
  transaction: number;
  options: readonly Option6[];
};

export const messageTypes6 = {
  solicit: 1,
  advertise: 2,
  request: 3,
  confirm: 4,
  renew: 5,
  rebind: 6,
  reply: 7,
  release: 8,
  decline: 9,
  informationRequest: 11,
  relayForward: 12,
  relayReply: 13,
} as const;

export const optionCodes6 = {
  clientIdentifier: 1,
  serverIdentifier: 2,
  nonTemporary: 3,
  temporary: 4,
  address: 5,
  optionRequest: 6,
  preference: 7,
  statusCode: 13,
  rapidCommit: 14,
  domainList: 24,
  prefixDelegation: 25,
} as const;

export const statusCodes6 = {
  success: 0,
  noAddresses: 2,
  noBinding: 3,
  notOnLink: 4,
  useMulticast: 5,
  noPrefixes: 6,
} as const;

/** Undefined for messages of relays, and for what is cut short. */
export function parseDhcp6(bytes: Buffer): Dhcp6Message | undefined {
  if (bytes.length < 4) return undefined;
  const type = bytes[0]!;
  if (type === messageTypes6.relayForward || type === messageTypes6.relayReply) return undefined;
  const options = parseOptions6(bytes.subarray(4));
  return options && { type, transaction: bytes.readUIntBE(1, 3), options };
}

export function parseOptions6(bytes: Buffer): Option6[] | undefined {
  const options: Option6[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 > bytes.length) return undefined;
    const length = bytes.readUInt16BE(at + 2);
    if (at + 4 + length > bytes.length) return undefined;
    options.push({ code: bytes.readUInt16BE(at), data: bytes.subarray(at + 4, at + 4 + length) });
    at += 4 + length;
  }
  return options;
}

export function formatDhcp6({ type, transaction, options }: Dhcp6Message): Buffer {
  const head = Buffer.alloc(4);
  head[0] = type;
  head.writeUIntBE(transaction, 1, 3);
  return Buffer.concat([head, formatOptions6(options)]);
}

export function formatOptions6(options: readonly Option6[]): Buffer {
  const parts: Buffer[] = [];
  for (const { code, data } of options) {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(code, 0);
    head.writeUInt16BE(data.length, 2);
    parts.push(head, data);
  }
  return Buffer.concat(parts);
}

/** IA_NA, IA_TA or IA_PD: RFC 8415 sections 21.4, 21.5, 21.21. */
export type Association = {
  code: number;
  id: number;
  /** Addresses the options of an IA_NA or IA_TA hold. */
  addresses: bigint[];
};

/** Undefined for what is no identity association, or is malformed. */
export function parseAssociation({ code, data }: Option6): Association | undefined {
  const head = code === optionCodes6.temporary ? 4 : 12;
  if (data.length < head) return undefined;
  const options = parseOptions6(data.subarray(head));
  if (options === undefined) return undefined;
  const addresses: bigint[] = [];
  for (const option of options) {
    if (option.code !== optionCodes6.address) continue;
    if (option.data.length < 24) return undefined;
    addresses.push(readIpv6(option.data, 0));
  }
  return { code, id: data.readUInt32BE(0), addresses };
}

export type Lifetimes = { /** Seconds. */ preferred: number; valid: number };

export function addressOption6(address: bigint, { preferred, valid }: Lifetimes): Option6 {
  const data = Buffer.alloc(24);
  writeIpv6(data, 0, address);
  data.writeUInt32BE(preferred, 16);
  data.writeUInt32BE(valid, 20);
  return { code: optionCodes6.address, data };
}

/** @param times T1 and T2 in seconds; an IA_TA has none */
export function associationOption(
  { code, id }: Pick<Association, 'code' | 'id'>,
  [renew, rebind]: readonly [number, number],
  options: readonly Option6[],
): Option6 {
  const head = Buffer.alloc(code === optionCodes6.temporary ? 4 : 12);
  head.writeUInt32BE(id, 0);
  if (head.length === 12) {
    head.writeUInt32BE(renew, 4);
    head.writeUInt32BE(rebind, 8);
  }
  return { code, data: Buffer.concat([head, formatOptions6(options)]) };
}

export function statusOption(status: number, text: string): Option6 {
  const code = Buffer.alloc(2);
  code.writeUInt16BE(status);
  return { code: optionCodes6.statusCode, data: Buffer.concat([code, Buffer.from(text)]) };
}
