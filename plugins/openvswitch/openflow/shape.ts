/**
 * The shape of a flow: table, match fields with their masks, actions without what they carry. Whether Open vSwitch takes
 * a flow into a bundle is decided by its shape, but for what names something the switch must have (a group, a meter): see
 * docs/decisions/0027-bundles-at-once.md.
 */

import { asBuffer } from './bytes.ts';
import { ctSubtype } from './conntrack.ts';
import { fieldSpec } from './fields.ts';
import { portBundleHead, portBundleSubtype } from './port-bundle.ts';
import { fromLegacyPort, highestPort } from './ports.ts';
import { recordHeaderBytes, recordLength, recordMatchLength, recordTable } from './record.ts';
import { copyFieldType, setFieldType } from './set-field.ts';

/** The shape is none to rely on. */
export const noShape = 0;

/** Fields whose values decide what else may be matched and done. */
const decisive: ReadonlySet<number> = new Set(
  (['eth_type', 'ip_proto', 'vlan_vid', 'ip_frag', 'icmpv6_type', 'icmpv6_code', 'ct_state'] as const)
    .map((name) => fieldSpec(name))
    .flatMap(({ header, legacyHeader }) => [header >>> 9, legacyHeader >>> 9]),
);

const gotoTable = 1;
const applyActions = 4;
const outputType = 0;
const decTtlType = 24;
const experimenterType = 0xffff;
/** NXAST_*: note, output_reg, push, pop, ct_clear, check_pkt_larger; they carry nothing but fields and lengths. */
const plainNicira: ReadonlySet<number> = new Set([8, 15, 27, 28, 43, 49]);
const resubmitTable = 14;
const conjunction = 34;
const controller2 = 37;
const clone = 42;
const ctHead = 24;
const cloneHead = 16;
const inPort = fieldSpec('in_port').header;

/** 32 bits, or `noShape`. The record must be well-formed. */
export function recordShape(source: Uint8Array, offset: number): number {
  const bytes = asBuffer(source);
  const shape = new Shape();
  shape.add(recordTable(bytes, offset));
  const matchAt = offset + recordHeaderBytes;
  const matchEnd = matchAt + recordMatchLength(bytes, offset);
  ofMatch(shape, bytes, matchAt + 4, matchAt + bytes.readUInt16BE(matchAt + 2));
  const ok = ofInstructions(shape, bytes, matchEnd, offset + recordLength(bytes, offset));
  // A record is not longer than 64 KiB, so its length is some of the hash as well.
  return ok ? shape.value() : noShape;
}

class Shape {
  #hash = 0x9747b28c;

  add(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0xcc9e2d51);
    this.#hash = (this.#hash << 15) | (this.#hash >>> 17);
    this.#hash = (Math.imul(this.#hash, 5) + 0xe6546b64) | 0;
  }

  bytes(bytes: Buffer, from: number, to: number): void {
    for (let at = from; at < to; at++) this.add(bytes[at]!);
  }

  value(): number {
    let hash = this.#hash;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0 || 1;
  }
}

function ofMatch(shape: Shape, bytes: Buffer, from: number, to: number): void {
  for (let at = from; at + 4 <= to; ) {
    const length = bytes[at + 3]!;
    ofField(shape, bytes, at, length);
    at += 4 + length;
  }
}

/** The same for all that a port of a switch may have; reserved ones, and those no port can have, are their own. */
function kindOfPort(port: number): number {
  return port <= highestPort ? 0 : port;
}

/** An OXM field: its header, its mask, and its value where that is decisive. */
function ofField(shape: Shape, bytes: Buffer, at: number, length: number): void {
  const header = bytes.readUInt32BE(at);
  shape.add(header);
  const hasMask = (header & 0x100) !== 0;
  const valueEnd = at + 4 + (hasMask ? length >> 1 : length);
  if (decisive.has(header >>> 9)) shape.bytes(bytes, at + 4, valueEnd);
  else if (header === inPort) shape.add(kindOfPort(bytes.readUInt32BE(at + 4)));
  if (hasMask) shape.bytes(bytes, valueEnd, at + 4 + length);
}

function ofInstructions(shape: Shape, bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    const type = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 2);
    shape.add(type);
    if (type === gotoTable) shape.add(bytes[at + 4]!);
    else if (type !== applyActions || !ofActions(shape, bytes, at + 8, at + length)) return false;
    at += length;
  }
  return true;
}

function ofActions(shape: Shape, bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    const length = bytes.readUInt16BE(at + 2);
    shape.add(bytes.readUInt32BE(at));
    if (!ofAction(shape, bytes, at, length)) return false;
    at += length;
  }
  shape.add(0);
  return true;
}

function ofAction(shape: Shape, bytes: Buffer, at: number, length: number): boolean {
  switch (bytes.readUInt16BE(at)) {
    case outputType: {
      shape.add(kindOfPort(bytes.readUInt32BE(at + 4)));
      return true;
    }
    case decTtlType:
      return true;
    case setFieldType:
      ofField(shape, bytes, at + 4, bytes[at + 7]!);
      return true;
    case copyFieldType:
      shape.bytes(bytes, at + 4, at + length);
      return true;
    case experimenterType:
      return ofNicira(shape, bytes, at, length);
    default:
      // Groups and meters, which the switch must have, and what is none of ours.
      return false;
  }
}

function ofNicira(shape: Shape, bytes: Buffer, at: number, length: number): boolean {
  const subtype = bytes.readUInt16BE(at + 8);
  shape.add(subtype);
  if (plainNicira.has(subtype)) {
    // A note's bytes are nobody's business.
    if (subtype !== 8) shape.bytes(bytes, at + 10, at + length);
    return true;
  }
  switch (subtype) {
    case resubmitTable:
    case controller2:
      shape.bytes(bytes, at + 10, at + length);
      return true;
    case conjunction:
      shape.bytes(bytes, at + 10, at + 12);
      return true;
    case portBundleSubtype.output:
    case portBundleSubtype.load: {
      shape.bytes(bytes, at + 10, at + portBundleHead);
      const members = bytes.readUInt16BE(at + 20);
      for (let n = 0; n < members; n++)
        shape.add(kindOfPort(fromLegacyPort(bytes.readUInt16BE(at + portBundleHead + 2 * n))));
      return true;
    }
    case clone:
      return ofActions(shape, bytes, at + cloneHead, at + length);
    case ctSubtype: {
      const source = bytes.readUInt32BE(at + 12);
      shape.add(bytes.readUInt16BE(at + 10));
      shape.add(source);
      // A number, or which bits of the source.
      if (source !== 0) shape.add(bytes.readUInt16BE(at + 16));
      shape.bytes(bytes, at + 18, at + ctHead);
      return ofConntrack(shape, bytes, at + ctHead, at + length);
    }
    default:
      return false;
  }
}

/** What is nested in ct: writes to mark and label, and NAT, which is taken as it is. */
function ofConntrack(shape: Shape, bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    const length = bytes.readUInt16BE(at + 2);
    const type = bytes.readUInt16BE(at);
    shape.add(bytes.readUInt32BE(at));
    if (type === setFieldType) ofField(shape, bytes, at + 4, bytes[at + 7]!);
    else shape.bytes(bytes, at + 4, at + length);
    at += length;
  }
  return true;
}
