/** DHCP for IPv4: what is answered to whom, and that no bytes from outside can do harm. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Dhcp4Message,
  formatDhcp4,
  messageTypes,
  optionCodes,
  parseDhcp4,
} from '../../src/gateway-host/dhcp4/message.ts';
import { parseFrame, parseUdp } from '../../src/gateway-host/frame.ts';
import { Responder } from '../../src/gateway-host/responder.ts';
import { db1, frame4, ip4, mac, network, type Request4, request4, servedWith, web1 } from './arbitrary.ts';

const responder = new Responder(servedWith(), 86_400);

function ask(
  request: Request4,
  { from = '0.0.0.0', key = network.key, sender }: { from?: string; key?: number; sender?: number } = {},
) {
  const outcome = responder.answer(key, frame4(request4(request), from, '255.255.255.255', sender));
  if (outcome.kind === 'silence') return outcome.why;
  const datagram = parseFrame(outcome.frame)!;
  const udp = parseUdp(datagram.payload)!;
  const message = parseDhcp4(udp.payload)!;
  const option = (code: number) => message.options.get(code);
  return {
    datagram,
    udp,
    message,
    type: option(optionCodes.messageType)![0],
    option,
    yours: message.yourAddress,
  };
}

type Answer = Exclude<ReturnType<typeof ask>, string>;

function told(request: Request4, more?: Parameters<typeof ask>[1]): Answer {
  const answer = ask(request, more);
  if (typeof answer === 'string') throw new Error(answer);
  return answer;
}

describe('a discover', () => {
  test('is offered the first address of the port, by the gateway of its tier', () => {
    const { datagram, udp, message, type, option, yours } = told({ type: 'discover' });
    expect(type).toBe(messageTypes.offer);
    expect(yours).toBe(ip4('10.0.1.10'));
    expect(message).toMatchObject({ op: 2, transaction: 0x1234_5678, clientMac: mac(web1.mac), relayAddress: 0 });
    expect(datagram).toMatchObject({ ethernetDestination: mac(web1.mac), source: { value: ip4('10.0.1.1') } });
    expect(datagram.destination.value).toBe(ip4('10.0.1.10'));
    expect([udp.sourcePort, udp.destinationPort]).toEqual([67, 68]);
    expect(option(optionCodes.subnetMask)).toEqual(Buffer.of(255, 255, 255, 0));
    expect(option(optionCodes.router)).toEqual(Buffer.of(10, 0, 1, 1));
    expect(option(optionCodes.domainNameServer)).toEqual(Buffer.of(169, 254, 169, 254));
    expect(option(optionCodes.interfaceMtu)).toEqual(Buffer.of(1458 >> 8, 1458 & 0xff));
    expect(String(option(optionCodes.hostName))).toBe('web1');
    expect(option(optionCodes.classlessStaticRoutes)).toEqual(
      Buffer.of(0, 10, 0, 1, 1, 32, 169, 254, 169, 254, 10, 0, 1, 1, 24, 192, 168, 7, 10, 0, 1, 1),
    );
  });

  test('may wish for another address of the port, and for no other', () => {
    expect(told({ type: 'discover', requested: '10.0.1.11' }).yours).toBe(ip4('10.0.1.11'));
    expect(told({ type: 'discover', requested: '10.0.1.77' }).yours).toBe(ip4('10.0.1.10'));
  });

  test('that can take no unicast is answered by broadcast, to its own MAC', () => {
    const { datagram } = told({ type: 'discover', broadcast: true });
    expect(datagram.destination.value).toBe(0xffff_ffff);
    expect(datagram.ethernetDestination).toBe(mac(web1.mac));
  });

  test('of a tier whose prefix is no octet has its mask', () => {
    const { option, yours } = told({ type: 'discover', mac: db1.mac });
    expect(option(optionCodes.subnetMask)).toEqual(Buffer.of(255, 255, 254, 0));
    expect(yours).toBe(ip4('10.0.3.20'));
  });
});

describe('a request', () => {
  test('that selects, reboots, renews or rebinds is acknowledged', () => {
    for (const request of [
      { requested: '10.0.1.10', server: '10.0.1.1' },
      { requested: '10.0.1.11' },
      { client: '10.0.1.10' },
    ]) {
      const answer = told({ type: 'request', ...request });
      expect(answer.type).toBe(messageTypes.ack);
      expect(answer.yours).toBe(ip4(request.requested ?? request.client ?? ''));
      expect(answer.option(optionCodes.leaseTime)!.readUInt32BE(0)).toBe(86_400);
    }
  });

  test('that renews is answered at its address', () => {
    const { datagram } = told({ type: 'request', client: '10.0.1.10' }, { from: '10.0.1.10' });
    expect(datagram.destination.value).toBe(ip4('10.0.1.10'));
  });

  test("for an address that is not the port's is refused, by broadcast", () => {
    for (const request of [
      { requested: '10.0.1.20', server: '10.0.1.1' },
      { requested: '10.9.9.9' },
      { client: '10.0.3.20' },
    ]) {
      const { type, yours, datagram, option } = told({ type: 'request', ...request });
      expect(type).toBe(messageTypes.nak);
      expect(yours).toBe(0);
      expect(datagram.destination.value).toBe(0xffff_ffff);
      expect(option(optionCodes.leaseTime)).toBeUndefined();
    }
  });

  test('to another server is none of ours', () => {
    expect(ask({ type: 'request', requested: '10.0.1.10', server: '10.0.1.9' })).toMatch(/another server/);
  });
});

test('an inform is answered without a lease', () => {
  const { type, yours, option } = told({ type: 'inform', client: '10.0.1.10' });
  expect([type, yours]).toEqual([messageTypes.ack, 0]);
  expect(option(optionCodes.leaseTime)).toBeUndefined();
  expect(option(optionCodes.domainNameServer)).toBeDefined();
});

test('silence for strangers, relays, replies, and who says to be another', () => {
  expect(ask({ type: 'discover' }, { key: network.key + 1 })).toMatch(/nobody/);
  expect(ask({ type: 'discover', mac: '02:00:00:00:00:99' })).toMatch(/nobody/);
  expect(ask({ type: 'discover', mac: db1.mac }, { sender: mac(web1.mac) })).toMatch(/hardware address/);
  expect(ask({ type: 'discover', relay: '10.0.1.9' })).toMatch(/relayed/);
  expect(ask({ type: 'decline', requested: '10.0.1.10', server: '10.0.1.1' })).toMatch(/declined/);
  expect(ask({ type: 'release', client: '10.0.1.10', server: '10.0.1.1' })).toMatch(/released/);
  expect(ask({ type: 'offer' })).toMatch(/not a type/);
});

test('client identifiers come back as they were sent (RFC 6842)', () => {
  const id = Buffer.from('ff00000001', 'hex');
  expect(told({ type: 'discover', options: [[optionCodes.clientIdentifier, id]] }).option(61)).toEqual(id);
});

test('what does not fit is left out from the end, and nothing is cut', () => {
  const routes = Array.from({ length: 200 }, (_, i) => ({ destination: `172.16.${i}.0/24`, nextHop: '10.0.1.9' }));
  const crowded = new Responder(servedWith([web1], { ...network, routes }), 3_600);
  for (const size of [undefined, 576, 1400]) {
    const options: [number, Buffer][] = size === undefined ? [] : [[57, Buffer.of(size >> 8, size & 0xff)]];
    const outcome = crowded.answer(network.key, frame4(request4({ type: 'discover', options })));
    if (outcome.kind === 'silence') throw new Error(outcome.why);
    expect(outcome.frame.length).toBeLessThanOrEqual(14 + (size ?? 576));
    const { options: got } = parseDhcp4(parseUdp(parseFrame(outcome.frame)!.payload)!.payload)!;
    const list = got.get(optionCodes.classlessStaticRoutes)!;
    // Whole routes, the default one first: 5 octets, then 9, then 8 each.
    expect(list.subarray(0, 5)).toEqual(Buffer.of(0, 10, 0, 1, 1));
    expect((list.length - 5 - 9) % 8).toBe(0);
    expect(list.length).toBeGreaterThan(size === 1400 ? 800 : 150);
    expect(String(got.get(optionCodes.domainName))).toBe('shop.internal');
  }
});

const message: fc.Arbitrary<Dhcp4Message> = fc.record({
  op: fc.constantFrom(1 as const, 2 as const),
  transaction: fc.nat(0xffff_ffff),
  seconds: fc.nat(0xffff),
  broadcast: fc.boolean(),
  clientAddress: fc.nat(0xffff_ffff),
  yourAddress: fc.nat(0xffff_ffff),
  serverAddress: fc.nat(0xffff_ffff),
  relayAddress: fc.nat(0xffff_ffff),
  clientMac: fc.maxSafeNat().map((n) => n % 2 ** 48),
  options: fc
    .array(
      fc.tuple(
        fc.integer({ min: 1, max: 254 }).filter((code) => code !== optionCodes.overload),
        fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
      ),
      { maxLength: 6 },
    )
    .map((entries) => new Map(entries)),
});

test('what is written is read again, long options too (RFC 3396)', () => {
  fc.assert(
    fc.property(message, (m) => {
      const { bytes, leftOut } = formatDhcp4(m, 9_000);
      expect(leftOut).toEqual([]);
      expect(parseDhcp4(bytes)).toEqual(m);
    }),
  );
});

test('options that were moved to file and sname are found (option 52)', () => {
  const { bytes } = formatDhcp4(request4({ type: 'discover', options: [[52, Buffer.of(3)]] }), 9_000);
  Buffer.of(12, 3, 0x61, 0x62, 0x63, 255).copy(bytes, 108);
  Buffer.of(12, 2, 0x64, 0x65, 255).copy(bytes, 44);
  expect(String(parseDhcp4(bytes)!.options.get(12))).toBe('abcde');
});

test('cut short anywhere, or changed anywhere, nothing throws and nobody else is answered', () => {
  const whole = frame4(request4({ type: 'request', requested: '10.0.1.10', server: '10.0.1.1' }));
  for (let length = 0; length < whole.length; length++) {
    const outcome = responder.answer(network.key, whole.subarray(0, length));
    expect(outcome.kind).toBe('silence');
  }
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.uint8Array({ maxLength: 400 }), (at, value, noise) => {
      const changed = Buffer.from(whole);
      changed[at] = value;
      for (const bytes of [changed, Buffer.from(noise), Buffer.concat([whole.subarray(0, at), Buffer.from(noise)])]) {
        const outcome = responder.answer(network.key, bytes);
        if (outcome.kind === 'silence') continue;
        const asked = bytes.readUIntBE(6, 6);
        expect(outcome.frame.readUIntBE(0, 6)).toBe(asked);
      }
    }),
    { numRuns: 2_000 },
  );
});
