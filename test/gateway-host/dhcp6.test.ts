/** DHCPv6 and router advertisements: what is answered to whom, and that no bytes from outside can do harm. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { serverIdentifier } from '../../src/gateway-host/dhcp6/answer.ts';
import {
  formatDhcp6,
  messageTypes6,
  type Option6,
  optionCodes6,
  parseAssociation,
  parseDhcp6,
  parseOptions6,
  statusCodes6,
} from '../../src/gateway-host/dhcp6/message.ts';
import { parseFrame, parseUdp, transportChecksum } from '../../src/gateway-host/frame.ts';
import { Responder } from '../../src/gateway-host/responder.ts';
import { generatedMac } from '../../src/intent/addresses.ts';
import {
  db1,
  frame6,
  ip6,
  mac,
  network,
  type Request6,
  request6,
  servedWith,
  solicitation,
  web1,
} from './arbitrary.ts';

const responder = new Responder(servedWith(), 86_400);
const server = serverIdentifier({ server: generatedMac(network.number) });
const own = ip6('fd00:1::10');

function ask(request: Request6, { from = web1.mac, to = 'ff02::1:2', key = network.key } = {}) {
  const outcome = responder.answer(key, frame6(request6(request), from, to));
  if (outcome.kind === 'silence') return outcome.why;
  const datagram = parseFrame(outcome.frame)!;
  const message = parseDhcp6(parseUdp(datagram.payload)!.payload)!;
  const one = (code: number) => message.options.find((option) => option.code === code)?.data;
  const associations = message.options.map(parseIfAssociation).filter((found) => found !== undefined);
  return { datagram, message, one, associations };
}

type Answer = Exclude<ReturnType<typeof ask>, string>;

function told(request: Request6, more?: Parameters<typeof ask>[1]): Answer {
  const answer = ask(request, more);
  if (typeof answer === 'string') throw new Error(answer);
  return answer;
}

function parseIfAssociation(option: Option6) {
  if (option.code !== optionCodes6.nonTemporary && option.code !== optionCodes6.prefixDelegation) return undefined;
  const inner = parseOptions6(option.data.subarray(12))!;
  return {
    ...parseAssociation(option)!,
    times: [option.data.readUInt32BE(4), option.data.readUInt32BE(8)],
    lifetimes: inner.filter(({ code }) => code === optionCodes6.address).map(({ data }) => data.readUInt32BE(20)),
    status: inner.find(({ code }) => code === optionCodes6.statusCode)?.data.readUInt16BE(0),
  };
}

test("a solicit is told the addresses of the port, by the network's own server", () => {
  const { message, one, associations, datagram } = told({ type: messageTypes6.solicit, asks: [{ id: 7 }] });
  expect(message).toMatchObject({ type: messageTypes6.advertise, transaction: 0xab_cdef });
  expect(one(optionCodes6.serverIdentifier)).toEqual(server);
  expect(String(one(optionCodes6.clientIdentifier)?.toString('hex'))).toBe('0003000102000000000a');
  expect(associations).toMatchObject([{ id: 7, addresses: [own], times: [43_200, 69_120], lifetimes: [86_400] }]);
  expect(datagram).toMatchObject({ ethernetDestination: mac(web1.mac), destination: { value: ip6('fe80::aa') } });
});

test('a rapid commit saves a round', () => {
  const rapid = { code: optionCodes6.rapidCommit, data: Buffer.alloc(0) };
  const { message, one, associations } = told({ type: messageTypes6.solicit, asks: [{ id: 7 }], options: [rapid] });
  expect(message.type).toBe(messageTypes6.reply);
  expect(one(optionCodes6.rapidCommit)).toBeDefined();
  expect(associations[0]!.addresses).toEqual([own]);
});

test("request, renew and rebind are answered, and what is not the port's ends", () => {
  for (const [type, names] of [
    [messageTypes6.request, true],
    [messageTypes6.renew, true],
    [messageTypes6.rebind, false],
  ] as const) {
    const asks = [
      { id: 1, addresses: ['fd00:1::99'] },
      { id: 2, addresses: ['fd00:1::10'] },
    ];
    const { message, associations } = told({ type, asks, ...(names ? { server } : {}) });
    expect(message.type).toBe(messageTypes6.reply);
    expect(associations).toMatchObject([
      { id: 1, addresses: [ip6('fd00:1::99')], lifetimes: [0], status: statusCodes6.noAddresses },
      { id: 2, addresses: [own], lifetimes: [86_400] },
    ]);
  }
});

test("a confirm is answered by whether the addresses are the port's", () => {
  const status = (address: string) =>
    told({ type: messageTypes6.confirm, asks: [{ id: 1, addresses: [address] }] })
      .one(optionCodes6.statusCode)!
      .readUInt16BE(0);
  expect(status('fd00:1::10')).toBe(statusCodes6.success);
  expect(status('fd00:9::10')).toBe(statusCodes6.notOnLink);
  expect(ask({ type: messageTypes6.confirm, asks: [{ id: 1 }] })).toMatch(/nothing to confirm/);
});

test('information without addresses; releases and declines are confirmed', () => {
  const domain = { code: optionCodes6.optionRequest, data: Buffer.of(0, optionCodes6.domainList) };
  const { message, one } = told({ type: messageTypes6.informationRequest, client: '', options: [domain] });
  expect(message.type).toBe(messageTypes6.reply);
  expect(one(optionCodes6.domainList)).toEqual(Buffer.from('\x04shop\x08internal\x00', 'latin1'));
  for (const type of [messageTypes6.release, messageTypes6.decline]) {
    const answer = told({ type, server, asks: [{ id: 1, addresses: ['fd00:1::10'] }] });
    expect(answer.one(optionCodes6.statusCode)!.readUInt16BE(0)).toBe(statusCodes6.success);
  }
});

test('prefixes are not delegated', () => {
  const delegation = { code: optionCodes6.prefixDelegation, data: Buffer.alloc(12) };
  const { associations } = told({ type: messageTypes6.solicit, options: [delegation] });
  expect(associations).toMatchObject([{ status: statusCodes6.noPrefixes, addresses: [] }]);
});

test('who may not ask so is met with silence, or sent to the multicast address (RFC 8415 section 16)', () => {
  const asks = [{ id: 1 }];
  expect(ask({ type: messageTypes6.solicit, asks, server })).toMatch(/names a server/);
  expect(ask({ type: messageTypes6.solicit, asks, client: '' })).toMatch(/no client identifier/);
  expect(ask({ type: messageTypes6.request, asks })).toMatch(/another server/);
  expect(ask({ type: messageTypes6.renew, asks, server: Buffer.from('00030001020000000099', 'hex') })).toMatch(
    /another server/,
  );
  expect(ask({ type: messageTypes6.informationRequest, asks })).toMatch(/identity association/);
  expect(ask({ type: messageTypes6.advertise, asks })).toMatch(/not a type/);
  expect(ask({ type: messageTypes6.relayForward, asks })).toMatch(/malformed/);
  expect(ask({ type: messageTypes6.solicit, asks }, { to: 'fd00:1::1' })).toMatch(/multicast/);
  const { one } = told({ type: messageTypes6.request, asks, server }, { to: 'fd00:1::1' });
  expect(one(optionCodes6.statusCode)!.readUInt16BE(0)).toBe(statusCodes6.useMulticast);
  expect(ask({ type: messageTypes6.solicit, asks }, { key: 1 })).toMatch(/nobody/);
  expect(ask({ type: messageTypes6.solicit, asks }, { from: db1.mac })).toMatch(/no IPv6/);
});

test('a router solicitation is answered: addresses by DHCP, the MTU, the prefix on the link', () => {
  for (const [from, to] of [
    ['fe80::aa', 'fe80::aa'],
    ['::', 'ff02::1'],
  ] as const) {
    const outcome = responder.answer(network.key, solicitation(web1.mac, from));
    if (outcome.kind === 'silence') throw new Error(outcome.why);
    const datagram = parseFrame(outcome.frame)!;
    const { payload, source, destination } = datagram;
    expect(datagram).toMatchObject({ hopLimit: 255, protocol: 58, ethernetDestination: mac(web1.mac) });
    expect(destination.value).toBe(ip6(to));
    expect(transportChecksum(source, destination, 58, payload)).toBe(0);
    expect(payload[0]).toBe(134);
    expect(payload[5]! & 0x80).toBe(0x80);
    expect(payload.readUIntBE(18, 6)).toBe(generatedMac(11));
  }
  expect(responder.advertisement(servedPort())?.length).toBeGreaterThan(100);
  // From beyond the link, or of a tier without IPv6.
  expect(responder.answer(network.key, solicitation(web1.mac, 'fe80::aa', 64)).kind).toBe('silence');
  expect(responder.answer(network.key, solicitation(db1.mac)).kind).toBe('silence');
});

function servedPort() {
  return servedWith().byMac(network.key, mac(web1.mac))!;
}

test('what is written is read again', () => {
  const options = fc.array(
    fc.record({ code: fc.nat(0xffff), data: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) }),
    { maxLength: 8 },
  );
  const message = fc.record({ type: fc.integer({ min: 1, max: 11 }), transaction: fc.nat(0xff_ffff), options });
  fc.assert(
    fc.property(message, (m) => {
      expect(parseDhcp6(formatDhcp6(m))).toEqual(m);
    }),
  );
});

test('cut short anywhere, or changed anywhere, nothing throws and nobody else is answered', () => {
  for (const whole of [
    frame6(request6({ type: messageTypes6.request, server, asks: [{ id: 1, addresses: ['fd00:1::10'] }] })),
    solicitation(),
  ]) {
    for (let length = 0; length < whole.length; length++)
      expect(responder.answer(network.key, whole.subarray(0, length)).kind).toBe('silence');
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.uint8Array({ maxLength: 300 }), (at, value, noise) => {
        const changed = Buffer.from(whole);
        changed[at] = value;
        for (const bytes of [changed, Buffer.concat([whole.subarray(0, at), Buffer.from(noise)])]) {
          const outcome = responder.answer(network.key, bytes);
          if (outcome.kind === 'reply') expect(outcome.frame.readUIntBE(0, 6)).toBe(bytes.readUIntBE(6, 6));
        }
      }),
      { numRuns: 2_000 },
    );
  }
});
