/**
 * How fast the OpenFlow codec is: `node bench/openflow-encode.ts [flows]`. Each figure is the best of several rounds in
 * this run, and is put in proportion to one plain Buffer.copy of the same bytes, so that machines can be compared.
 */

import { ByteWriter } from '../plugins/openvswitch/openflow/bytes.ts';
import { bundleAddFlow, bundleControl, bundleType } from '../plugins/openvswitch/openflow/messages.ts';
import {
  decodeFlows,
  encodeFlows,
  forEachRecord,
  recordHeaderBytes,
  recordKeyHash,
  recordMatchLength,
  sameRecord,
} from '../plugins/openvswitch/openflow/record.ts';
import { parseFlowDescPart } from '../plugins/openvswitch/openflow/replies.ts';
import type { Action, Flow } from '../src/pipeline/flow.ts';

const count = Number(process.argv[2] ?? 100_000);
const rounds = 7;

/** Flows as the pipeline makes them: classifier, conntrack, rules, look-up, output. */
function makeFlow(index: number): Flow {
  const key = 1 + (index % 4000);
  const cookie = (0x1n << 52n) | BigInt(index);
  const priority = 100 + (index % 50);
  const base = { priority, cookie };
  switch (index % 4) {
    case 0:
      return {
        ...base,
        table: 0,
        match: { in_port: index, vlan_vid: 0 },
        actions: [set('metadata', key), set('reg1', index), set('reg6', index & 0xffff)],
        goto: 10,
      };
    case 1:
      return {
        ...base,
        table: 10,
        match: {
          metadata: key,
          reg1: index,
          eth_src: 0x020000000000 + index,
          eth_type: 0x0800,
          ipv4_src: 0x0a000000 + index,
        },
        actions: [{ type: 'ct', zone: { field: 'reg6', offset: 0, bits: 16 }, table: 22 }],
      };
    case 2:
      return {
        ...base,
        table: 24,
        match: {
          metadata: key,
          ct_state: { value: 0x21, mask: 0x21 },
          eth_type: 0x0800,
          ip_proto: 6,
          ipv4_dst: { value: 0x0a000000 + ((index << 4) & 0xffffff), mask: 0xfffffff0 },
          tcp_dst: 1 + (index % 65_535),
        },
        actions: [set('reg3', index)],
        goto: 28,
      };
    default:
      return {
        ...base,
        table: 40,
        match: { metadata: key, eth_dst: 0x020000000000 + index },
        actions: [set('tun_id', key), { type: 'output', port: 1 + (index % 1000) }],
      };
  }
}

function set(field: 'metadata' | 'reg1' | 'reg3' | 'reg6' | 'tun_id', value: number): Action {
  return { type: 'setField', field, value };
}

/** Milliseconds of the fastest of several rounds. */
function best(work: () => void): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    work();
    fastest = Math.min(fastest, performance.now() - from);
  }
  return fastest;
}

const flows = Array.from({ length: count }, (_, index) => makeFlow(index));
const records = Buffer.from(encodeFlows(flows));

/** Bodies of flow descriptions as a switch cuts them, below 64 KiB each. */
function describeAll(): Buffer[] {
  const parts: Buffer[] = [];
  const writer = new ByteWriter(1 << 16);
  forEachRecord(records, (offset, length) => {
    if (writer.length + length + 48 > 0xfff0) {
      parts.push(writer.copy());
      writer.clear();
    }
    const at = writer.length;
    const matchEnd = offset + recordHeaderBytes + recordMatchLength(records, offset);
    writer.u32(0);
    writer.u8(records[offset + 2]!);
    writer.u8(0);
    writer.bytes(records, offset + 4, offset + 6);
    writer.zeros(8);
    writer.bytes(records, offset + 8, offset + 16);
    writer.bytes(records, offset + recordHeaderBytes, matchEnd);
    const stats = writer.length;
    writer.u32(40);
    for (const field of [0, 4, 5]) {
      writer.u32(0x80020008 + field * 0x200);
      writer.u32(0);
      writer.u32(12);
    }
    writer.pad(stats, 8);
    writer.bytes(records, matchEnd, offset + length);
    writer.setU16(at, writer.length - at);
  });
  parts.push(writer.copy());
  return parts;
}

const parts = describeAll();
const bundle = new ByteWriter(1 << 20);
const read = new ByteWriter(1 << 20);
const spare = Buffer.alloc(records.length);

function buildBundle(): void {
  bundle.clear();
  bundle.bytes(bundleControl(1, 7, bundleType.open));
  let xid = 2;
  forEachRecord(records, (offset) => {
    bundleAddFlow(bundle, xid++, 7, records, offset, 'add');
  });
}

buildBundle();
const spareBundle = Buffer.alloc(bundle.length);
let differences = 0;
let hashes = 0;

const copyRecords = best(() => records.copy(spare));
const copyBundle = best(() => bundle.buffer.copy(spareBundle, 0, 0, bundle.length));
const figures: [name: string, milliseconds: number, copied: number][] = [
  ['make flow objects', best(() => flows.map((_, index) => makeFlow(index))), copyRecords],
  ['encode to records', best(() => encodeFlows(flows)), copyRecords],
  ['decode from records', best(() => decodeFlows(records)), copyRecords],
  ['build one bundle from records', best(buildBundle), copyBundle],
  ['build one bundle from objects', best(() => [encodeFlows(flows), buildBundle()]), copyBundle],
  [
    'read flow descriptions into records',
    best(() => {
      read.clear();
      for (const part of parts) parseFlowDescPart(part, read, () => {});
    }),
    copyRecords,
  ],
  [
    'hash the keys of records',
    best(() => {
      forEachRecord(records, (offset) => {
        hashes ^= recordKeyHash(records, offset);
      });
    }),
    copyRecords,
  ],
  [
    'read, hash and compare',
    best(() => {
      read.clear();
      for (const part of parts) {
        parseFlowDescPart(part, read, (offset) => {
          hashes ^= recordKeyHash(read.buffer, offset);
          if (!sameRecord(records, offset, read.buffer, offset)) differences++;
        });
      }
    }),
    copyRecords,
  ],
];

console.log(
  `${count} flows, ${(records.length / count).toFixed(0)} bytes a record, ${(bundle.length / count).toFixed(0)} a bundle message`,
);
console.log(`copying the records ${copyRecords.toFixed(2)} ms, the bundle ${copyBundle.toFixed(2)} ms`);
for (const [name, milliseconds, copied] of figures) {
  const perSecond = count / milliseconds / 1000;
  console.log(
    `${name.padEnd(36)} ${milliseconds.toFixed(1).padStart(7)} ms ${perSecond.toFixed(2).padStart(7)} M flows/s ${(milliseconds / copied).toFixed(1).padStart(7)} x copy`,
  );
}
if (differences > 0) throw new Error(`${differences} records came back otherwise than they went (hash ${hashes})`);
