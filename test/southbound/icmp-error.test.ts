/** ICMP errors as frames; tcpdump, which checks every checksum, is the judge. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { icmpErrorFor } from '../../plugins/openvswitch/packet/icmp-error.ts';
import { type IcmpErrorKind, icmpErrorUserdata, parseIcmpErrorUserdata } from '../../src/pipeline/packet-in.ts';
import type { Ip } from '../../src/pipeline/stages/ports.ts';
import { pcap } from '../../src/sandbox/decode.ts';
import { openVswitchOrSkip, run } from '../support/open-vswitch.ts';

const kinds: IcmpErrorKind[] = ['timeExceeded', 'netUnreachable', 'hostUnreachable', 'prohibited', 'tooBig'];
const gateway4: Ip = { family: 4, value: 0x0a000001 };
const gateway6: Ip = { family: 6, value: 0xfd00_0000_0000_0000_0000_0000_0000_0001n };

const vm = '020000000002';
const router = '020000000001';

function frame4(protocol: number, payload: Buffer, { from = 0x0a000005, to = 0x0a010007, offset = 0 } = {}): Buffer {
  const bytes = Buffer.alloc(34);
  bytes.write(`${router}${vm}0800`, 'hex');
  bytes[14] = 0x45;
  bytes.writeUInt16BE(20 + payload.length, 16);
  bytes.writeUInt16BE(offset, 20);
  bytes[22] = 1;
  bytes[23] = protocol;
  bytes.writeUInt32BE(from, 26);
  bytes.writeUInt32BE(to >>> 0, 30);
  return Buffer.concat([bytes, payload]);
}

const host6 = Buffer.from('fd000000000000000000000000000005', 'hex');
const other6 = Buffer.from('fd000000000000010000000000000007', 'hex');

function frame6(next: number, payload: Buffer, { from = host6, to = other6 } = {}): Buffer {
  const head = Buffer.alloc(22);
  head.write(`${router}${vm}86dd`, 'hex');
  head[14] = 0x60;
  head.writeUInt16BE(payload.length, 18);
  head[20] = next;
  head[21] = 1;
  return Buffer.concat([head, from, to, payload]);
}

async function told(programs: Record<string, string>, env: NodeJS.ProcessEnv, frames: Buffer[]): Promise<string[]> {
  const user = process.getuid?.() === 0 ? ['-Z', 'root'] : [];
  const file = pcap(frames.map((frame) => ({ at: 0, hex: frame.toString('hex') })));
  const text = await run(programs.tcpdump ?? 'tcpdump', [...user, '-n', '-e', '-vv', '-t', '-r', '-'], {
    env,
    input: file,
  });
  // What belongs to a packet but its first line is indented; the packet it is about follows its own line.
  return text
    .split(/\n(?=\S)/)
    .map((packet) => packet.trim())
    .filter((packet) => packet !== '');
}

test('what a flow says comes back', () => {
  const ip = fc.oneof(
    fc.nat({ max: 0xffffffff }).map((value): Ip => ({ family: 4, value })),
    fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).map((value): Ip => ({ family: 6, value })),
  );
  const order = fc.record({ kind: fc.constantFrom(...kinds), gateway: ip, mtu: fc.nat({ max: 0xffff }) });
  fc.assert(
    fc.property(order, (one) => {
      expect(parseIcmpErrorUserdata(icmpErrorUserdata(one))).toEqual(one);
    }),
  );
  expect(parseIcmpErrorUserdata(new Uint8Array([1, 0, 0, 0, 10, 0, 0]))).toBeUndefined();
  expect(parseIcmpErrorUserdata(new Uint8Array())).toBeUndefined();
});

test('each error, as tcpdump reads it', async (context) => {
  const { programs, env } = await openVswitchOrSkip(context);
  const udp = Buffer.from('9c4082350010000068656c6c6f212121', 'hex');
  const frames = kinds.flatMap((kind) => [
    icmpErrorFor(frame4(17, udp), { kind, gateway: gateway4, mtu: 1400 })!,
    icmpErrorFor(frame6(17, udp), { kind, gateway: gateway6, mtu: 1400 })!,
  ]);
  const lines = await told(programs as Record<string, string>, env, frames);
  const wanted = [
    '10.0.0.1 > 10.0.0.5: ICMP time exceeded in-transit, length 44',
    '[icmp6 sum ok] ICMP6, time exceeded in-transit for fd00:0:0:1::7',
    '10.0.0.1 > 10.0.0.5: ICMP net 10.1.0.7 unreachable, length 44',
    '[icmp6 sum ok] ICMP6, destination unreachable, unreachable route fd00:0:0:1::7',
    '10.0.0.1 > 10.0.0.5: ICMP host 10.1.0.7 unreachable, length 44',
    '[icmp6 sum ok] ICMP6, destination unreachable, unreachable address fd00:0:0:1::7',
    '10.0.0.1 > 10.0.0.5: ICMP host 10.1.0.7 unreachable - admin prohibited filter, length 44',
    '[icmp6 sum ok] ICMP6, destination unreachable,  unreachable prohibited fd00:0:0:1::7',
    '10.0.0.1 > 10.0.0.5: ICMP 10.1.0.7 unreachable - need to frag (mtu 1400), length 44',
    '[icmp6 sum ok] ICMP6, packet too big, mtu 1400',
  ];
  expect(lines).toHaveLength(wanted.length);
  for (const [index, text] of wanted.entries()) {
    expect(lines[index]).toContain(text);
    expect(lines[index]).toMatch(/^02:00:00:00:00:01 > 02:00:00:00:00:02/);
    // The packet it is about is as we made it, without a header checksum.
    expect(lines[index]!.split('\n').slice(0, 2).join(' ')).not.toMatch(/bad cksum|wrong/);
  }
});

describe('of what no error is sent', () => {
  const icmp = (type: number): Buffer => Buffer.from([type, 0, 0, 0, 0, 0, 0, 0]);
  const order4 = { kind: 'timeExceeded', gateway: gateway4, mtu: 0 } as const;
  const order6 = { kind: 'timeExceeded', gateway: gateway6, mtu: 0 } as const;
  const data = Buffer.alloc(8);
  const cases: [what: string, frame: Buffer, sent: boolean][] = [
    ['an echo request', frame4(1, icmp(8)), true],
    ['an ICMP error', frame4(1, icmp(11)), false],
    ['an ICMP redirect', frame4(1, icmp(5)), false],
    ['a later fragment', frame4(17, data, { offset: 100 }), false],
    ['a first fragment', frame4(17, data, { offset: 0x2000 }), true],
    ['a packet to a multicast address', frame4(17, data, { to: 0xe0000001 }), false],
    ['a packet to everybody', frame4(17, data, { to: 0xffffffff }), false],
    ['a packet from nobody', frame4(17, data, { from: 0 }), false],
    ['an echo request over IPv6', frame6(58, icmp(128)), true],
    ['an ICMPv6 error', frame6(58, icmp(1)), false],
    ['an ICMPv6 redirect', frame6(58, icmp(137)), false],
    ['an ICMPv6 error behind hop-by-hop options', frame6(0, Buffer.from([58, 0, 1, 4, 0, 0, 0, 0, ...icmp(3)])), false],
    [
      'an echo request behind hop-by-hop options',
      frame6(0, Buffer.from([58, 0, 1, 4, 0, 0, 0, 0, ...icmp(128)])),
      true,
    ],
    ['a later fragment over IPv6', frame6(44, Buffer.from([17, 0, 0, 0x58, 0, 0, 0, 1, ...data])), false],
    ['a packet from the unspecified address', frame6(17, data, { from: Buffer.alloc(16) }), false],
    ['a packet to an IPv6 group', frame6(17, data, { to: Buffer.from(`ff02${'00'.repeat(13)}01`, 'hex') }), false],
    ['ARP', Buffer.from(`${router}${vm}0806${'00'.repeat(28)}`, 'hex'), false],
    ['a frame cut short', frame4(17, data).subarray(0, 30), false],
  ];
  test.for(cases)('%s', ([, frame, sent]) => {
    expect([order4, order6].some((order) => icmpErrorFor(frame, order) !== undefined)).toBe(sent);
  });

  test('a frame to a group of stations', () => {
    const frame = frame4(17, data);
    frame[0] = 0x01;
    expect(icmpErrorFor(frame, order4)).toBeUndefined();
  });
});

test('errors stay within their size and are valid whatever they are about', async (context) => {
  const { programs, env } = await openVswitchOrSkip(context);
  const payload = fc.uint8Array({ minLength: 0, maxLength: 1600 }).map((bytes) => Buffer.from(bytes));
  const frame = fc.oneof(
    fc.tuple(fc.nat({ max: 255 }), payload).map(([protocol, data]) => frame4(protocol, data)),
    fc.tuple(fc.nat({ max: 255 }), payload).map(([next, data]) => frame6(next, data)),
    payload,
  );
  const errors: Buffer[] = [];
  for (const one of fc.sample(frame, 400)) {
    for (const gateway of [gateway4, gateway6]) {
      const error = icmpErrorFor(one, { kind: 'tooBig', gateway, mtu: 1300 });
      if (error === undefined) continue;
      expect(error.length).toBeLessThanOrEqual(14 + (gateway.family === 4 ? 576 : 1280));
      errors.push(error);
    }
  }
  expect(errors.length).toBeGreaterThan(100);
  const lines = await told(programs as Record<string, string>, env, errors);
  expect(lines).toHaveLength(errors.length);
  for (const line of lines) {
    const own = line.split('\n').slice(0, 2).join(' ');
    expect(own).toMatch(/icmp6 sum ok|ICMP 10\.1\.0\.7 unreachable - need to frag \(mtu 1300\)/);
    expect(own).not.toMatch(/bad cksum|wrong icmp/);
  }
});
