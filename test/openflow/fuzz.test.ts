/** Whatever a switch sends: parsers end, and throw ProtocolError alone. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeActions } from '../../plugins/openvswitch/openflow/actions.ts';
import { ByteWriter } from '../../plugins/openvswitch/openflow/bytes.ts';
import { ProtocolError } from '../../plugins/openvswitch/openflow/errors.ts';
import { Framer, type Message } from '../../plugins/openvswitch/openflow/frame.ts';
import { decodeInstructions } from '../../plugins/openvswitch/openflow/instructions.ts';
import { decodeMatch } from '../../plugins/openvswitch/openflow/match.ts';
import * as messages from '../../plugins/openvswitch/openflow/messages.ts';
import { parsePacketIn } from '../../plugins/openvswitch/openflow/packet-in.ts';
import {
  decodeFlows,
  encodeFlows,
  forEachRecord,
  recordHeaderBytes,
  recordMatchLength,
} from '../../plugins/openvswitch/openflow/record.ts';
import * as replies from '../../plugins/openvswitch/openflow/replies.ts';
import { FlowTextError, formatFlow, parseFlow } from '../../plugins/openvswitch/openflow/text.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { anyFlow } from './arbitrary.ts';

type Damage = { flips: number[]; cut: number; longer: number[] };

const anyDamage: fc.Arbitrary<Damage> = fc.record({
  flips: fc.array(fc.nat(), { maxLength: 4 }),
  cut: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat() }),
  longer: fc.oneof(fc.constant<number[]>([]), fc.array(fc.nat({ max: 255 }), { maxLength: 9 })),
});

function damaged(bytes: Uint8Array, { flips, cut, longer }: Damage): Buffer {
  const kept = cut === 0 ? bytes.length : cut % (bytes.length + 1);
  const result = Buffer.concat([bytes.subarray(0, kept), Buffer.from(longer)]);
  for (const flip of flips) {
    if (result.length === 0) break;
    const bit = flip % (result.length * 8);
    result[bit >> 3]! ^= 1 << (bit & 7);
  }
  return result;
}

function onlyProtocolErrors(read: () => void): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
}

/** A flow description of OpenFlow 1.5 as a switch would send it. */
function describe15(flow: Flow): Buffer {
  const record = encodeFlows([flow]);
  const matchLength = recordMatchLength(record, 0);
  const writer = new ByteWriter();
  writer.u16(0);
  writer.u16(0);
  writer.u8(flow.table);
  writer.u8(0);
  writer.u16(flow.priority);
  writer.zeros(8);
  writer.u64(flow.cookie);
  writer.bytes(record, recordHeaderBytes, recordHeaderBytes + matchLength);
  const stats = writer.length;
  writer.u32(0);
  for (const [field, high, low] of [
    [0, 12, 500_000_000],
    [1, 3, 0],
    [4, 0, 77],
    [5, 1, 2],
  ] as const) {
    writer.u32(0x80020000 | (field << 9) | 8);
    writer.u32(high);
    writer.u32(low);
  }
  writer.setU16(stats + 2, writer.length - stats);
  writer.pad(stats, 8);
  writer.bytes(record, recordHeaderBytes + matchLength);
  writer.setU16(0, writer.length);
  return writer.copy();
}

function update(flow: Flow, event: number): Buffer {
  const record = encodeFlows([flow]);
  const writer = new ByteWriter();
  writer.u16(24 + record.length - recordHeaderBytes);
  writer.u16(event);
  writer.u8(flow.table);
  writer.u8(0);
  writer.zeros(4);
  writer.u16(flow.priority);
  writer.zeros(4);
  writer.u64(flow.cookie);
  writer.bytes(record, recordHeaderBytes);
  return writer.copy();
}

const ports = Buffer.concat(
  ['br-int', 'a name of 16 ch.'].map((name, index) => {
    const port = Buffer.alloc(40 + 8 * index);
    port.writeUInt32BE(index + 1, 0);
    port.writeUInt16BE(port.length, 4);
    port.writeUIntBE(0x020000000001 + index, 8, 6);
    port.write(name, 16);
    return port;
  }),
);
const meters = Buffer.from(
  '0018000500000007000100100000006400000032000000000008000200000008' /* one with a band and burst, one without */,
  'hex',
);
const groups = Buffer.from('00100000000000010000000000000000001803000000004d0008000000000000abcdef0123456789', 'hex');

/** Nicira's, with a frame of 14 bytes, its table, cookie, reason, metadata (reg4) and userdata. */
const packetIn = Buffer.from(
  [
    '000023200000001e',
    '0000001202000000',
    '0001020000000002',
    '1234000000000000',
    '0001000800000040',
    '0003000524000000',
    '0004001000000000',
    '0000000000000009',
    '0005000501000000',
    '0006000c00010804',
    '0000004d00000000',
    '0007000701aabb00',
  ].join(''),
  'hex',
);

describe('parsers under damage', () => {
  const flowParsers: [name: string, sample: (flow: Flow) => Uint8Array, parse: (bytes: Buffer) => void][] = [
    ['records', (flow) => encodeFlows([flow, flow]), decodeFlows],
    ['records, walked', (flow) => encodeFlows([flow, flow]), (bytes) => forEachRecord(bytes, () => {})],
    [
      'match',
      (flow) => {
        const record = encodeFlows([flow]);
        return record.subarray(recordHeaderBytes, recordHeaderBytes + recordMatchLength(record, 0));
      },
      (bytes) => decodeMatch(bytes, 0),
    ],
    [
      'instructions',
      (flow) => {
        const record = encodeFlows([flow]);
        return record.subarray(recordHeaderBytes + recordMatchLength(record, 0));
      },
      (bytes) => decodeInstructions(bytes),
    ],
    [
      'actions',
      (flow) => {
        const record = encodeFlows([flow]);
        return record.subarray(recordHeaderBytes + recordMatchLength(record, 0) + 8);
      },
      (bytes) => decodeActions(bytes),
    ],
    [
      'flow description',
      (flow) => Buffer.concat([describe15(flow), describe15(flow)]),
      (bytes) => replies.parseFlowDescPart(bytes, new ByteWriter(), () => {}),
    ],
    [
      'flow description, decoded',
      (flow) => describe15(flow),
      (bytes) => {
        const target = new ByteWriter();
        replies.parseFlowDescPart(bytes, target, () => {});
        decodeFlows(target.view()).map((flow) => formatFlow(flow));
      },
    ],
    [
      'flow updates',
      (flow) => Buffer.concat([update(flow, 1), Buffer.from('0008000400001234', 'hex'), update(flow, 2)]),
      (bytes) => replies.parseFlowUpdates(bytes, new ByteWriter()),
    ],
  ];

  test.for(flowParsers)('%s', ([, sample, parse]) => {
    fc.assert(
      fc.property(anyFlow, anyDamage, (flow, damage) => {
        onlyProtocolErrors(() => parse(damaged(sample(flow), damage)));
      }),
      { numRuns: 400 },
    );
  });

  const portCounters = Buffer.concat([
    // Length, port, time, packets in and out, bytes in and out: those out are not kept.
    Buffer.from('005000000000000700000002075bcd15000000000000000100000000000000020000000100000003', 'hex'),
    Buffer.alloc(8, 0xff),
    Buffer.alloc(32),
  ]);

  const plainParsers: [name: string, sample: Uint8Array, parse: (bytes: Buffer) => unknown][] = [
    ['hello', messages.hello(1).subarray(8), (body) => replies.parseHello({ version: 6, body })],
    ['error', Buffer.from('0001000606120010000004d20000000000000000', 'hex'), replies.parseError],
    ['experimenter error', Buffer.from('ffff000f0000232006120010000004d2', 'hex'), replies.parseError],
    ['features', Buffer.alloc(24, 5), replies.parseFeatures],
    ['bundle control', Buffer.from('0000000700010003', 'hex'), replies.parseBundleControl],
    ['multipart', Buffer.from('00010001000000001234', 'hex'), replies.parseMultipart],
    [
      'aggregate',
      Buffer.from('0000001c80020604000000078002080800000000000000018002 0a080000000000000002'.replace(' ', ''), 'hex'),
      replies.parseAggregate,
    ],
    ['groups', groups, replies.parseGroupDesc],
    ['meters', meters, replies.parseMeterConfig],
    ['ports', ports, replies.parsePortDesc],
    ['port counters', portCounters, replies.parsePortStats],
    ['packet-in', packetIn, parsePacketIn],
    ['port status', Buffer.concat([Buffer.alloc(8), ports.subarray(0, 40)]), replies.parsePortStatus],
  ];

  test.for(plainParsers)('%s', ([, sample, parse]) => {
    for (let length = 0; length <= sample.length; length++) {
      onlyProtocolErrors(() => void parse(Buffer.from(sample.subarray(0, length))));
    }
    for (let bit = 0; bit < sample.length * 8; bit++) {
      onlyProtocolErrors(() => void parse(damaged(sample, { flips: [bit], cut: 0, longer: [] })));
    }
    fc.assert(
      fc.property(anyDamage, fc.uint8Array({ maxLength: 80 }), (damage, noise) => {
        onlyProtocolErrors(() => void parse(damaged(sample, damage)));
        onlyProtocolErrors(() => void parse(Buffer.from(noise)));
      }),
    );
  });

  test('the samples are whole: undamaged they parse to what they say', () => {
    const flow: Flow = {
      table: 3,
      priority: 9,
      cookie: 5n,
      match: { reg0: 7 },
      actions: [{ type: 'output', port: 2 }],
    };
    const target = new ByteWriter();
    replies.parseFlowDescPart(describe15(flow), target, (offset, length, stats) => {
      expect([offset, length]).toEqual([0, target.length]);
      expect(stats).toEqual({ duration: 12.5, idle: 3, packets: 77, bytes: 0x100000002 });
    });
    expect(decodeFlows(target.view())).toEqual([flow]);
    expect(replies.parseMeterConfig(meters)).toEqual([
      { meter: 7, unit: 'kbps', rate: 100, burst: 50 },
      { meter: 8, unit: 'pktps' },
    ]);
    expect(parsePacketIn(packetIn)).toEqual({
      bytes: Buffer.from('0200000000010200000000021234', 'hex'),
      length: 64,
      table: 36,
      cookie: 9n,
      reason: 'action',
      fields: { reg4: 77 },
      userdata: Buffer.from('01aabb', 'hex'),
    });
    expect(replies.parseGroupDesc(groups)).toEqual([1, 77]);
    expect(replies.parsePortDesc(ports).map(({ port, name }) => [port, name])).toEqual([
      [1, 'br-int'],
      [2, 'a name of 16 ch.'],
    ]);
    expect(replies.parsePortStats(portCounters)).toMatchObject([
      { port: 7, received: { packets: 1, bytes: 0x100000003 }, sent: { packets: 2, bytes: 0 } },
    ]);
    expect(replies.parseHello({ version: 6, body: messages.hello(1).subarray(8) }).versions).toEqual([6]);
    expect(replies.parseHello({ version: 4, body: Buffer.alloc(0) }).versions).toEqual([1, 2, 3, 4]);
    expect(replies.parseError(Buffer.from('ffff000f0000232006120010000004d2', 'hex'))).toMatchObject({
      name: 'NXBAC_BAD_CONJUNCTION',
      refusedXid: 1234,
    });
  });

  test('clones within clones do not exhaust the stack', () => {
    const count = 4_000;
    const bytes = Buffer.alloc(count * 16);
    for (let i = 0; i < count; i++) {
      bytes.writeUInt16BE(0xffff, i * 16);
      bytes.writeUInt16BE((count - i) * 16, i * 16 + 2);
      bytes.writeUInt32BE(0x2320, i * 16 + 4);
      bytes.writeUInt16BE(42, i * 16 + 8);
    }
    expect(() => decodeActions(bytes)).toThrow(/within more than 16/);
    expect(decodeActions(bytes.subarray((count - 2) * 16))).toEqual([
      { type: 'clone', actions: [{ type: 'clone', actions: [] }] },
    ]);
  });

  test('nested conntrack actions of a whole message do not exhaust the stack', () => {
    const count = 2700;
    const bytes = Buffer.alloc(24 * count);
    for (let level = 0; level < count; level++) {
      const at = level * 24;
      bytes.writeUInt16BE(0xffff, at);
      bytes.writeUInt16BE(bytes.length - at, at + 2);
      bytes.writeUInt32BE(0x2320, at + 4);
      bytes.writeUInt16BE(35, at + 8);
    }
    expect(() => decodeActions(bytes)).toThrow(ProtocolError);
  });
});

describe('framing', () => {
  const anyMessages = fc.array(
    fc.record({
      type: fc.constantFrom(1, 2, 3, 6, 12, 19, 21, 33),
      xid: fc.nat({ max: 0xffffffff }),
      body: fc.uint8Array({ maxLength: 300 }),
    }),
    { maxLength: 12 },
  );

  function frame(version: number, type: number, xid: number, body: Uint8Array): Buffer {
    const head = Buffer.alloc(8);
    head[0] = version;
    head[1] = type;
    head.writeUInt16BE(8 + body.length, 2);
    head.writeUInt32BE(xid, 4);
    return Buffer.concat([head, body]);
  }

  test('any cut of a stream gives the same messages', () => {
    fc.assert(
      fc.property(anyMessages, fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 30 }), (sent, cuts) => {
        const stream = Buffer.concat([
          frame(4, 0, 1, new Uint8Array(0)),
          ...sent.map(({ type, xid, body }) => frame(6, type, xid, body)),
        ]);
        const framer = new Framer();
        const got: Message[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const size = Math.max(1, cuts[turn % cuts.length]!);
          got.push(...framer.push(new Uint8Array(stream.subarray(at, at + size))));
          at += size;
        }
        expect(got.slice(1).map(({ type, xid, body }) => ({ type, xid, body: new Uint8Array(body) }))).toEqual(
          sent.map(({ type, xid, body }) => ({ type, xid, body: new Uint8Array(body) })),
        );
      }),
    );
  });

  test('noise never hangs and throws ProtocolError alone, again and again', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 10 }), (chunks) => {
        const framer = new Framer();
        let failed = false;
        for (const chunk of chunks) {
          try {
            framer.push(chunk);
            expect(failed).toBe(false);
          } catch (error) {
            if (!(error instanceof ProtocolError)) throw error;
            failed = true;
          }
        }
      }),
    );
  });

  const hello = frame(6, 0, 1, new Uint8Array(0));
  const refused: [what: string, stream: Buffer[], why: RegExp][] = [
    ['a length below 8', [Buffer.from('0600000700000001', 'hex')], /7 bytes/],
    ['a message before HELLO', [frame(6, 2, 1, new Uint8Array(0))], /before HELLO/],
    ['another version after HELLO', [hello, frame(4, 2, 1, new Uint8Array(0))], /version 0x4/],
    ['an unknown type', [hello, frame(6, 99, 1, new Uint8Array(0))], /type 99/],
    ['HTTP', [Buffer.from('GET / HTTP/1.1\r\n\r\n')], /type 69/],
    ['version 0', [frame(0, 0, 1, new Uint8Array(0))], /version 0/],
  ];
  test.for(refused)('%s is refused', ([, stream, why]) => {
    const framer = new Framer();
    expect(() => stream.flatMap((chunk) => framer.push(chunk))).toThrow(why);
    expect(() => framer.push(hello)).toThrow(ProtocolError);
  });

  test('a message longer than the limit is refused by its header alone', () => {
    const framer = new Framer({ maxMessage: 1000 });
    framer.push(hello);
    expect(() => framer.push(frame(6, 19, 1, new Uint8Array(1000)).subarray(0, 8))).toThrow(/1008 bytes, at most 1000/);
  });

  test('a large stream in one-byte pieces takes time in proportion', () => {
    const big = frame(6, 19, 1, new Uint8Array(60_000));
    const framer = new Framer();
    framer.push(hello);
    const started = performance.now();
    let count = 0;
    for (let round = 0; round < 5; round++) {
      for (let at = 0; at < big.length; at++) count += framer.push(big.subarray(at, at + 1)).length;
    }
    expect(count).toBe(5);
    // Quadratic copying would be 9 GB of it.
    expect(performance.now() - started).toBeLessThan(3000);
  });

  test('what one push returned is not changed by the next', () => {
    const framer = new Framer();
    const first = frame(6, 2, 7, Buffer.from('kept'));
    framer.push(hello);
    framer.push(first.subarray(0, 10));
    const [message] = framer.push(first.subarray(10));
    framer.push(frame(6, 2, 8, Buffer.from('next')).subarray(0, 10));
    expect(message!.body.toString()).toBe('kept');
  });
});

describe('text under damage', () => {
  test('throws FlowTextError alone, with a place', () => {
    const anyEdit = fc.record({ at: fc.nat(), drop: fc.nat({ max: 3 }), insert: fc.string({ maxLength: 3 }) });
    fc.assert(
      fc.property(anyFlow, fc.array(anyEdit, { minLength: 1, maxLength: 3 }), (flow, edits) => {
        let text = formatFlow(flow);
        for (const { at, drop, insert } of edits) {
          const from = at % (text.length + 1);
          text = text.slice(0, from) + insert + text.slice(from + drop);
        }
        try {
          parseFlow(text);
        } catch (error) {
          if (!(error instanceof FlowTextError)) throw error;
          expect(error.column).toBeGreaterThan(0);
        }
      }),
      { numRuns: 500 },
    );
  });
});
