/** Packets to the controller and from it, with the whole plugin and real Open vSwitch. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { cookie } from '../../src/pipeline/cookie.ts';
import { type Flow, reservedPort } from '../../src/pipeline/flow.ts';
import { timeExceeded, tooBig } from '../../src/pipeline/stages/icmp-error.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { type DummySwitch, openVswitchOrSkip, run, startDummySwitch } from '../support/open-vswitch.ts';
import { flow } from './flows.ts';
import { PluginUnderTest } from './plugin-under-test.ts';

beforeEach(async (context) => {
  await openVswitchOrSkip(context);
});

const vm = '020000000002';
const router = '020000000001';

function udp(ttl: number, size = 8): string {
  const bytes = Buffer.alloc(42 + size);
  bytes.write(`${router}${vm}080045000000000000000011`, 'hex');
  bytes.writeUInt16BE(28 + size, 16);
  bytes[22] = ttl;
  bytes[23] = 17;
  bytes.write('0a0000050a010007', 26, 'hex');
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += bytes.readUInt16BE(at);
  bytes.writeUInt16BE(~(sum + (sum >>> 16)) & 0xffff, 24);
  bytes.writeUInt16BE(4000, 34);
  bytes.writeUInt16BE(33434, 36);
  bytes.writeUInt16BE(8 + size, 38);
  return bytes.toString('hex');
}

type Both = { under: PluginUnderTest; ovs: DummySwitch; port: number } & AsyncDisposable;

/** A switch with one port, p1, whose outgoing frames go into a file. */
async function connected(options: ConstructorParameters<typeof PluginUnderTest>[0] = {}): Promise<Both> {
  const under = await new PluginUnderTest(options).start();
  const ovs = await startDummySwitch({ manager: under.managers[0]! });
  under.plugin.ready(1);
  await under.seen('connected');
  const port = await ovs.addPort('p1');
  await ovs.vsctl('set', 'Interface', 'p1', `options:tx_pcap=${join(ovs.directory, 'p1.pcap')}`);
  return {
    under,
    ovs,
    port,
    async [Symbol.asyncDispose]() {
      await under[Symbol.asyncDispose]();
      await ovs[Symbol.asyncDispose]();
    },
  };
}

/** Frames that went out of p1, in hex. */
function sent(ovs: DummySwitch): string[] {
  const bytes = readFileSync(join(ovs.directory, 'p1.pcap'));
  const frames: string[] = [];
  for (let at = 24; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at + 8);
    frames.push(bytes.toString('hex', at + 16, at + 16 + length));
    at += 16 + length;
  }
  return frames;
}

async function printed(ovs: DummySwitch, context: Parameters<typeof openVswitchOrSkip>[0]): Promise<string> {
  const { programs, env } = await openVswitchOrSkip(context);
  const user = process.getuid?.() === 0 ? ['-Z', 'root'] : [];
  const input = readFileSync(join(ovs.directory, 'p1.pcap'));
  return await run((programs as Record<string, string>).tcpdump ?? 'tcpdump', [...user, '-n', '-vv', '-t', '-r', '-'], {
    env,
    input,
  });
}

const toController = (port: number, userdata: number[]): Flow =>
  flow(7, 0, {
    table: 0,
    match: { in_port: port },
    actions: [
      { type: 'setField', field: 'reg4', value: 77 },
      { type: 'controller', userdata: new Uint8Array(userdata) },
    ],
    goto: undefined,
  });

test('a packet that a flow sends here is told with what the flow says of it', async () => {
  await using both = await connected();
  const { under, ovs, port } = both;
  const wanted = toController(port, [2, 0xaa, 0xbb]);
  await under.program({ a: [wanted] });
  const frame = udp(64, 100);
  await ovs.appctl('netdev-dummy/receive', 'p1', frame);
  await under.seen('packetIn');
  const [hypervisor, packet] = under.all('packetIn')[0]!;
  expect(hypervisor).toBe(1);
  expect(packet).toMatchObject({ cookie: wanted.cookie, table: 0, reason: 'action', length: 142 });
  expect(packet.fields).toEqual({ in_port: port, reg4: 77 });
  expect(Buffer.from(packet.bytes).toString('hex')).toBe(frame);
  expect([...packet.userdata]).toEqual([2, 0xaa, 0xbb]);
});

test('misses, outputs to the controller of another kind and expired TTLs are not told', async () => {
  await using both = await connected();
  const { under, ovs, port } = both;
  await under.program({
    a: [
      flow(7, 0, {
        table: 0,
        match: { in_port: port, eth_type: 0x0800 },
        actions: [{ type: 'decTtl' }, { type: 'output', port }],
        goto: undefined,
      }),
    ],
  });
  await ovs.appctl('netdev-dummy/receive', 'p1', udp(1));
  await ovs.appctl('netdev-dummy/receive', 'p1', `${router}${vm}1234${'00'.repeat(46)}`);
  await under.program({ a: [toController(port, [2])] });
  await ovs.appctl('netdev-dummy/receive', 'p1', udp(64));
  await under.seen('packetIn');
  expect(under.all('packetIn')).toHaveLength(1);
  expect(await under.stats()).toMatchObject({ packetIns: 1, packetInsDropped: 0 });
});

test('what is beyond the rate is dropped, and counted', async () => {
  const packetIns = { told: { rate: 0.001, burst: 3 }, answered: { rate: 1, burst: 1 } };
  await using both = await connected({ settings: { packetIns } });
  const { under, ovs, port } = both;
  await under.program({ a: [toController(port, [2])] });
  for (let i = 0; i < 8; i++) await ovs.appctl('netdev-dummy/receive', 'p1', udp(64));
  await until('eight packets', async () => (await under.stats()).packetIns === 8);
  expect(under.all('packetIn')).toHaveLength(3);
  expect((await under.stats()).packetInsDropped).toBe(5);
});

test('a packet is sent by a port, and through the pipeline as if it had come in by one', async () => {
  await using both = await connected();
  const { under, ovs, port } = both;
  await under.program({
    a: [
      flow(7, 0, {
        table: 9,
        match: { in_port: port, reg1: 5 },
        actions: [{ type: 'output', port: reservedPort.inPort }],
        goto: undefined,
      }),
    ],
  });
  const [one, other] = [udp(10), udp(20)];
  await under.plugin.sendPacket(1, {
    inPort: reservedPort.controller,
    actions: [{ type: 'output', port }],
    bytes: Buffer.from(one, 'hex'),
  });
  await under.plugin.sendPacket(1, {
    inPort: port,
    actions: [
      { type: 'setField', field: 'reg1', value: 5 },
      { type: 'resubmit', table: 9 },
    ],
    bytes: Buffer.from(other, 'hex'),
  });
  await until('both frames', () => sent(ovs).length === 2);
  expect(sent(ovs)).toEqual([one, other]);
  await expect(
    under.plugin.sendPacket(1, {
      inPort: port,
      actions: [{ type: 'group', group: 9 }],
      bytes: Buffer.from(one, 'hex'),
    }),
  ).rejects.toThrow('OFPBAC_BAD_OUT_GROUP');
  await expect(
    under.plugin.sendPacket(2, { inPort: port, actions: [], bytes: Buffer.from(one, 'hex') }),
  ).rejects.toMatchObject({ code: 'hypervisor.not-connected' });
});

test('expired and oversized packets are answered at once, out of the port they came in, up to a rate', async (context) => {
  const packetIns = { told: { rate: 1, burst: 1 }, answered: { rate: 0.001, burst: 2 } };
  await using both = await connected({ settings: { packetIns } });
  const { under, ovs, port } = both;
  const gateway = { family: 4, value: 0x0a000001 } as const;
  const place = { table: 34, cookie: cookie(34, 9), match: {}, gateway, meter: 7 };
  const larger = { reg0: { value: 0x40, mask: 0x40 } };
  const flows: Flow[] = [
    flow(9, 0, {
      table: 0,
      match: { in_port: port },
      actions: [{ type: 'checkPktLarger', length: 514, target: { field: 'reg0', offset: 6, bits: 1 } }],
      goto: 34,
    }),
    ...timeExceeded({ ...place, priority: 20 }),
    tooBig({ ...place, priority: 10, match: larger }, 500),
  ];
  const meter = { id: 7, cookie: cookie(34, 9), unit: 'pktps', rate: 100, burst: 100 } as const;
  await under.program({ a: flows }, [1], { a: [meter] });
  await ovs.appctl('netdev-dummy/receive', 'p1', udp(1));
  await ovs.appctl('netdev-dummy/receive', 'p1', udp(64, 100));
  await ovs.appctl('netdev-dummy/receive', 'p1', udp(64, 600));
  await until('two frames', () => sent(ovs).length === 2);
  const text = await printed(ovs, context);
  expect(text).toContain('10.0.0.1 > 10.0.0.5: ICMP time exceeded in-transit');
  expect(text).toContain('10.0.0.1 > 10.0.0.5: ICMP 10.1.0.7 unreachable - need to frag (mtu 500)');
  expect(text).not.toMatch(/bad cksum|wrong/);
  await ovs.appctl('netdev-dummy/receive', 'p1', udp(1));
  await until('the third', async () => (await under.stats()).packetIns === 3);
  expect((await under.stats()).packetInsDropped).toBe(1);
  expect(under.all('packetIn')).toEqual([]);
});
