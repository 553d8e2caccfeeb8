import { expect, test } from 'vitest';
import { decodeFrames, pcap } from '../../src/sandbox/decode.ts';
import { pingFrame } from '../../src/sandbox/frame.ts';
import { openVswitchOrSkip, run } from '../support/open-vswitch.ts';

const addresses = { ethSrc: '02:00:00:00:00:01', ethDst: '02:00:00:00:00:02', ipSrc: '10.0.1.11', ipDst: '10.0.1.12' };

test('tcpdump reads an echo request of ours, and finds both checksums right', async (context) => {
  const openVswitch = await openVswitchOrSkip(context);
  const frame = { at: Date.now(), hex: pingFrame({ ...addresses, identifier: 77 }) };
  const user = process.getuid?.() === 0 ? ['-Z', 'root'] : [];
  const args = [...user, '-n', '-e', '-vv', '-r', '-'];
  const text = await run(openVswitch.programs.tcpdump!, args, { env: openVswitch.env, input: pcap([frame]) });
  expect(text).toContain('02:00:00:00:00:01 > 02:00:00:00:00:02');
  expect(text).toMatch(/10\.0\.1\.11 > 10\.0\.1\.12: ICMP echo request, id 77, seq 1/);
  expect(text).not.toMatch(/bad cksum|wrong icmp cksum|bad-len|truncated/);
});

test('a tagged frame carries its VLAN, and a filter leaves out what it does not match', async (context) => {
  const openVswitch = await openVswitchOrSkip(context);
  const frames = [
    { at: Date.now(), hex: pingFrame({ ...addresses, vlan: 7 }) },
    { at: Date.now(), hex: pingFrame(addresses) },
  ];
  expect(await decodeFrames(openVswitch, frames)).toHaveLength(2);
  const tagged = await decodeFrames(openVswitch, frames, 'vlan');
  expect(tagged).toHaveLength(1);
  expect(tagged[0]).toContain('vlan 7');
});
