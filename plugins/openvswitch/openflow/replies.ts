/** What a switch sends. Parsers take a message's body (after the ofp_header) and throw ProtocolError alone. */

import { asBuffer, type ByteWriter, need } from './bytes.ts';
import { errorName, ProtocolError } from './errors.ts';
import { openflowVersion } from './frame.ts';
import { recordHeaderBytes } from './record.ts';

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

/** Counters of a flow; absent where the switch does not know. */
export type FlowStats = {
  /** Whole and fractional seconds. */
  duration?: number;
  /** Seconds since the last packet. */
  idle?: number;
  packets?: number;
  bytes?: number;
};

/**
 * Reads a part of a flow description and appends each flow to `target` as a record; `onFlow` is told where the record
 * lies in it. The caller may compare by hash and set `target.length = offset` to forget the record again. `stats` is one
 * object used anew for every flow: copy what is to be kept.
 */
export function parseFlowDescPart(
  body: Uint8Array,
  target: ByteWriter,
  onFlow: (offset: number, length: number, stats: FlowStats) => void,
): void {
  void body;
  void target;
  void onFlow;
  void recordHeaderBytes;
  throw new Error('parseFlowDescPart is being written');
}

export type Aggregate = { flows: number; packets: number; bytes: number };

export function parseAggregate(_body: Uint8Array): Aggregate {
  throw new Error('parseAggregate is being written');
}

/** Group ids of a part of a group description. */
export function parseGroupDesc(_body: Uint8Array): number[] {
  throw new Error('parseGroupDesc is being written');
}

export type MeterDesc = { meter: number; unit: 'kbps' | 'pktps'; burst?: number; rate: number };

/** Meters of a part of a meter configuration. */
export function parseMeterConfig(_body: Uint8Array): MeterDesc[] {
  throw new Error('parseMeterConfig is being written');
}

export type PortDesc = { port: number; name: string; mac: number; config: number; state: number };

/** OFPPS_LINK_DOWN and OFPPC_PORT_DOWN, OpenFlow 1.5.1 section 7.2.1. */
export const portBit = { linkDown: 1, portDown: 1 } as const;

export function parsePortDesc(_body: Uint8Array): PortDesc[] {
  throw new Error('parsePortDesc is being written');
}

export type PortStatus = { reason: 'add' | 'delete' | 'modify'; port: PortDesc };

export function parsePortStatus(_body: Uint8Array): PortStatus {
  throw new Error('parsePortStatus is being written');
}

export type FlowUpdate =
  | {
      event: 'initial' | 'added' | 'removed' | 'modified';
      /** OFPRR_* of a removed flow. */
      reason: number;
      /** The flow as a record in the writer that was given; without instructions where none came. */
      offset: number;
      length: number;
    }
  /** Our own change: the xid of the flow_mod that made it. */
  | { event: 'abbreviated'; xid: number }
  | { event: 'paused' | 'resumed' };

/** Reads a flow monitor's reply; flows are appended to `target` as records. */
export function parseFlowUpdates(_body: Uint8Array, _target: ByteWriter): FlowUpdate[] {
  throw new Error('parseFlowUpdates is being written');
}
