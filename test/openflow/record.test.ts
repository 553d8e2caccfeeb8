/** Records without a switch: round trips, canonical form, comparison, hashing, and what is refused before it is sent. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../plugins/openvswitch/openflow/bytes.ts';
import { ProtocolError, VocabularyError } from '../../plugins/openvswitch/openflow/errors.ts';
import { decodeMatch, encodeMatch } from '../../plugins/openvswitch/openflow/match.ts';
import { bundleAddFlow } from '../../plugins/openvswitch/openflow/messages.ts';
import {
  decodeFlow,
  decodeFlows,
  encodeFlow,
  encodeFlows,
  forEachRecord,
  maxRecordBytes,
  recordCookie,
  recordKeyHash,
  recordLength,
  recordPriority,
  recordTable,
  sameKey,
  sameRecord,
} from '../../plugins/openvswitch/openflow/record.ts';
import { parseMeterConfig } from '../../plugins/openvswitch/openflow/replies.ts';
import { formatFlow, parseFlow } from '../../plugins/openvswitch/openflow/text.ts';
import { type Action, type Flow, type Match, reservedPort } from '../../src/pipeline/flow.ts';
import { anyFlow, anyMatch } from './arbitrary.ts';

const plain: Flow = { table: 0, priority: 1, cookie: 0n, match: {}, actions: [] };

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function matchBytes(match: Match): string {
  const target = new ByteWriter();
  encodeMatch(target, match);
  return hex(target.view());
}

describe('records', () => {
  test('encode, decode, encode: the same bytes, and the second decoding the same flows', () => {
    fc.assert(
      fc.property(fc.array(anyFlow, { maxLength: 8 }), (flows) => {
        const bytes = encodeFlows(flows);
        const decoded = decodeFlows(bytes);
        expect(hex(encodeFlows(decoded))).toBe(hex(bytes));
        expect(decodeFlows(encodeFlows(decoded))).toEqual(decoded);
        expect(bytes.length % 8).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('accessors, offsets and appending agree with the flows', () => {
    fc.assert(
      fc.property(fc.array(anyFlow, { minLength: 1, maxLength: 5 }), (flows) => {
        const bytes = encodeFlows(flows);
        const target = new ByteWriter(64);
        const lengths = flows.map((flow) => encodeFlow(target, flow));
        expect(hex(target.view())).toBe(hex(bytes));
        const seen: number[] = [];
        forEachRecord(bytes, (offset, length) => {
          const flow = flows[seen.length]!;
          expect(recordLength(bytes, offset)).toBe(length);
          expect(recordTable(bytes, offset)).toBe(flow.table);
          expect(recordPriority(bytes, offset)).toBe(flow.priority);
          expect(recordCookie(bytes, offset)).toBe(flow.cookie);
          expect(decodeFlow(bytes, offset)).toEqual(decodeFlows(bytes)[seen.length]);
          seen.push(length);
        });
        expect(seen).toEqual(lengths);
      }),
      { numRuns: 50 },
    );
  });

  test('text and back is the same record', () => {
    fc.assert(
      fc.property(anyFlow, (flow) => {
        // ovs-ofctl has one word for two masks of ip_frag.
        fc.pre(typeof flow.match.ip_frag !== 'object' || flow.match.ip_frag.value === 1);
        expect(hex(encodeFlows([parseFlow(formatFlow(flow))]))).toBe(hex(encodeFlows([flow])));
      }),
      { numRuns: 500 },
    );
  });

  test('the order of keys, an all-ones mask, a zero mask and bits outside the mask make no difference', () => {
    fc.assert(
      fc.property(anyMatch, (match) => {
        const bytes = matchBytes(match);
        const reversed = Object.fromEntries(Object.entries(match).reverse()) as Match;
        expect(matchBytes(reversed)).toBe(bytes);
        const { match: decoded, length } = decodeMatch(Buffer.from(bytes, 'hex'), 0);
        expect(length).toBe(bytes.length / 2);
        expect(matchBytes(decoded)).toBe(bytes);
      }),
    );
    const exact = matchBytes({ reg1: 5, metadata: 7n });
    expect(
      matchBytes({ reg1: { value: 5, mask: 0xffffffff }, metadata: { value: 7, mask: 0xffffffffffffffffn } }),
    ).toBe(exact);
    expect(matchBytes({ reg1: 5n, metadata: 7, tun_id: { value: 9, mask: 0 }, pkt_mark: { value: 3, mask: 0 } })).toBe(
      exact,
    );
    expect(matchBytes({ ipv4_src: { value: 0x0a0000ff, mask: 0xffffff00 }, eth_type: 0x0800 })).toBe(
      matchBytes({ eth_type: 0x0800, ipv4_src: { value: 0x0a000000, mask: 0xffffff00 } }),
    );
    expect(decodeMatch(Buffer.from(matchBytes({ reg3: { value: 1, mask: 3 } }), 'hex'), 0).match).toEqual({
      reg3: { value: 1, mask: 3 },
    });
  });

  test('same key: table, priority and match, and nothing else', () => {
    const variants = fc.constantFrom<Partial<Flow>>(
      {},
      { cookie: 99n },
      { actions: [{ type: 'output', port: 42 }] },
      { goto: 253 },
    );
    fc.assert(
      fc.property(anyFlow, variants, variants, (flow, one, two) => {
        const clauseless = { ...flow, actions: [], goto: undefined };
        const a = encodeFlows([plain, { ...clauseless, ...one }]);
        const b = encodeFlows([{ ...clauseless, ...two }]);
        const at = recordLength(a, 0);
        expect(sameKey(a, at, b, 0)).toBe(true);
        expect(recordKeyHash(a, at)).toBe(recordKeyHash(b, 0));
        const sameInside = hex(a.subarray(at)) === hex(b);
        expect(sameRecord(a, at, b, 0)).toBe(sameInside);
        const elsewhere: Flow[] = [
          { ...clauseless, priority: flow.priority ^ 1 },
          { ...clauseless, table: flow.table ^ 1 },
        ];
        if (flow.match.reg7 === undefined) elsewhere.push({ ...clauseless, match: { ...flow.match, reg7: 3 } });
        for (const other of elsewhere) expect(sameKey(a, at, encodeFlows([other]), 0)).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  test('the hash of keys that differ little spreads over all 32 bits', () => {
    const count = 60_000;
    const flows = Array.from(
      { length: count },
      (_, index): Flow => ({
        ...plain,
        table: index % 3,
        priority: 100 + (index % 2),
        match: { reg0: index, eth_type: 0x0800, ipv4_dst: 0x0a000000 + (index >> 4), metadata: index % 7 },
      }),
    );
    const bytes = encodeFlows(flows);
    const hashes: number[] = [];
    forEachRecord(bytes, (offset) => {
      hashes.push(recordKeyHash(bytes, offset));
    });
    // 60,000 of 2^32 meet 0.42 times on average; ten times would be a fault.
    expect(count - new Set(hashes).size).toBeLessThan(10);
    for (const shift of [0, 8, 16, 24]) {
      const buckets = new Uint32Array(256);
      for (const hash of hashes) buckets[(hash >>> shift) & 0xff]!++;
      // 234 expected in each, standard deviation 15.
      expect(Math.min(...buckets)).toBeGreaterThan(150);
      expect(Math.max(...buckets)).toBeLessThan(320);
    }
  });
});

describe('refused before it is sent', () => {
  const cases: [what: string, flow: Partial<Flow>, why: RegExp][] = [
    ['a field without its eth_type', { match: { ipv4_src: 1 } }, /ipv4_src.*prerequisite \(eth_type 0x0800\)/],
    ['a port without its ip_proto', { match: { eth_type: 0x0800, tcp_dst: 80 } }, /tcp_dst.*ip_proto 6/],
    [
      'a port of a later fragment',
      { match: { eth_type: 0x0800, ip_proto: 17, udp_dst: 53, ip_frag: 3 } },
      /udp_dst.*no later fragment/,
    ],
    ['ND in other ICMPv6', { match: { eth_type: 0x86dd, ip_proto: 58, icmpv6_type: 128, nd_target: 1n } }, /nd_target/],
    [
      'ND with a code',
      { match: { eth_type: 0x86dd, ip_proto: 58, icmpv6_type: 135, icmpv6_code: 1, nd_target: 1n } },
      /nd_target.*icmpv6_code 0/,
    ],
    [
      'a mask in setting a field that takes none',
      { match: { eth_type: 0x0800 }, actions: [{ type: 'setField', field: 'ip_ttl', value: 1, mask: 3 }] },
      /set ip_ttl takes no mask/,
    ],
    ['vlan_pcp without a tag', { match: { vlan_vid: 0, vlan_pcp: 3 } }, /vlan_pcp.*0x1000/],
    ['a value too wide', { match: { reg0: 2 ** 32 } }, /reg0: 4294967296 is not a whole number of 32 bits/],
    ['a value too wide, as bigint', { match: { ct_label: 1n << 128n } }, /ct_label.*128 bits/],
    ['a fraction', { match: { metadata: 0.5 } }, /metadata: 0.5/],
    ['a negative value', { match: { in_port: -1 } }, /in_port: -1/],
    ['a negative bigint', { match: { tun_id: -1n } }, /tun_id: -1/],
    ['not a number', { match: { reg0: Number.NaN } }, /reg0: NaN/],
    ['a mask too wide', { match: { eth_src: { value: 0, mask: 2 ** 48 } } }, /eth_src/],
    ['a mask where none is allowed', { match: { ct_zone: { value: 1, mask: 3 } } }, /ct_zone takes no mask/],
    ['a bit of ct_state nobody knows', { match: { ct_state: 0x100 } }, /ct_state.*0xff/],
    ['an unknown field', { match: { reg16: 1 } as Match }, /unknown field "reg16"/],
    ['a table too high', { table: 254 }, /table: 254/],
    ['a priority too high', { priority: 65536 }, /priority: 65536/],
    ['a cookie too long', { cookie: 1n << 64n }, /cookie/],
    ['goto a lower table', { table: 5, goto: 5 }, /goto 5 is not a higher table/],
    ['goto beyond the last table', { goto: 254 }, /goto: 254/],
    ['output to ANY', { actions: [{ type: 'output', port: 0xffffffff }] }, /ANY/],
    ['output to no port', { actions: [{ type: 'output', port: 0x10000 }] }, /65536 is no port number/],
    ['meter 0', { actions: [{ type: 'meter', meter: 0 }] }, /meter: 0/],
    [
      'set a read-only field',
      { actions: [{ type: 'setField', field: 'eth_type', value: 1 }] },
      /eth_type cannot be written/,
    ],
    ['set what the packet has not', { actions: [{ type: 'setField', field: 'ipv4_src', value: 1 }] }, /set ipv4_src/],
    ['set nothing', { actions: [{ type: 'setField', field: 'reg0', value: 1, mask: 0 }] }, /sets nothing/],
    ['set ct_mark outside ct', { actions: [{ type: 'setField', field: 'ct_mark', value: 1 }] }, /ct exec only/],
    [
      'move outside the field',
      {
        actions: [
          {
            type: 'move',
            source: { field: 'reg0', offset: 20, bits: 16 },
            target: { field: 'reg1', offset: 0, bits: 16 },
          },
        ],
      },
      /no 16 bits from bit 20 in 32/,
    ],
    [
      'move between widths',
      {
        actions: [
          {
            type: 'move',
            source: { field: 'reg0', offset: 0, bits: 16 },
            target: { field: 'reg1', offset: 0, bits: 8 },
          },
        ],
      },
      /16 bits into 8/,
    ],
    ['ct of what is not IP', { actions: [{ type: 'ct', zone: 1 }] }, /ct: the match lacks/],
    ['decTtl of what is not IP', { actions: [{ type: 'decTtl' }] }, /decTtl: the match lacks/],
    [
      'force without commit',
      { match: { eth_type: 0x0800 }, actions: [{ type: 'ct', zone: 1, force: true }] },
      /commit/,
    ],
    [
      'nat src without commit',
      { match: { eth_type: 0x0800 }, actions: [{ type: 'ct', zone: 1, nat: { kind: 'src' } }] },
      /needs commit/,
    ],
    [
      'nat range upside down',
      {
        match: { eth_type: 0x0800 },
        actions: [{ type: 'ct', zone: 1, commit: true, nat: { kind: 'src', ipMin: 9, ipMax: 8 } }],
      },
      /ipMax: 8/,
    ],
    [
      'output in ct exec',
      {
        match: { eth_type: 0x0800 },
        actions: [{ type: 'ct', zone: 1, commit: true, exec: [{ type: 'output', port: 1 }] }],
      },
      /ct exec: output/,
    ],
    [
      'a zone of 8 bits',
      { match: { eth_type: 0x0800 }, actions: [{ type: 'ct', zone: { field: 'reg0', offset: 0, bits: 8 } }] },
      /16 bits, not 8/,
    ],
    ['clause 0', { actions: [{ type: 'conjunction', id: 1, clause: 0, clauses: 2 }] }, /clause: 0/],
    ['one clause', { actions: [{ type: 'conjunction', id: 1, clause: 1, clauses: 1 }] }, /clauses: 1/],
    [
      'a clause that outputs',
      {
        actions: [
          { type: 'conjunction', id: 1, clause: 1, clauses: 2 },
          { type: 'output', port: 1 },
        ],
      },
      /note only/,
    ],
    [
      'a clause that goes on',
      { goto: 9, actions: [{ type: 'conjunction', id: 1, clause: 1, clauses: 2 }] },
      /note only/,
    ],
    ['a bundle of no port', { actions: [{ type: 'bundle', members: [] }] }, /bundle of 0 ports/],
    [
      'a bundle of the controller',
      { actions: [{ type: 'bundle', members: [1, reservedPort.controller] }] },
      /no port with a life/,
    ],
    [
      'a port into 8 bits',
      { actions: [{ type: 'bundleLoad', target: { field: 'reg0', offset: 0, bits: 8 }, members: [1] }] },
      /a port into 8 bits/,
    ],
    [
      'a port into what cannot be written',
      { actions: [{ type: 'bundleLoad', target: { field: 'ct_mark', offset: 0, bits: 32 }, members: [1] }] },
      /ct exec only/,
    ],
    [
      'a controller id of 17 bits',
      { actions: [{ type: 'controller', userdata: new Uint8Array(1), id: 0x10000 }] },
      /controller id: 65536/,
    ],
    ['a note too long', { actions: [{ type: 'note', data: new Uint8Array(70_000) }] }, /note of 70000 bytes/],
    ['an unknown action', { actions: [{ type: 'teleport' } as unknown as Action] }, /unknown action "teleport"/],
  ];

  test.for(cases)('%s', ([, flow, why]) => {
    const target = new ByteWriter();
    encodeFlow(target, plain);
    const before = target.length;
    expect(() => encodeFlow(target, { ...plain, ...flow })).toThrow(why);
    expect(() => encodeFlow(target, { ...plain, ...flow })).toThrow(/^flow \(table \d+, priority \d+\): /);
    expect(target.length).toBe(before);
  });

  test('the longest flow fits a bundle, one longer is refused', () => {
    const notes = (bytes: number): Flow => ({ ...plain, actions: [{ type: 'note', data: new Uint8Array(bytes) }] });
    const overhead = encodeFlows([notes(6)]).length - 16;
    const most = maxRecordBytes - overhead - 10;
    const longest = encodeFlows([notes(most)]);
    expect(longest.length).toBe(maxRecordBytes);
    const target = new ByteWriter();
    expect(bundleAddFlow(target, 1, 1, longest, 0, 'add')).toBeLessThanOrEqual(0xffff);
    expect(target.view().readUInt16BE(2)).toBe(target.length);
    expect(() => encodeFlows([notes(most + 1)])).toThrow(/do not fit/);
  });
});

describe('refused when read', () => {
  const record = Buffer.from(
    encodeFlows([{ ...plain, match: { eth_type: 0x0800 }, actions: [{ type: 'output', port: 1 }] }]),
  );

  function altered(change: (bytes: Buffer) => void): Buffer {
    const bytes = Buffer.from(record);
    change(bytes);
    return bytes;
  }

  test('what is not of our vocabulary is told from what is not OpenFlow', () => {
    const foreignField = altered((bytes) => bytes.writeUInt32BE(0x80005002, 20));
    expect(() => decodeFlows(foreignField)).toThrow(VocabularyError);
    const foreignAction = altered((bytes) => bytes.writeUInt16BE(17, 40));
    expect(() => decodeFlows(foreignAction)).toThrow(VocabularyError);
    for (const bytes of [
      altered((b) => b.writeUInt16BE(9, 16)),
      altered((b) => b.writeUInt16BE(3, 18)),
      altered((b) => b.writeUInt16BE(7, 42)),
      altered((b) => b.writeUInt16BE(0xffff, 0)),
      record.subarray(0, record.length - 8),
    ]) {
      expect(() => decodeFlows(bytes)).toThrow(ProtocolError);
      expect(() => decodeFlows(bytes)).not.toThrow(VocabularyError);
    }
  });

  const u16 = (value: number): string => value.toString(16).padStart(4, '0');
  /** ofp_match of these fields, its length as said or as it is, padded. */
  const matchOf = (fields: string, length = 4 + fields.length / 2): string => {
    const bytes = `0001${u16(length)}${fields}`;
    return bytes.padEnd(Math.ceil(Math.max(bytes.length, length * 2) / 16) * 16, '0');
  };
  const apply = (actions: string, length = 8 + actions.length / 2): string => `0004${u16(length)}00000000${actions}`;
  const goto5 = '0001000805000000';
  const inPort = '80000004' + '00000001';
  /** NXAST_CT (zone 1, no table) with what is nested in it; NXAST_NAT with its flags, range and what follows. */
  const ct = (nested: string): string =>
    `ffff${u16(24 + nested.length / 2)}000023200023` + `0000${'00000000'}0001ff0000000000${nested}`;
  const nat = (range: number, rest: string): string =>
    `ffff${u16(16 + rest.length / 2)}000023200024` + `00000001${u16(range)}${rest}`;

  function made(match: string, instructions: string): Buffer {
    const head = Buffer.alloc(16);
    head.writeUInt16BE(16 + (match.length + instructions.length) / 2, 0);
    head.writeUInt16BE(match.length / 2, 6);
    return Buffer.concat([head, Buffer.from(match + instructions, 'hex')]);
  }

  test('the samples below are what is right, but for the one lie', () => {
    const [flow] = decodeFlows(made(matchOf(inPort), apply(ct(nat(1, '0a00000100000000'))) + goto5));
    expect(flow).toMatchObject({
      match: { in_port: 1 },
      actions: [{ type: 'ct', zone: 1, nat: { kind: 'src', ipMin: 0x0a000001 } }],
      goto: 5,
    });
  });

  const none = matchOf('');
  const lies: [what: string, record: Buffer, why: RegExp][] = [
    ['a match field that ends in the padding', made(matchOf(inPort, 11), ''), /match field of 4 bytes at \d+, 3 there/],
    [
      'a match field that ends in the instructions',
      made(matchOf('8000000800000001'), goto5),
      /of 8 bytes at \d+, 4 there/,
    ],
    ['a match field without its header', made(matchOf('800000'), goto5), /match field cut short/],
    ['a match field of another width', made(matchOf('80000006000000000001'), ''), /\(in_port\) of 6 bytes/],
    ['a masked field of odd width', made(matchOf(`80001709${'00'.repeat(9)}`), ''), /\(ipv4_src\) of 9 bytes/],
    ['ones outside the mask', made(matchOf('80001708ffffffff00000000'), ''), /ipv4_src: ones outside the mask/],
    ['ones outside the mask, wide', made(matchOf(`80000510${'ff'.repeat(8)}${'00'.repeat(8)}`), ''), /metadata: ones/],
    [
      'ones outside the mask, registers',
      made(matchOf(`80010110${'ff'.repeat(8)}${'00'.repeat(8)}`), ''),
      /register 0: ones/,
    ],
    ['a mask where none is allowed', made(matchOf('80000b0408000f00'), ''), /eth_type takes no mask/],
    ['the same field twice', made(matchOf(inPort + inPort), ''), /in_port matched twice/],
    ['more bits than the field has', made(matchOf('80000c02ffff'), ''), /vlan_vid: 0xffff has more than 13 bits/],
    [
      'set_field longer than its action',
      made(none, apply(`0019001000010020${'00'.repeat(8)}0018000800000000`)),
      /set_field of 32 bytes/,
    ],
    ['an action longer than its list', made(none, apply('0018001000000000', 16) + goto5), /action of 16 bytes/],
    ['an action of 7 bytes', made(none, apply('0018000700000000')), /action of 7 bytes/],
    ['an instruction longer than the record', made(none, apply('0018000800000000', 24)), /instruction of 24 bytes/],
    ['an instruction twice', made(none, goto5 + goto5), /instruction 1 twice/],
    ['a nat range cut short', made(none, apply(ct(nat(0x13, '0a00000100000000')))), /nat range cut short/],
    [
      'a nat longer than its ct',
      made(none, apply(ct(nat(1, '0a00000100000000').replace('ffff0018', 'ffff0020')))),
      /nat action of 32/,
    ],
    ['a bundle without its head', made(none, apply('ffff001000002320000c000000000000')), /bundle action of 16 bytes/],
    [
      'a bundle with fewer ports than it says',
      made(none, apply(`ffff002800002320000c00000000000000000002000500${'00'.repeat(9)}0001000200030004`)),
      /bundle action of 40 bytes for 5 ports/,
    ],
    ['a ct action without its head', made(none, apply('ffff0010000023200023000000000000')), /ct action of 16 bytes/],
    [
      'an experimenter action without its head',
      made(none, apply('ffff000800002320')),
      /experimenter action of 8 bytes/,
    ],
    [
      'a copy_field beyond its field',
      made(none, apply('001c001800200001000000000001000400010204' + '00000000')),
      /subfield of reg0 outside it/,
    ],
  ];
  test.for(lies)('%s', ([, bytes, why]) => {
    expect(() => decodeFlows(bytes)).toThrow(why);
    expect(() => decodeFlows(bytes)).toThrow(ProtocolError);
    expect(() => decodeFlows(bytes)).not.toThrow(VocabularyError);
  });

  test('a meter band cut short', () => {
    // The first meter's band goes on into the second meter.
    const meters = `00100001000000010001001000000005${'0008000100000002'}`;
    expect(() => parseMeterConfig(Buffer.from(meters, 'hex'))).toThrow(/band cut short/);
  });
});
