/** The client of a switch's management socket, with real Open vSwitch and no controller. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { connect, type LocalClient } from '../../plugins/openvswitch/local-client.ts';
import { formatFlow } from '../../plugins/openvswitch/openflow/text.ts';
import type { PacketIn } from '../../src/drivers/switch-plugin.ts';
import { type Flow, reservedPort } from '../../src/pipeline/flow.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { type DummySwitch, openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';

beforeEach(async (context) => {
  await openVswitchOrSkip(context);
});

const id = 0x4b47;

const frame = (last: number): string =>
  `${'ff'.repeat(6)}0200000000028999${last.toString(16).padStart(2, '0').repeat(46)}`;

const toProgram = (table: number, controllerId: number | undefined, userdata: number[]): Flow['actions'][number] => ({
  type: 'controller',
  userdata: Uint8Array.from(userdata),
  ...(controllerId === undefined ? {} : { id: controllerId }),
  maxLength: table === 0 ? 0xffff : 128,
});

/** Frames with even last bytes go to the program, others to controllers; table 20 is where answers come in. */
const flows: Flow[] = [
  {
    table: 0,
    priority: 10,
    cookie: 7n,
    match: {},
    actions: [
      { type: 'setField', field: 'metadata', value: 0x1234n },
      { type: 'setField', field: 'reg5', value: 99 },
    ],
    goto: 5,
  },
  {
    table: 5,
    priority: 10,
    cookie: 0xabcdn,
    match: { eth_type: 0x8999 },
    actions: [toProgram(0, id, [3, 1, 4]), toProgram(0, undefined, [9]), toProgram(0, id + 1, [8])],
  },
  {
    table: 20,
    priority: 10,
    cookie: 8n,
    match: { reg5: 42, metadata: 0x77n },
    actions: [{ type: 'output', port: 1 }],
  },
];

type Lab = { ovs: DummySwitch; client: LocalClient; packets: PacketIn[]; said: string[]; lines: string[] };

async function withClient(ovs: DummySwitch, take?: (packet: PacketIn) => void): Promise<Lab & Disposable> {
  const packets: PacketIn[] = [];
  const said: string[] = [];
  const lines: string[] = [];
  const line = (fields: object, message: string): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const client = connect(ovs.managementPath(), {
    controllerId: id,
    onPacketIn(packet) {
      packets.push(packet);
      take?.(packet);
    },
    onConnected: () => said.push('connected'),
    onDisconnected: () => said.push('disconnected'),
    log: { debug: line, info: line, warn: line, error: line },
  });
  await until('the connection', () => client.connected);
  return { ovs, client, packets, said, lines, [Symbol.dispose]: () => client.close() };
}

async function program(ovs: DummySwitch): Promise<void> {
  for (const flow of flows) await ovs.ofctl('add-flow', formatFlow(flow));
}

async function prepared(): Promise<DummySwitch> {
  const ovs = await startDummySwitch();
  await ovs.addPort('p1');
  await ovs.vsctl('set', 'Interface', 'p1', `options:tx_pcap=${join(ovs.directory, 'p1.pcap')}`);
  await program(ovs);
  return ovs;
}

const sent = (ovs: DummySwitch): string => readFileSync(join(ovs.directory, 'p1.pcap')).toString('hex');

test('takes the packets with its id and no others, with userdata, fields and all of the frame', async () => {
  await using ovs = await prepared();
  using lab = await withClient(ovs);
  await ovs.appctl('netdev-dummy/receive', 'p1', frame(1));
  await ovs.appctl('netdev-dummy/receive', 'p1', frame(2));
  await until('both', () => lab.packets.length === 2);
  const [first, second] = lab.packets;
  expect(Buffer.from(first!.bytes).toString('hex')).toBe(frame(1));
  expect([...first!.userdata]).toEqual([3, 1, 4]);
  expect(first).toMatchObject({ table: 5, cookie: 0xabcdn, reason: 'action', length: 60 });
  expect(first!.fields).toMatchObject({ in_port: 1, metadata: 0x1234n, reg5: 99 });
  expect(Buffer.from(second!.bytes).toString('hex')).toBe(frame(2));
  expect(await ovs.ofctl('dump-flows', 'table=5')).toContain(`controller(id=${id},userdata=03.01.04)`);
});

test('hands the switch packets that go through the pipeline; what it refuses is said', async () => {
  await using ovs = await prepared();
  using lab = await withClient(ovs);
  const actions: Flow['actions'] = [
    { type: 'setField', field: 'metadata', value: 0x77n },
    { type: 'setField', field: 'reg5', value: 42 },
    { type: 'resubmit', table: 20 },
  ];
  const out = { inPort: reservedPort.controller, actions, bytes: Buffer.from(frame(5), 'hex') };
  expect(lab.client.sendPacket(out)).toBe(true);
  await until('the frame to leave', () => sent(ovs).includes(frame(5)));
  lab.client.sendPacket({ ...out, actions: [{ type: 'group', group: 77 }] });
  await until('the refusal', () => lab.lines.some((line) => line.includes('OFPBAC_BAD_OUT_GROUP')));
  expect(lab.client.connected).toBe(true);
});

test('an answer leaves in the same turn; one that fails costs no other', async () => {
  await using ovs = await prepared();
  let client: LocalClient | undefined;
  using lab = await withClient(ovs, ({ bytes }) => {
    if (bytes.at(-1) === 1) throw new Error('no answer to this');
    client!.sendPacket({ inPort: reservedPort.controller, actions: [{ type: 'output', port: 1 }], bytes });
  });
  client = lab.client;
  await ovs.appctl('netdev-dummy/receive', 'p1', frame(1));
  await ovs.appctl('netdev-dummy/receive', 'p1', frame(2));
  await until('the answer', () => sent(ovs).includes(frame(2)));
  expect(sent(ovs)).not.toContain(frame(1));
  expect(lab.lines.some((line) => line.includes('could not be dealt with'))).toBe(true);
});

test('tells that there is no ovs-vswitchd where there was one, and nothing of a socket that is not there', async () => {
  await using ovs = await prepared();
  await ovs.kill('ovs-vswitchd');
  const said: string[] = [];
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const open = (path: string, name: string): LocalClient =>
    connect(path, {
      ...{ controllerId: id, onPacketIn: () => {}, log },
      onConnected: () => said.push(`${name} up`),
      onDisconnected: () => said.push(`${name} down`),
    });
  const clients = [open(ovs.managementPath(), 'dead'), open(`${ovs.managementPath()}.none`, 'none')];
  await until('the first', () => said.length === 1);
  // Long enough for several attempts.
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(said).toEqual(['dead down']);
  await ovs.restart('ovs-vswitchd');
  await until('the connection', () => said.length === 2);
  expect(said).toEqual(['dead down', 'dead up']);
  for (const client of clients) client.close();
});

test('comes back when ovs-vswitchd was away, and waits for one that is not there yet', async () => {
  await using ovs = await prepared();
  using lab = await withClient(ovs);
  await ovs.kill('ovs-vswitchd');
  await until('the loss', () => lab.said.length === 2);
  expect(lab.client.connected).toBe(false);
  expect(lab.client.sendPacket({ inPort: 1, actions: [], bytes: Buffer.from(frame(1), 'hex') })).toBe(false);
  await ovs.restart('ovs-vswitchd');
  await until('the connection', () => lab.client.connected);
  expect(lab.said).toEqual(['connected', 'disconnected', 'connected']);
  await program(ovs);
  await ovs.appctl('netdev-dummy/receive', 'p1', frame(3));
  await until('a packet', () => lab.packets.length === 1);
  lab.client.close();
  await ovs.appctl('netdev-dummy/receive', 'p1', frame(4));
  expect(lab.packets.length).toBe(1);
  expect(lab.said.length).toBe(3);
});
