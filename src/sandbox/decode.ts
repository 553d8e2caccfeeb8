import type { CapturedFrame } from './capture.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';
import { run } from './run.ts';

/** A pcap file (draft-ietf-opsawg-pcap, microseconds, LINKTYPE_ETHERNET). */
export function pcap(frames: readonly CapturedFrame[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262_144, 16);
  header.writeUInt32LE(1, 20);
  const parts: Buffer[] = [header];
  for (const { at, hex } of frames) {
    const bytes = Buffer.from(hex, 'hex');
    const record = Buffer.alloc(16);
    record.writeUInt32LE(Math.floor(at / 1000), 0);
    record.writeUInt32LE((at % 1000) * 1000, 4);
    record.writeUInt32LE(bytes.length, 8);
    record.writeUInt32LE(bytes.length, 12);
    parts.push(record, bytes);
  }
  return Buffer.concat(parts);
}

/** One line a frame, as `tcpdump -n -e` prints it. @param filter in the words of pcap-filter(7). */
export async function decodeFrames(
  openVswitch: OpenVswitch,
  frames: readonly CapturedFrame[],
  filter?: string,
): Promise<string[]> {
  // As root tcpdump would become the user tcpdump, which need not exist.
  const user = process.getuid?.() === 0 ? ['-Z', 'root'] : [];
  const args = [...user, '-n', '-e', '-t', '-r', '-', ...(filter === undefined ? [] : [filter])];
  const text = await run(openVswitch.programs.tcpdump ?? 'tcpdump', args, {
    env: openVswitch.env,
    input: pcap(frames),
  });
  return text.split('\n').filter((line) => line !== '');
}
