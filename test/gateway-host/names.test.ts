/** Names: what is known, what is asked of others, and that nobody hears more than is theirs. */
import { createSocket, type Socket } from 'node:dgram';
import { type DecodedPacket, decode, encode, type Packet, type Question } from 'dns-packet';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { Forwarder, mayBeAsked, type Upstream } from '../../src/gateway-host/dns/forwarder.ts';
import { nameservers } from '../../src/gateway-host/dns/host-resolvers.ts';
import { reverseName, reverseOf } from '../../src/gateway-host/dns/names.ts';
import { Resolver } from '../../src/gateway-host/dns/resolver.ts';
import type { Port } from '../../src/gateway-host/served.ts';
import { db1, mac, network, servedWith, web1 } from './arbitrary.ts';

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

/** Somebody else's resolver on loopback. */
async function upstream(answer: (query: DecodedPacket, bytes: Buffer) => Buffer[]): Promise<Upstream> {
  const socket = createSocket('udp4');
  sockets.push(socket);
  socket.on('message', (bytes, { port, address }) => {
    for (const reply of answer(decode(bytes), bytes)) socket.send(reply, port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return { address: '127.0.0.1', port: socket.address().port };
}

function resolverWith(upstreams: Upstream[], patience = 300): Resolver {
  return new Resolver({
    forwarder: new Forwarder({ patience, limitOfOne: 4 }),
    hostResolvers: () => upstreams,
    ownAddresses: () => new Set(['192.0.2.7']),
  });
}

function portOf(ports = [web1, db1], told = network): Port {
  return servedWith(ports, told).byMac(told.key, mac(web1.mac))!;
}

async function ask(
  resolver: Resolver,
  question: Partial<Question>,
  more: Partial<Packet> = {},
  over: 'udp' | 'tcp' = 'udp',
  port = portOf(),
) {
  const query = encode({
    type: 'query',
    id: 4711,
    flags: 0x100,
    questions: [{ type: 'A', class: 'IN', name: 'web1.shop.internal', ...question }],
    ...more,
  });
  const bytes = await resolver.answer(port, query, over);
  const answer = bytes && (decode(bytes) as DecodedPacket & { rcode: string });
  return {
    id: answer?.id,
    code: answer?.rcode,
    authoritative: answer?.flag_aa,
    truncated: answer?.flag_tc,
    answers: answer?.answers?.map((a) => ('data' in a ? `${a.type} ${String(a.data)}` : a.type)),
    authorities: answer?.authorities?.map(({ type }) => type),
    answer,
    bytes,
  };
}

const nobody = resolverWith([]);

test('names of ports, in either case and both versions, and back', async () => {
  expect(await ask(nobody, { name: 'WEB1.Shop.Internal' })).toMatchObject({
    ...{ id: 4711, code: 'NOERROR', authoritative: true, answers: ['A 10.0.1.10', 'A 10.0.1.11'] },
  });
  expect((await ask(nobody, { type: 'AAAA' })).answers).toEqual(['AAAA fd00:1::10']);
  for (const ip of ['10.0.1.11', 'fd00:1::10']) {
    const name = reverseOf(portOf().ips[ip.includes(':') ? 2 : 1]!);
    expect((await ask(nobody, { type: 'PTR', name })).answers).toEqual(['PTR web1.shop.internal']);
  }
  expect((await ask(nobody, { name: 'data-server.shop.internal' })).answers).toEqual(['A 169.254.169.254']);
});

test('what there is nothing of says so, and for how long', async () => {
  expect(await ask(nobody, { type: 'MX' })).toMatchObject({ code: 'NOERROR', answers: [], authorities: ['SOA'] });
  expect(await ask(nobody, { name: 'other.shop.internal' })).toMatchObject({ code: 'NXDOMAIN', authorities: ['SOA'] });
  // An address of the network that nobody has is nobody else's to be asked for.
  expect(await ask(nobody, { type: 'PTR', name: '99.1.0.10.in-addr.arpa' })).toMatchObject({ code: 'NXDOMAIN' });
});

test('what no resolver should be asked is refused', async () => {
  expect((await ask(nobody, { type: 'AXFR', name: 'shop.internal' })).code).toBe('REFUSED');
  expect((await ask(nobody, { class: 'CH', name: 'version.bind', type: 'TXT' })).code).toBe('REFUSED');
  expect((await ask(nobody, { name: 'example.net' }, { flags: 0 })).code).toBe('REFUSED');
  expect((await ask(nobody, {}, { flags: 0x100 | (2 << 11) })).code).toBe('NOTIMP');
  expect((await ask(nobody, { name: 'example.net' })).code).toBe('SERVFAIL');
});

test('other names are asked of others, the next one where the first is silent', async () => {
  const silent = await upstream(() => []);
  const real = await upstream((query) => [
    encode({
      type: 'response',
      id: query.id!,
      flags: 0x8180,
      questions: query.questions!,
      answers: [{ type: 'A', name: 'example.net', data: '198.51.100.1', ttl: 5 }],
    }),
  ]);
  expect(await ask(resolverWith([silent, real]), { name: 'example.net' })).toMatchObject({
    id: 4711,
    code: 'NOERROR',
    answers: ['A 198.51.100.1'],
  });
});

test('a resolver to which there is no way is as good as silent', async () => {
  const real = await upstream((query) => [
    encode({ type: 'response', id: query.id!, flags: 0x8180, questions: query.questions!, answers: [] }),
  ]);
  // Whoever did not ask to broadcast may not.
  const nowhere = { address: '255.255.255.255', port: 53 };
  for (const over of ['udp', 'tcp'] as const)
    expect((await ask(resolverWith([nowhere]), { name: 'example.net' }, {}, over)).code).toBe('SERVFAIL');
  expect((await ask(resolverWith([nowhere, real]), { name: 'example.net' })).code).toBe('NOERROR');
});

test('answers to something else are not taken', async () => {
  const liar = await upstream((query) =>
    [
      { id: (query.id! + 1) & 0xffff, questions: query.questions! },
      { id: query.id!, questions: [{ type: 'A' as const, name: 'evil.net' }] },
    ].map((reply) =>
      encode({
        type: 'response',
        flags: 0x8180,
        answers: [{ type: 'A', name: 'evil.net', data: '6.6.6.6' }],
        ...reply,
      }),
    ),
  );
  expect((await ask(resolverWith([liar], 150), { name: 'example.net' })).code).toBe('SERVFAIL');
});

test('one port cannot have more under way than its share', async () => {
  const silent = await upstream(() => []);
  const resolver = resolverWith([silent], 200);
  const port = portOf();
  const started = performance.now();
  const all = await Promise.all(
    Array.from({ length: 10 }, () => ask(resolver, { name: 'example.net' }, {}, 'udp', port)),
  );
  expect(all.every(({ code }) => code === 'SERVFAIL')).toBe(true);
  expect(performance.now() - started).toBeLessThan(2_000);
});

test("a network's own resolvers are asked, but nothing of the host or of nobody", async () => {
  const own = new Set(['192.0.2.7']);
  expect(
    ['192.0.2.7', '127.0.0.1', '169.254.169.254', '0.0.0.0', '224.0.0.1', '255.255.255.255', 'fe80::1', 'x'].filter(
      (a) => mayBeAsked(a, own),
    ),
  ).toEqual([]);
  expect(mayBeAsked('192.0.2.8', own)).toBe(true);
  const listening = await upstream(() => {
    throw new Error('asked');
  });
  const port = portOf([web1], { ...network, dnsServers: ['127.0.0.1', '192.0.2.7'] });
  expect((await ask(resolverWith([listening]), { name: 'example.net' }, {}, 'udp', port)).code).toBe('SERVFAIL');
});

test('what does not fit a datagram is to be asked for over TCP', async () => {
  const many = Array.from({ length: 60 }, (_, i) => ({
    ...db1,
    number: 200 + i,
    uid: `u${i}`,
    mac: `02:00:00:00:01:${i.toString(16).padStart(2, '0')}`,
    ips: [`10.0.2.${i + 10}`],
    hostname: 'many',
  }));
  const port = portOf([web1, ...many]);
  const name = 'many.shop.internal';
  expect(await ask(nobody, { name }, {}, 'udp', port)).toMatchObject({ truncated: true, answers: [] });
  expect((await ask(nobody, { name }, {}, 'tcp', port)).answers).toHaveLength(60);
  const opt = {
    type: 'OPT' as const,
    name: '.' as const,
    udpPayloadSize: 4_096,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
  const { answer, bytes } = await ask(nobody, { name }, { additionals: [opt] }, 'udp', port);
  expect(answer?.additionals?.map(({ type }) => type)).toEqual(['OPT']);
  expect(bytes!.length).toBeLessThanOrEqual(1_232);
});

test('reverse names are the inverse of addresses', () => {
  const ip = fc.oneof(
    fc.nat(0xffff_ffff).map((value) => ({ family: 4 as const, value })),
    fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ({ family: 6 as const, value })),
  );
  fc.assert(
    fc.property(ip, (address) => {
      expect(reverseName(reverseOf(address))).toEqual(address);
    }),
  );
});

test('no bytes from outside make it throw, and an answer is never answered', async () => {
  const port = portOf();
  const whole = encode({ type: 'query', id: 1, flags: 0x100, questions: [{ type: 'A', name: 'web1.shop.internal' }] });
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length), fc.uint8Array({ maxLength: 80 }), async (at, noise) => {
      for (const bytes of [Buffer.from(noise), whole.subarray(0, at), Buffer.concat([whole.subarray(0, at), noise])]) {
        const answer = await nobody.answer(port, Buffer.from(bytes), 'udp');
        if (answer === undefined) continue;
        expect(bytes[2]! >> 7).toBe(0);
        expect(answer[2]! >> 7).toBe(1);
        expect(answer.readUInt16BE(0)).toBe(Buffer.from(bytes).readUInt16BE(0));
      }
    }),
    { numRuns: 1_000 },
  );
});

test('resolv.conf', () => {
  expect(
    nameservers('# x\nnameserver 192.0.2.1\n nameserver fe80::1%eth0\nnameserver nonsense\noptions edns0\n'),
  ).toEqual([
    { address: '192.0.2.1', port: 53 },
    { address: 'fe80::1', port: 53 },
  ]);
});
