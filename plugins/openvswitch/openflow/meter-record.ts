/**
 * Meters, kept as records beside the flows that use them: under table 255, which no flow can have, with the meter's id as
 * a match on metadata. So a unit is one piece of bytes, meters are replaced and held against each other as flows are, and a
 * refused meter sets aside what it serves.
 *   behind the match: u16 unit (ofp_meter_flags), u16 0, u32 rate, u32 burst, u32 0
 */

import type { Flow, Meter } from '../../../src/pipeline/flow.ts';
import { asBuffer, type ByteWriter } from './bytes.ts';
import { ProtocolError } from './errors.ts';
import { decodeMatch, encodeMatch } from './match.ts';
import type { MeterConfig } from './messages.ts';
import { whole } from './nicira.ts';
import {
  encodeFlows,
  meterTable,
  putRecordHeader,
  recordCookie,
  recordHeaderBytes,
  recordMatchLength,
  recordTable,
} from './record.ts';

/** OFPMF_KBPS and OFPMF_PKTPS, OpenFlow 1.5.1 section 7.3.4.5. */
const flagOf = { kbps: 1, pktps: 2 } as const;
const configBytes = 16;
/** OFPM_MAX. */
const highestMeter = 0xffff0000;

/** As encodeFlows, with the meters the flows use. */
export function encodeUnit(flows: readonly Flow[], meters: readonly Meter[] = []): Uint8Array {
  return encodeFlows(flows, (target) => {
    for (const meter of meters) encodeMeter(target, meter);
  });
}

/** Appends one record. Throws an Error on what no switch would take. */
export function encodeMeter(target: ByteWriter, meter: Meter): void {
  const start = target.length;
  target.reserve(8);
  target.u64(meter.cookie);
  const matchLength = encodeMatch(target, { metadata: whole(meter.id, 1, highestMeter, 'meter') });
  target.u16(flagOf[meter.unit]);
  target.u16(0);
  target.u32(whole(meter.rate, 1, 0xffffffff, 'meter rate'));
  target.u32(whole(meter.burst, 1, 0xffffffff, 'meter burst'));
  target.u32(0);
  putRecordHeader(target.buffer, start, target.length - start, meterTable, 0, 0, matchLength);
}

export function isMeterRecord(bytes: Uint8Array, offset: number): boolean {
  return recordTable(bytes, offset) === meterTable;
}

/** Throws ProtocolError. */
export function decodeMeter(source: Uint8Array, offset: number): Meter {
  const bytes = asBuffer(source);
  const { match } = decodeMatch(bytes, offset + recordHeaderBytes);
  const at = offset + recordHeaderBytes + recordMatchLength(bytes, offset);
  if (at + configBytes > bytes.length) throw new ProtocolError(`no meter at ${offset}`);
  const unit = bytes.readUInt16BE(at) === flagOf.pktps ? 'pktps' : 'kbps';
  return {
    id: Number(match.metadata),
    cookie: recordCookie(bytes, offset),
    unit,
    rate: bytes.readUInt32BE(at + 4),
    burst: bytes.readUInt32BE(at + 8),
  };
}

/** Same unit, rate and burst. Cookies are ours alone: a switch keeps none for a meter. */
export function sameMeterConfig(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): boolean {
  const aAt = aOffset + recordHeaderBytes + recordMatchLength(a, aOffset);
  const bAt = bOffset + recordHeaderBytes + recordMatchLength(b, bOffset);
  for (let i = 0; i < configBytes; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}

export function meterConfigOf({ id, unit, rate, burst }: Meter): MeterConfig {
  return { meter: id, unit, rate, burst };
}

/** In the words of `ovs-ofctl dump-meters`. */
export function formatMeter({ id, unit, rate, burst }: Meter): string {
  return `meter=${id} ${unit} burst stats bands= type=drop rate=${rate} burst_size=${burst}`;
}
