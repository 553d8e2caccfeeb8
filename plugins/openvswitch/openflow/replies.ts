/** What a switch sends. Parsers take a message's body (after the ofp_header) and throw ProtocolError alone. */

import { asBuffer, need } from './bytes.ts';
import { errorName, ProtocolError } from './errors.ts';
import { openflowVersion } from './frame.ts';

export {
  type Aggregate,
  type FlowStats,
  type FlowUpdate,
  parseAggregate,
  parseFlowDescPart,
  parseFlowUpdates,
} from './flow-desc.ts';

/** Versions a HELLO offers: its bitmap's if it has one, else everything up to its header's version. */
export type Hello = { versions: number[] };

/** OpenFlow 1.5.1 section 7.5.1: unknown elements are skipped. */
export function parseHello(message: { version: number; body: Uint8Array }): Hello {
  const body = asBuffer(message.body);
  let at = 0;
  while (at < body.length) {
    need(body, at, 4, 'HELLO element');
    const type = body.readUInt16BE(at);
    const length = body.readUInt16BE(at + 2);
    if (length < 4) throw new ProtocolError(`HELLO element of ${length} bytes`);
    need(body, at, length, 'HELLO element');
    if (type === 1) return { versions: bitmapVersions(body.subarray(at + 4, at + length)) };
    // The last element may come without its padding.
    at += (length + 7) & ~7;
  }
  return { versions: Array.from({ length: message.version }, (_, index) => index + 1) };
}

function bitmapVersions(bitmaps: Buffer): number[] {
  const versions: number[] = [];
  for (let at = 0; at + 4 <= bitmaps.length; at += 4) {
    const bits = bitmaps.readUInt32BE(at);
    for (let bit = 0; bit < 32; bit++) {
      const version = at * 8 + bit;
      if ((bits >>> bit) & 1 && version > 0 && version <= 0xff) versions.push(version);
    }
  }
  return versions;
}

export function offersOpenFlow15(hello: Hello): boolean {
  return hello.versions.includes(openflowVersion);
}

export type OpenflowError = {
  type: number;
  code: number;
  experimenter?: number;
  experimenterType?: number;
  /** As Open vSwitch prints it. */
  name: string;
  /** Beginning of the refused message, or text for HELLO_FAILED. */
  data: Buffer;
  /** xid of the refused message; of the inner one where it was a bundle's (both are the same as we send them). */
  refusedXid?: number;
};

export function parseError(body: Uint8Array): OpenflowError {
  const bytes = asBuffer(body);
  need(bytes, 0, 4, 'ERROR');
  const type = bytes.readUInt16BE(0);
  const code = bytes.readUInt16BE(2);
  let data = bytes.subarray(4);
  let experimenter: number | undefined;
  let experimenterType: number | undefined;
  if (type === 0xffff) {
    need(bytes, 0, 8, 'experimenter ERROR');
    experimenterType = code;
    experimenter = bytes.readUInt32BE(4);
    data = bytes.subarray(8);
  }
  const name = errorName(type, code, experimenter, experimenterType);
  const error: OpenflowError = { type, code, name, data };
  if (experimenter !== undefined) error.experimenter = experimenter;
  if (experimenterType !== undefined) error.experimenterType = experimenterType;
  // OFPET_HELLO_FAILED carries text.
  if (type !== 0 && data.length >= 8) error.refusedXid = data.readUInt32BE(4);
  return error;
}

export type Features = {
  datapathId: bigint;
  buffers: number;
  tables: number;
  auxiliaryId: number;
  capabilities: number;
};

/** OFPC_BUNDLES and OFPC_FLOW_MONITORING, OpenFlow 1.5.1 section 7.3.1. */
export const capability = { bundles: 1 << 9, flowMonitoring: 1 << 10 } as const;

export function parseFeatures(body: Uint8Array): Features {
  const bytes = asBuffer(body);
  need(bytes, 0, 24, 'FEATURES_REPLY');
  return {
    datapathId: bytes.readBigUInt64BE(0),
    buffers: bytes.readUInt32BE(8),
    tables: bytes[12]!,
    auxiliaryId: bytes[13]!,
    capabilities: bytes.readUInt32BE(16),
  };
}

export type BundleControl = { bundleId: number /** OFPBCT_*, see bundleType. */; type: number; flags: number };

export function parseBundleControl(body: Uint8Array): BundleControl {
  const bytes = asBuffer(body);
  need(bytes, 0, 8, 'BUNDLE_CONTROL');
  return { bundleId: bytes.readUInt32BE(0), type: bytes.readUInt16BE(4), flags: bytes.readUInt16BE(6) };
}

export type MultipartReply = {
  /** OFPMP_*, see multipartType. */
  type: number;
  /** Further parts of this xid follow. */
  more: boolean;
  /** For the part's own parser. */
  body: Buffer;
};

export function parseMultipart(body: Uint8Array): MultipartReply {
  const bytes = asBuffer(body);
  need(bytes, 0, 8, 'MULTIPART_REPLY');
  return { type: bytes.readUInt16BE(0), more: (bytes.readUInt16BE(2) & 1) !== 0, body: bytes.subarray(8) };
}

/** Walks entries that begin with their own length at `lengthAt`; `least` is what an entry has at least. */
function forEachEntry(
  body: Uint8Array,
  lengthAt: number,
  least: number,
  what: string,
  visit: (bytes: Buffer, at: number, end: number) => void,
): void {
  const bytes = asBuffer(body);
  for (let at = 0; at < bytes.length; ) {
    need(bytes, at, least, what);
    const length = bytes.readUInt16BE(at + lengthAt);
    if (length < least || at + length > bytes.length) throw new ProtocolError(`${what} of ${length} bytes`);
    visit(bytes, at, at + length);
    at += length;
  }
}

/** Group ids of a part of an OFPMP_GROUP_DESC reply. */
export function parseGroupDesc(body: Uint8Array): number[] {
  const groups: number[] = [];
  forEachEntry(body, 0, 16, 'group description', (bytes, at) => groups.push(bytes.readUInt32BE(at + 4)));
  return groups;
}

/** A meter as configured; `band` is its first band where that drops, which is the only kind we make. */
export type MeterDesc = {
  meter: number;
  unit: 'kbps' | 'pktps';
  /** In the unit. */
  rate?: number;
  /** kbit or packets; absent where the meter does not say. */
  burst?: number;
};

/** Meters of a part of an OFPMP_METER_CONFIG reply. */
export function parseMeterConfig(body: Uint8Array): MeterDesc[] {
  const meters: MeterDesc[] = [];
  forEachEntry(body, 0, 8, 'meter configuration', (bytes, at, end) => {
    const flags = bytes.readUInt16BE(at + 2);
    const meter: MeterDesc = { meter: bytes.readUInt32BE(at + 4), unit: flags & 2 ? 'pktps' : 'kbps' };
    const band = at + 8;
    if (band < end) {
      if (band + 16 > end) throw new ProtocolError('meter band cut short');
      // One of more bands is none of ours.
      if (bytes.readUInt16BE(band) === 1 && band + 16 === end) {
        meter.rate = bytes.readUInt32BE(band + 4);
        if (flags & 4) meter.burst = bytes.readUInt32BE(band + 8);
      }
    }
    meters.push(meter);
  });
  return meters;
}

/** `mac` as a number; `config` and `state` are bit sets, see portConfig and portState. */
export type PortDesc = { port: number; name: string; mac: number; config: number; state: number };

/** OFPPC_* and OFPPS_LINK_DOWN, OpenFlow 1.5.1 section 7.2.1. */
export const portConfig = { portDown: 1, noReceive: 1 << 2, noForward: 1 << 5, noPacketIn: 1 << 6 } as const;
export const portState = { linkDown: 1 } as const;

const portBytes = 40;

function readPort(bytes: Buffer, at: number): PortDesc {
  const name = bytes.subarray(at + 16, at + 32);
  const end = name.indexOf(0);
  return {
    port: bytes.readUInt32BE(at),
    name: name.toString('utf8', 0, end < 0 ? name.length : end),
    mac: bytes.readUIntBE(at + 8, 6),
    config: bytes.readUInt32BE(at + 32),
    state: bytes.readUInt32BE(at + 36),
  };
}

/** Ports of a part of an OFPMP_PORT_DESC reply. */
export function parsePortDesc(body: Uint8Array): PortDesc[] {
  const ports: PortDesc[] = [];
  forEachEntry(body, 4, portBytes, 'port description', (bytes, at) => ports.push(readPort(bytes, at)));
  return ports;
}

/** Counters of a port since it was made, or the switch was started. */
export type PortStats = {
  port: number;
  received: { packets: number; bytes: number };
  sent: { packets: number; bytes: number };
  /** Seconds since then; undefined where the switch does not tell. */
  duration?: number;
};

/** ofp_port_stats, OpenFlow 1.5.1 section 7.3.5.7, without properties. */
const portStatsBytes = 80;

/** Ports of a part of an OFPMP_PORT_STATS reply. A counter that the switch does not keep is 0. */
export function parsePortStats(body: Uint8Array): PortStats[] {
  const ports: PortStats[] = [];
  forEachEntry(body, 0, portStatsBytes, 'port statistics', (bytes, at) => {
    // Beyond 2^53 (eight days at 100 Gbit/s) a number is off by a few bytes; all ones is the word for "not kept".
    const counter = (offset: number): number => {
      const value = bytes.readBigUInt64BE(at + offset);
      return value === 0xffff_ffff_ffff_ffffn ? 0 : Number(value);
    };
    const seconds = bytes.readUInt32BE(at + 8);
    ports.push({
      port: bytes.readUInt32BE(at + 4),
      received: { packets: counter(16), bytes: counter(32) },
      sent: { packets: counter(24), bytes: counter(40) },
      ...(seconds === 0xffff_ffff ? {} : { duration: seconds + bytes.readUInt32BE(at + 12) / 1e9 }),
    });
  });
  return ports;
}

const portReasons = ['add', 'delete', 'modify'] as const;

export type PortStatus = { reason: (typeof portReasons)[number]; port: PortDesc };

export function parsePortStatus(body: Uint8Array): PortStatus {
  const bytes = asBuffer(body);
  need(bytes, 0, 8 + portBytes, 'PORT_STATUS');
  const reason = portReasons[bytes[0]!];
  if (reason === undefined) throw new ProtocolError(`PORT_STATUS reason ${bytes[0]}`);
  return { reason, port: readPort(bytes, 8) };
}
