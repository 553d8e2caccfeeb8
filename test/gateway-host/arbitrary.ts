/** Networks and ports as a controller would tell them, and requests as clients would make them. */
import type { ServedNetwork, ServedPort } from '../../src/drivers/gateway-services.ts';
import { type Dhcp4Message, formatDhcp4, messageTypes, optionCodes } from '../../src/gateway-host/dhcp4/message.ts';
import {
  addressOption6,
  associationOption,
  type Dhcp6Message,
  formatDhcp6,
  type Option6,
  optionCodes6,
} from '../../src/gateway-host/dhcp6/message.ts';
import { formatFrame, formatUdp, transportChecksum } from '../../src/gateway-host/frame.ts';
import { Served } from '../../src/gateway-host/served.ts';
import { parseIp } from '../../src/intent/ip.ts';

export const network: ServedNetwork = {
  number: 10,
  uid: 'network-uid',
  name: 'shop',
  tenant: 'acme',
  id: 3,
  key: 77,
  domain: 'shop.internal',
  dnsServers: [],
  mtu: 1458,
  dhcp: true,
  tiers: [
    {
      number: 11,
      name: 'web',
      cidr: '10.0.1.0/24',
      gateway: '10.0.1.1',
      ipv6Cidr: 'fd00:1::/64',
      ipv6Gateway: 'fd00:1::1',
    },
    { number: 12, name: 'db', cidr: '10.0.2.0/23', gateway: '10.0.2.1' },
  ],
  routes: [{ destination: '192.168.7.0/24', nextHop: '10.0.1.9' }],
  gateways: [1, 2],
  publicAddresses: [],
};

export const web1: ServedPort = {
  number: 100,
  uid: 'web1-uid',
  name: 'web1',
  hostname: 'web1',
  mac: '02:00:00:00:00:01',
  ips: ['10.0.1.10', '10.0.1.11', 'fd00:1::10'],
  tier: 'web',
};

export const db1: ServedPort = {
  number: 101,
  uid: 'db1-uid',
  name: 'db1',
  hostname: 'db1',
  mac: '02:00:00:00:00:02',
  ips: ['10.0.3.20'],
  tier: 'db',
};

export function servedWith(ports: ServedPort[] = [web1, db1], told: ServedNetwork = network): Served {
  const served = new Served();
  served.apply({ type: 'network', network: told });
  served.apply({ type: 'ports', network: told.number, set: ports, remove: [] });
  return served;
}

export const mac = (text: string): number => Number.parseInt(text.replaceAll(':', ''), 16);
export const ip4 = (text: string): number => Number(parseIp(text)!.value);
export const ip6 = (text: string): bigint => BigInt(parseIp(text)!.value);

export type Request4 = {
  type: keyof typeof messageTypes;
  mac?: string;
  requested?: string;
  client?: string;
  server?: string;
  broadcast?: boolean;
  relay?: string;
  /** Parameter request list. */
  asks?: number[];
  options?: [number, Buffer][];
};

export function request4({
  type,
  mac: own = web1.mac,
  requested,
  client = '0.0.0.0',
  server,
  broadcast = false,
  relay = '0.0.0.0',
  asks = [1, 3, 6, 12, 15, 26, 121],
  options = [],
}: Request4): Dhcp4Message {
  const address = (text: string) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(ip4(text));
    return bytes;
  };
  return {
    op: 1,
    transaction: 0x1234_5678,
    seconds: 0,
    broadcast,
    clientAddress: ip4(client),
    yourAddress: 0,
    serverAddress: 0,
    relayAddress: ip4(relay),
    clientMac: mac(own),
    options: new Map([
      [optionCodes.messageType as number, Buffer.of(messageTypes[type])],
      ...(requested === undefined ? [] : [[optionCodes.requestedAddress, address(requested)] as [number, Buffer]]),
      ...(server === undefined ? [] : [[optionCodes.serverIdentifier, address(server)] as [number, Buffer]]),
      ...(asks.length === 0 ? [] : [[optionCodes.parameterRequestList, Buffer.from(asks)] as [number, Buffer]]),
      ...options,
    ]),
  };
}

/** As a VM sends it. */
export function frame4(message: Dhcp4Message, from = '0.0.0.0', to = '255.255.255.255', sender?: number): Buffer {
  const source = { family: 4, value: ip4(from) } as const;
  const destination = { family: 4, value: ip4(to) } as const;
  const { bytes } = formatDhcp4(message, 1200);
  return formatFrame({
    ethernetSource: sender ?? message.clientMac,
    ethernetDestination: 0xffff_ffff_ffff,
    source,
    destination,
    hopLimit: 64,
    protocol: 17,
    payload: formatUdp(source, destination, { sourcePort: 68, destinationPort: 67, payload: bytes }),
  });
}

export type Request6 = {
  type: number;
  options?: readonly Option6[];
  /** Identity associations: id, and addresses they hold. */
  asks?: readonly { id: number; addresses?: readonly string[] }[];
  client?: string | undefined;
  server?: Buffer;
};

export function request6({
  type,
  options = [],
  asks = [],
  client = '0003000102000000000a',
  server,
}: Request6): Dhcp6Message {
  return {
    type,
    transaction: 0x00ab_cdef,
    options: [
      ...(client === '' ? [] : [{ code: optionCodes6.clientIdentifier, data: Buffer.from(client, 'hex') }]),
      ...(server === undefined ? [] : [{ code: optionCodes6.serverIdentifier, data: server }]),
      ...asks.map(({ id, addresses = [] }) =>
        associationOption(
          { code: optionCodes6.nonTemporary, id },
          [0, 0],
          addresses.map((address) => addressOption6(ip6(address), { preferred: 0, valid: 0 })),
        ),
      ),
      ...options,
    ],
  };
}

/** As a VM sends it. */
export function frame6(message: Dhcp6Message, own = web1.mac, to = 'ff02::1:2'): Buffer {
  const source = { family: 6, value: ip6('fe80::aa') } as const;
  const destination = { family: 6, value: ip6(to) } as const;
  const payload = formatUdp(source, destination, {
    sourcePort: 546,
    destinationPort: 547,
    payload: formatDhcp6(message),
  });
  return formatFrame({
    ...{ ethernetSource: mac(own), ethernetDestination: 0x3333_0001_0002, source, destination },
    ...{ hopLimit: 1, protocol: 17, payload },
  });
}

export function solicitation(own = web1.mac, from = 'fe80::aa', hopLimit = 255): Buffer {
  const source = { family: 6, value: ip6(from) } as const;
  const destination = { family: 6, value: ip6('ff02::2') } as const;
  const payload = Buffer.alloc(8);
  payload[0] = 133;
  payload.writeUInt16BE(transportChecksum(source, destination, 58, payload), 2);
  return formatFrame({
    ...{ ethernetSource: mac(own), ethernetDestination: 0x3333_0000_0002, source, destination },
    ...{ hopLimit, protocol: 58, payload },
  });
}
