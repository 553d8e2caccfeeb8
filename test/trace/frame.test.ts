/** Frames of probes, read by tcpdump: addresses, ports and every checksum. */
import { expect, test } from 'vitest';
import { parseIp } from '../../src/intent/ip.ts';
import { pcap } from '../../src/sandbox/decode.ts';
import { frameOf } from '../../src/trace/frame.ts';
import { probePacket } from '../../src/trace/probe.ts';
import { openVswitch, run } from '../support/open-vswitch.ts';

const four = { source: parseIp('10.0.1.11')!, target: parseIp('10.0.2.12')! };
const six = { source: parseIp('fd00::11')!, target: parseIp('fd00::12')! };

const found = await openVswitch();
const skip = { skip: 'unavailable' in found };
function openVswitchFound() {
  if ('unavailable' in found) throw new Error(found.unavailable);
  return found;
}

test.each([
  ['tcp', { ...four, protocol: 6 }, /10\.0\.1\.11\.40000 > 10\.0\.2\.12\.443: Flags \[S\], cksum 0x\w+ \(correct\)/],
  ['tcp6', { ...six, protocol: 6 }, /fd00::11\.40000 > fd00::12\.443: Flags \[S\], cksum 0x\w+ \(correct\)/],
  ['udp', { ...four, protocol: 17 }, /\[udp sum ok\]/],
  ['udp6', { ...six, protocol: 17 }, /\[udp sum ok\]/],
  ['ping', { ...four, protocol: 1 }, /ICMP echo request, id 27511, seq 1/],
  ['ping6', { ...six, protocol: 58 }, /\[icmp6 sum ok\] ICMP6, echo request, id 27511, seq 1/],
  ['gre', { ...four, protocol: 47 }, /proto GRE \(47\)/],
  ['sctp', { ...four, protocol: 132 }, /10\.0\.1\.11\.40000 > 10\.0\.2\.12\.443: sctp/],
])('%s', skip, async (_name, ends, wanted) => {
  const { programs, env } = openVswitchFound();
  for (const length of [78, 98, 99, 1514]) {
    const packet = probePacket(1, {
      ...ends,
      sourceMac: 0x020000000001,
      targetMac: 0x020000000002,
      sourcePort: 40_000,
      targetPort: ends.protocol === 17 ? 40_001 : 443,
      icmp: { type: ends.source.family === 4 ? 8 : 128, code: 0 },
      ttl: 64,
      length,
      state: 'new',
    });
    const bytes = frameOf(packet);
    expect(bytes.length).toBe(length);
    const user = process.getuid?.() === 0 ? ['-Z', 'root'] : [];
    const input = pcap([{ at: Date.now(), hex: Buffer.from(bytes).toString('hex') }]);
    const args = [...user, '-n', '-e', '-vv', '-r', '-'];
    const text = await run(programs.tcpdump!, args, { env, input });
    expect(text).toContain('02:00:00:00:00:01 > 02:00:00:00:00:02');
    expect(text).toMatch(wanted);
    expect(text).not.toMatch(/bad cksum|bad udp|wrong icmp|incorrect|bad-len|truncated|invalid/);
  }
});
