/** NAT of the pipeline on a real datapath: what nobody has answered yet and is sent again goes the way of the first. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formatFlow } from '../../plugins/openvswitch/openflow/text.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { load, registers } from '../../src/pipeline/registers.ts';
import {
  forwardPorts,
  inForce,
  type NatRule,
  sourceNat,
  staticNat,
  translateAddresses,
  translateKnown,
} from '../../src/pipeline/stages/nat.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';

const rule: NatRule = { number: 9, id: 4, epoch: 77, network: 3 };
const [inner, outer] = [0x0a00010b, 0xcb00710a];
const zone = 1_024;

/** Port 1 is inside, port 2 outside. */
const around: Flow[] = [
  {
    table: 0,
    priority: 1,
    cookie: 1n,
    match: { in_port: 1, eth_type: 0x0800 },
    actions: [load(registers.network, rule.network), load(registers.zone, zone)],
    goto: tables.SourceNat.id,
  },
  {
    table: 0,
    priority: 1,
    cookie: 1n,
    match: { in_port: 2, eth_type: 0x0800 },
    actions: [load(registers.network, rule.network), load(registers.zone, zone), translateKnown(tables.ProviderNat)],
  },
  { table: tables.ProviderOutput.id, priority: 1, cookie: 1n, match: {}, actions: [{ type: 'output', port: 2 }] },
  { table: tables.Steering.id, priority: 1, cookie: 1n, match: {}, actions: [{ type: 'output', port: 1 }] },
];

const tier = { family: 4, value: 0x0a000100, length: 24 } as const;
const translation = { public: outer, private: inner };
const kinds: { name: string; flows: Flow[]; inward: boolean }[] = [
  { name: 'source NAT of a tier', flows: [sourceNat(rule, tier, outer)], inward: false },
  { name: 'static NAT, outward', flows: staticNat(rule, translation), inward: false },
  { name: 'static NAT, inward', flows: staticNat(rule, translation), inward: true },
  {
    name: 'a forwarded port',
    flows: forwardPorts(rule, translation, {
      protocol: 'udp',
      public: { value: 443, mask: 0xffff },
      private: 8_443,
    }),
    inward: true,
  },
];

const packets = async (file: string): Promise<string[]> => {
  const bytes = await readFile(file);
  const found: string[] = [];
  for (let at = 24; at + 16 <= bytes.length; at += 16 + bytes.readUInt32LE(at + 8))
    found.push(bytes.toString('hex', at + 16 + 26, at + 16 + 38));
  return found;
};

test.for(kinds)('$name: sent thrice, and unanswered', { timeout: 30_000 }, async ({ flows, inward }, context) => {
  await openVswitchOrSkip(context);
  await using s = await startDummySwitch();
  for (const name of ['p1', 'p2']) {
    await s.addPort(name);
    await s.vsctl('set', 'Interface', name, `options:tx_pcap=${join(s.directory, `${name}.pcap`)}`);
  }
  const file = join(s.directory, 'flows.txt');
  const all = [...around, ...translateAddresses(), ...inForce(rule), ...flows];
  await writeFile(file, all.map((f) => `${formatFlow(f)}\n`).join(''));
  await s.ofctl('add-flows', file);
  const [from, to] = inward ? ['198.51.100.7', '203.0.113.10'] : ['10.0.1.11', '198.51.100.7'];
  const header = `eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=${from},dst=${to},proto=17,tos=0,ttl=64,frag=no),udp(src=5000,dst=443)`;
  const out = join(s.directory, inward ? 'p1.pcap' : 'p2.pcap');
  for (let sent = 1; sent <= 3; sent++) {
    await s.appctl('netdev-dummy/receive', inward ? 'p2' : 'p1', `in_port(${inward ? 2 : 1}),${header}`);
    await expect.poll(async () => (await packets(out)).length, { timeout: 3_000, interval: 10 }).toBe(sent);
  }
  expect(new Set(await packets(out)).size).toBe(1);
});
