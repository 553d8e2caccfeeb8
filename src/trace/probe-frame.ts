/** Frames of probes between hypervisors: which probe it is, in an Ethernet frame of a given size. */
import { probeEtherType } from '../pipeline/stages/probe.ts';

export type ProbeFrame = {
  /** 16 random bytes: who does not know them cannot answer for a hypervisor. */
  nonce: Uint8Array;
  from: number;
  to: number;
  /** Of the frame, bytes. */
  size: number;
};

/** What every probe begins with, after the Ethernet header. */
const magic = Buffer.from('KWPR');
const header = 14;
const body = magic.length + 16 + 4 + 4 + 4;

export const leastProbe = 60;

/** Locally administered, and of no port: Keyway makes MACs that begin with 0a. */
const addresses = Buffer.from('024b57000002024b57000001', 'hex');

export function probeFrame({ nonce, from, to, size }: ProbeFrame): Uint8Array {
  const frame = Buffer.alloc(Math.max(size, header + body, leastProbe));
  addresses.copy(frame, 0);
  frame.writeUInt16BE(probeEtherType, 12);
  magic.copy(frame, header);
  frame.set(nonce, header + 4);
  frame.writeUInt32BE(from, header + 20);
  frame.writeUInt32BE(to, header + 24);
  frame.writeUInt32BE(frame.length, header + 28);
  return frame;
}

/** Undefined for what is no probe. */
export function parseProbe(bytes: Uint8Array): ProbeFrame | undefined {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (frame.length < header + body || frame.readUInt16BE(12) !== probeEtherType) return undefined;
  if (!frame.subarray(header, header + 4).equals(magic)) return undefined;
  return {
    nonce: Uint8Array.from(frame.subarray(header + 4, header + 20)),
    from: frame.readUInt32BE(header + 20),
    to: frame.readUInt32BE(header + 24),
    size: frame.readUInt32BE(header + 28),
  };
}
