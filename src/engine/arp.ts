/** ARP for IPv4 over Ethernet (RFC 826), as far as it is asked for next hops. Addresses are numbers, see intent/addresses.ts. */

export type ArpMessage = {
  /** 1: request, 2: reply. */
  op: number;
  /** Sender. */
  sha: number;
  spa: number;
  /** Target, IPv4. */
  tpa: number;
};

const ethernet = 14;
const length = ethernet + 28;
const arpType = 0x0806;

/** Ethernet, IPv4, address lengths. */
const header = [0, 1, 0x08, 0, 6, 4];

/** A broadcast from nobody's address (RFC 5227 section 1.1), so that no cache takes note of it. */
export function arpRequest(from: number, target: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.fill(0xff, 0, 6);
  putMac(view, 6, from);
  view.setUint16(12, arpType);
  bytes.set(header, ethernet);
  view.setUint16(20, 1);
  putMac(view, 22, from);
  view.setUint32(38, target);
  return bytes;
}

/** A broadcast by which the address says under which MAC it is (RFC 5227 section 3). */
export function arpAnnouncement(mac: number, address: number): Uint8Array {
  const bytes = arpRequest(mac, address);
  new DataView(bytes.buffer).setUint32(28, address);
  return bytes;
}

/** Undefined for anything else, and for what is cut short. */
export function parseArp(bytes: Uint8Array): ArpMessage | undefined {
  if (bytes.length < length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint16(12) !== arpType || header.some((byte, i) => bytes[ethernet + i] !== byte)) return undefined;
  return { op: view.getUint16(20), sha: mac(view, 22), spa: view.getUint32(28), tpa: view.getUint32(38) };
}

function putMac(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 2, value % 2 ** 32);
}

function mac(view: DataView, at: number): number {
  return view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2);
}
