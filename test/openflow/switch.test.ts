/** The codec against a real Open vSwitch: what it takes, what it gives back, what it says on its own. */
import { writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import { ByteWriter } from '../../plugins/openvswitch/openflow/bytes.ts';
import { type Message, messageType } from '../../plugins/openvswitch/openflow/frame.ts';
import * as messages from '../../plugins/openvswitch/openflow/messages.ts';
import {
  decodeFlows,
  encodeFlows,
  forEachRecord,
  recordKeyHash,
  recordTable,
  sameKey,
  sameRecord,
} from '../../plugins/openvswitch/openflow/record.ts';
import * as replies from '../../plugins/openvswitch/openflow/replies.ts';
import { noShape, recordShape } from '../../plugins/openvswitch/openflow/shape.ts';
import { formatFlow, parseFlow } from '../../plugins/openvswitch/openflow/text.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { type DummySwitch, openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { anyFlow, groups, meters } from './arbitrary.ts';
import { type Management, manage } from './management.ts';

let vswitch: DummySwitch | undefined;
let management: Management | undefined;

/** One switch for all of these tests, with the groups and meters that random flows speak of, and no flows. */
async function emptySwitch(): Promise<{ vswitch: DummySwitch; management: Management }> {
  vswitch ??= await startDummySwitch();
  if (management === undefined) {
    for (const group of groups) await vswitch.ofctl('add-group', `group_id=${group},type=all`);
    management = await manage(vswitch.managementPath());
    for (const meter of meters) {
      noErrors(await management.exchange(messages.meterMod(1, 'add', { meter, unit: 'kbps', rate: 100_000 })));
    }
  }
  noErrors(await management.exchange(messages.flowDelete(1)));
  return { vswitch, management };
}

beforeEach(async (context) => {
  await openVswitchOrSkip(context);
});

afterAll(async () => {
  await management?.[Symbol.asyncDispose]();
  await vswitch?.[Symbol.asyncDispose]();
});

function errorsOf(answers: readonly Message[]): replies.OpenflowError[] {
  return answers
    .filter((message) => message.type === messageType.error)
    .map((message) => replies.parseError(message.body));
}

function noErrors(answers: readonly Message[]): void {
  expect(errorsOf(answers).map(({ name, refusedXid }) => `${name} for ${refusedXid}`)).toEqual([]);
}

function controls(answers: readonly Message[]): replies.BundleControl[] {
  return answers
    .filter((message) => message.type === messageType.bundleControl)
    .map((message) => replies.parseBundleControl(message.body));
}

/** Adds flows in one bundle, in two phases: adds and a barrier, then commit and a barrier. */
async function addInBundle(switchSide: Management, records: Uint8Array): Promise<void> {
  const { bundleType } = messages;
  const writer = new ByteWriter();
  let xid = 1000;
  writer.bytes(messages.bundleControl(xid++, 7, bundleType.open));
  forEachRecord(records, (offset) => {
    messages.bundleAddFlow(writer, xid++, 7, records, offset, 'add');
  });
  const opened = await switchSide.exchange(writer.view());
  noErrors(opened);
  expect(controls(opened)).toEqual([{ bundleId: 7, type: bundleType.openReply, flags: 0 }]);
  const committed = await switchSide.exchange(messages.bundleControl(xid, 7, bundleType.commit));
  noErrors(committed);
  expect(controls(committed)).toEqual([{ bundleId: 7, type: bundleType.commitReply, flags: 0 }]);
}

/** Every flow of the switch as records. */
async function dump(switchSide: Management, filter?: messages.FlowFilter): Promise<Buffer> {
  const records = new ByteWriter();
  const { flowDesc } = messages.multipartType;
  for (const part of await switchSide.multipart(messages.flowDescRequest(9, filter), flowDesc)) {
    replies.parseFlowDescPart(part, records, () => {});
  }
  return records.view();
}

/** Records in an order of their own, to compare sets of them. */
function sorted(records: Uint8Array): string[] {
  const list: string[] = [];
  forEachRecord(records, (offset, length) => {
    list.push(Buffer.from(records.subarray(offset, offset + length)).toString('hex'));
  });
  return list.sort();
}

/** Random flows, each with a key of its own. */
function sample(count: number): Flow[] {
  return fc.sample(
    fc.uniqueArray(anyFlow, { minLength: count, maxLength: count, selector: keyOf, size: 'max' }),
    1,
  )[0]!;
}

/** ovs-ofctl says "no" and "later" of ip_frag whether or not the other bit is matched; it reads them as both. */
function isAmbiguous({ match: { ip_frag: fragment } }: Flow): boolean {
  return typeof fragment === 'object' && fragment.mask !== 3 && !(fragment.value === 1 && fragment.mask === 1);
}

/**
 * ovs-ofctl 3.1 takes the first digits of an IPv6 mask for a prefix length ("/64e7:…"), and reads a meter as the
 * instruction of OpenFlow 1.4, which stands first.
 */
function isUnreadable(flow: Flow): boolean {
  const text = formatFlow(flow);
  if (flow.actions.some(({ type }, index) => type === 'meter' && index > 0)) return true;
  return [...text.matchAll(/\/(\d[\da-f]*:[\da-f:.]*)/g)].some((match) => !/^(..:){5}..$/.test(match[1]!));
}

function keyOf(flow: Flow): string {
  return Buffer.from(encodeFlows([{ ...flow, actions: [], goto: undefined, cookie: 0n }])).toString('hex');
}

test('random flows come back byte for byte, and in the words of ovs-ofctl', async () => {
  const { vswitch, management } = await emptySwitch();
  const flows = sample(1500);
  const records = encodeFlows(flows);
  await addInBundle(management, records);
  const back = await dump(management);
  expect(sorted(back)).toEqual(sorted(records));
  expect(recordTable(back, 0)).toBeLessThanOrEqual(252);

  const printed = (await vswitch.ofctl('dump-flows', '--no-names'))
    .split('\n')
    .filter((line) => line.includes('cookie='));
  const withoutCounters = printed.map((line) =>
    line.trim().replace(/ (duration|n_packets|n_bytes|idle_age)=[^,]*,/g, ''),
  );
  expect(flows.map((flow) => formatFlow(flow)).sort()).toEqual(withoutCounters.sort());
  // What its words say is what the bytes say, but where its words say less.
  const isClear = (flow: Flow): boolean => !isAmbiguous(flow);
  const clear = decodeFlows(back).filter(isClear);
  expect(sorted(encodeFlows(clear.map((flow) => parseFlow(formatFlow(flow)))))).toEqual(sorted(encodeFlows(clear)));
  expect(clear.length).toBeGreaterThan(1000);
});

/** The record with one bit changed, where it is still one that we would write. */
function changed(record: Buffer, bit: number): Buffer | undefined {
  const other = Buffer.from(record);
  other[bit >> 3]! ^= 1 << (bit & 7);
  try {
    const [flow] = decodeFlows(other);
    return flow !== undefined && Buffer.from(encodeFlows([flow])).equals(other) ? other : undefined;
  } catch {
    // Not a flow any more, or none of our vocabulary.
    return undefined;
  }
}

test('a flow of a shape that was taken is taken', async () => {
  const { management } = await emptySwitch();
  let tried = 0;
  for (let round = 0; round < 8; round++) {
    const alike: Buffer[] = [];
    for (const flow of sample(150)) {
      const record = Buffer.from(encodeFlows([flow]));
      const shape = recordShape(record, 0);
      if (shape === noShape) continue;
      for (const bit of fc.sample(fc.integer({ min: 128, max: record.length * 8 - 1 }), 40)) {
        const other = changed(record, bit);
        if (other !== undefined && recordShape(other, 0) === shape) alike.push(other);
      }
    }
    tried += alike.length;
    await addInBundle(management, Buffer.concat(alike));
    noErrors(await management.exchange(messages.flowDelete(1)));
  }
  expect(tried).toBeGreaterThan(5_000);
});

test('ovs-ofctl reads our text as the same flows', async () => {
  const { vswitch, management } = await emptySwitch();
  const flows = sample(500).filter((flow) => !isAmbiguous(flow) && !isUnreadable(flow));
  expect(flows.length).toBeGreaterThan(250);
  const path = `${vswitch.directory}/flows.txt`;
  await writeFile(path, flows.map((flow) => `${formatFlow(flow)}\n`).join(''));
  await vswitch.ofctl('add-flows', '--bundle', path);
  expect(sorted(await dump(management))).toEqual(sorted(encodeFlows(flows)));
});

test('a re-add replaces cookie and actions, modifyStrict the actions, deleteStrict removes that flow alone', async () => {
  const { management } = await emptySwitch();
  const base: Flow = { table: 4, priority: 10, cookie: 1n, match: { reg3: 5 }, actions: [{ type: 'output', port: 1 }] };
  const other: Flow = { ...base, priority: 11 };
  const changed: Flow = { ...base, cookie: 2n, actions: [{ type: 'output', port: 2 }] };
  const send = async (flow: Flow, command: messages.FlowCommand): Promise<void> => {
    const writer = new ByteWriter();
    messages.flowMod(writer, 5, encodeFlows([flow]), 0, command);
    noErrors(await management.exchange(writer.view()));
  };
  const there = async (): Promise<Flow[]> =>
    decodeFlows(await dump(management)).sort((a, b) => a.priority - b.priority);
  await send(base, 'add');
  await send(other, 'add');
  await send(changed, 'modifyStrict');
  expect(await there()).toEqual([{ ...changed, cookie: 1n }, other]);
  await send(changed, 'add');
  expect(await there()).toEqual([changed, other]);
  await send(changed, 'deleteStrict');
  expect(await there()).toEqual([other]);
});

test('dumps narrow by table, match and cookie', async () => {
  const { management } = await emptySwitch();
  const flow = (table: number, cookie: bigint, reg0: number): Flow => ({
    table,
    priority: 1,
    cookie,
    match: { reg0 },
    actions: [],
  });
  const flows = [flow(1, 0x11n, 1), flow(1, 0x12n, 2), flow(2, 0x11n, 1)];
  await addInBundle(management, encodeFlows(flows));
  const dumped = async (filter: messages.FlowFilter): Promise<string[]> => sorted(await dump(management, filter));
  const wanted = (...indices: number[]): string[] => sorted(encodeFlows(indices.map((index) => flows[index]!)));
  expect(await dumped({ table: 1 })).toEqual(wanted(0, 1));
  expect(await dumped({ match: { reg0: 1 } })).toEqual(wanted(0, 2));
  expect(await dumped({ cookie: 0x12n })).toEqual(wanted(1));
  expect(await dumped({ table: 1, cookie: 0x10n, cookieMask: 0xf0n })).toEqual(wanted(0, 1));
  noErrors(await management.exchange(messages.flowDelete(3, { cookie: 0x11n })));
  expect(await dumped({})).toEqual(wanted(1));
});

test('a flow with timeout, flags or importance is the same flow, but not the same record', async () => {
  const { vswitch, management } = await emptySwitch();
  const ours = encodeFlows([{ table: 0, priority: 5, cookie: 7n, match: { in_port: 3 }, actions: [] }]);
  for (const extra of ['idle_timeout=600', 'hard_timeout=600', 'send_flow_rem', 'importance=3']) {
    await vswitch.ofctl('add-flow', `priority=5,cookie=7,in_port=3,${extra},actions=drop`);
    const theirs = await dump(management);
    expect(sameKey(ours, 0, theirs, 0)).toBe(true);
    expect(recordKeyHash(ours, 0)).toBe(recordKeyHash(theirs, 0));
    expect(sameRecord(ours, 0, theirs, 0), extra).toBe(false);
    await addInBundle(management, ours);
    expect(sameRecord(ours, 0, await dump(management), 0), `mended after ${extra}`).toBe(true);
  }
});

test('counters of a flow and of many', async () => {
  const { vswitch, management } = await emptySwitch();
  const port = await vswitch.addPort('counted');
  const flow: Flow = { table: 0, priority: 5, cookie: 7n, match: { in_port: port }, actions: [] };
  await addInBundle(management, encodeFlows([flow]));
  const frame = `${'ffffffffffff'}${'020000000001'}${'88b5'}${'00'.repeat(46)}`;
  for (let i = 0; i < 3; i++) await vswitch.appctl('netdev-dummy/receive', 'counted', frame);
  await vswitch.appctl('revalidator/wait');
  const [part] = await management.multipart(messages.flowDescRequest(9), messages.multipartType.flowDesc);
  const seen: replies.FlowStats[] = [];
  replies.parseFlowDescPart(part!, new ByteWriter(), (_offset, _length, stats) => seen.push({ ...stats }));
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatchObject({ packets: 3, bytes: 180 });
  expect(seen[0]!.duration).toBeGreaterThan(0);
  expect(seen[0]!.duration).toBeLessThan(60);
  const line = (await vswitch.ofctl('dump-flows')).split('\n').find((text) => text.includes('cookie=0x7'))!;
  const ours = formatFlow(flow, { stats: seen[0] });
  const ageless = (text: string): string =>
    text
      .trim()
      .replace(/duration=[\d.]+s, /, '')
      .replace(/idle_age=\d+, /, '');
  expect(ageless(ours)).toBe(ageless(line));
  const [aggregate] = await management.multipart(messages.aggregateRequest(9), messages.multipartType.aggregate);
  expect(replies.parseAggregate(aggregate!)).toEqual({ flows: 1, packets: 3, bytes: 180 });
});

test('what ports have counted, of one and of all', async () => {
  const { vswitch, management } = await emptySwitch();
  const [from, to] = [await vswitch.addPort('vif-from'), await vswitch.addPort('vif-to')];
  await vswitch.ofctl('add-flow', `in_port=${from},actions=output:${to}`);
  const frame = 'ffffffffffff0200000000018999'.padEnd(120, '0');
  for (let n = 0; n < 3; n++) await vswitch.appctl('netdev-dummy/receive', 'vif-from', frame);
  const read = async (port?: number): Promise<replies.PortStats[]> =>
    (await management.multipart(messages.portStatsRequest(9, port), messages.multipartType.portStats)).flatMap(
      replies.parsePortStats,
    );
  await vi.waitFor(async () => expect((await read(to))[0]?.sent.packets).toBe(3), 5_000);
  const three = { packets: 3, bytes: 180 };
  const none = { packets: 0, bytes: 0 };
  const expected = [
    { port: from, received: three, sent: none },
    { port: to, received: none, sent: three },
  ];
  expect([...(await read(from)), ...(await read(to))]).toMatchObject(expected);
  expect((await read()).filter(({ port }) => port === from || port === to)).toMatchObject(expected);
  expect(await read(9_999)).toEqual([]);
});

test('a refused flow in a bundle is named by its xid', async () => {
  const { management } = await emptySwitch();
  const good = encodeFlows([{ table: 0, priority: 5, cookie: 7n, match: {}, actions: [] }]);
  const bad = encodeFlows([
    { table: 0, priority: 6, cookie: 7n, match: {}, actions: [{ type: 'group', group: 4711 }] },
  ]);
  const writer = new ByteWriter();
  writer.bytes(messages.bundleControl(20, 8, messages.bundleType.open));
  messages.bundleAddFlow(writer, 21, 8, good, 0, 'add');
  messages.bundleAddFlow(writer, 22, 8, bad, 0, 'add');
  writer.bytes(messages.bundleControl(23, 8, messages.bundleType.commit));
  const errors = errorsOf(await management.exchange(writer.view()));
  expect(errors.map(({ name, refusedXid }) => [name, refusedXid])).toEqual([
    ['OFPBAC_BAD_OUT_GROUP', 22],
    ['OFPBFC_MSG_FAILED', 23],
  ]);
  expect(await dump(management)).toHaveLength(0);
});

test('a flow monitor tells of others in full and of ourselves by xid', async () => {
  const { vswitch, management } = await emptySwitch();
  noErrors(await management.exchange(messages.flowMonitorRequest(31, { monitor: 5 })));
  const updates = (answers: readonly Message[], records: ByteWriter): replies.FlowUpdate[] =>
    answers
      .filter((message) => message.type === messageType.multipartReply)
      .map((message) => replies.parseMultipart(message.body))
      .filter((part) => part.type === messages.multipartType.flowMonitor)
      .flatMap((part) => replies.parseFlowUpdates(part.body, records));

  const ours = encodeFlows([{ table: 1, priority: 5, cookie: 7n, match: { reg1: 1 }, actions: [] }]);
  const writer = new ByteWriter();
  messages.flowMod(writer, 4711, ours, 0, 'add');
  const records = new ByteWriter();
  expect(updates(await management.exchange(writer.view()), records)).toEqual([{ event: 'abbreviated', xid: 4711 }]);

  await vswitch.ofctl('add-flow', 'table=2,cookie=9,priority=3,udp,tp_dst=53,actions=output:3');
  await vswitch.ofctl('mod-flows', 'table=2,udp,tp_dst=53,actions=output:4');
  await vswitch.ofctl('del-flows', '--strict', 'table=1,priority=5,reg1=1');
  const told = updates(await management.exchange(), records);
  expect(told.map(({ event }) => event)).toEqual(['added', 'modified', 'removed']);
  const flows = told.map((update) => {
    if (!('offset' in update)) throw new Error(`${update.event} has no flow`);
    return decodeFlows(records.view(update.offset, update.offset + update.length))[0]!;
  });
  const match = { eth_type: 0x0800, ip_proto: 17, udp_dst: 53 };
  const theirs: Flow = { table: 2, priority: 3, cookie: 9n, match, actions: [{ type: 'output', port: 3 }] };
  expect(flows[0]).toEqual(theirs);
  expect(flows[1]).toEqual({ ...theirs, actions: [{ type: 'output', port: 4 }] });
  expect(flows[2]).toEqual(decodeFlows(ours)[0]);
  noErrors(await management.exchange(messages.flowMonitorCancel(32, 5)));
  await vswitch.ofctl('del-flows');
  expect(updates(await management.exchange(), records)).toEqual([]);
});

test('features, ports, groups and meters', async () => {
  const { vswitch, management } = await emptySwitch();
  const { multipartType, virtualMeter } = messages;
  const [features] = await management.exchange(messages.featuresRequest(40));
  const parsed = replies.parseFeatures(features!.body);
  const datapathId = (await vswitch.vsctl('get', 'Bridge', 'br-int', 'datapath_id')).trim().replaceAll('"', '');
  expect(parsed).toMatchObject({ datapathId: BigInt(`0x${datapathId}`), tables: 254, auxiliaryId: 0 });
  expect(parsed.capabilities & replies.capability.bundles).not.toBe(0);

  noErrors(await management.exchange(messages.setConfig(41, 0)));
  noErrors(await management.exchange(messages.asyncConfig(42, { packetIn: 0, portStatus: 7, flowRemoved: 0 })));
  const port = await vswitch.addPort('vif-described');
  const said = await management.exchange();
  const statuses = said
    .filter((message) => message.type === messageType.portStatus)
    .map((message) => replies.parsePortStatus(message.body));
  expect(statuses).toContainEqual({ reason: 'add', port: expect.objectContaining({ port, name: 'vif-described' }) });
  const ports = (await management.multipart(messages.portDescRequest(43), multipartType.portDesc)).flatMap(
    replies.parsePortDesc,
  );
  const shown = await vswitch.ofctl('show');
  for (const { port: number, name, mac } of ports) {
    const address = mac
      .toString(16)
      .padStart(12, '0')
      .replace(/..(?!$)/g, '$&:');
    expect(shown).toContain(`${number === 0xfffffffe ? 'LOCAL' : number}(${name}): addr:${address}`);
  }
  expect(ports.map(({ name }) => name)).toContain('vif-described');

  const groupIds = async (): Promise<number[]> =>
    (await management.multipart(messages.groupDescRequest(44), multipartType.groupDesc))
      .flatMap(replies.parseGroupDesc)
      .sort((a, b) => a - b);
  expect(await groupIds()).toEqual([...groups]);
  await vswitch.ofctl('add-group', 'group_id=9,type=select,bucket=output:1,bucket=output:2');
  expect(await groupIds()).toEqual([1, 9, 77]);
  noErrors(await management.exchange(messages.groupDelete(45, 9)));
  expect(await groupIds()).toEqual([...groups]);

  const meterList = async (): Promise<replies.MeterDesc[]> =>
    (await management.multipart(messages.meterConfigRequest(46), multipartType.meterConfig))
      .flatMap(replies.parseMeterConfig)
      .sort((a, b) => a.meter - b.meter);
  const normal = meters.map((meter) => ({ meter, unit: 'kbps' as const, rate: 100_000 }));
  expect(await meterList()).toMatchObject(normal);
  const controller = { meter: virtualMeter.controller, unit: 'pktps', rate: 1000, burst: 500 } as const;
  const slowpath = { meter: virtualMeter.slowpath, unit: 'pktps', rate: 2000, burst: 700 } as const;
  noErrors(await management.exchange(messages.meterMod(47, 'add', controller), messages.meterMod(48, 'add', slowpath)));
  expect(await meterList()).toMatchObject([...normal, slowpath, controller]);
  expect(await vswitch.ofctl('dump-meters')).toMatch(/meter=controller pktps burst stats/);
  noErrors(await management.exchange(messages.meterMod(49, 'modify', { ...controller, rate: 3000 })));
  expect(await meterList()).toMatchObject([...normal, slowpath, { ...controller, rate: 3000 }]);
  for (const { meter } of [controller, slowpath]) {
    noErrors(await management.exchange(messages.meterMod(50, 'delete', { meter })));
  }
  expect(await meterList()).toMatchObject(normal);
});

test('packetOut passes the tables, and ctFlushZone forgets one zone', async () => {
  const { vswitch, management } = await emptySwitch();
  const commit = (priority: number, udp_dst: number, zone: number): Flow => ({
    table: 0,
    priority,
    cookie: 1n,
    match: { eth_type: 0x0800, ip_proto: 17, udp_dst },
    actions: [{ type: 'ct', commit: true, zone }],
  });
  await addInBundle(management, encodeFlows([commit(1, 53, 11), commit(2, 54, 12)]));
  const datagram = (port: number): Buffer => {
    const ports = `1000${port.toString(16).padStart(4, '0')}`;
    const ip = `4500001c0000000040110000${'0a000001'}${'0a000002'}`;
    const bytes = Buffer.from(`020000000002020000000001${'0800'}${ip}${ports}00080000`, 'hex');
    let sum = 0;
    for (let at = 14; at < 34; at += 2) sum += bytes.readUInt16BE(at);
    bytes.writeUInt16BE(~(sum + (sum >>> 16)) & 0xffff, 24);
    return bytes;
  };
  const toTable = [{ type: 'output', port: 0xfffffff9 }] as const;
  noErrors(
    await management.exchange(
      messages.packetOut(60, 0xfffffffd, toTable, datagram(53)),
      messages.packetOut(61, 0xfffffffd, toTable, datagram(54)),
    ),
  );
  const zones = async (): Promise<string[]> =>
    [...(await vswitch.appctl('dpctl/dump-conntrack')).matchAll(/zone=(\d+)/g)].map((match) => match[1]!).sort();
  expect(await zones()).toEqual(['11', '12']);
  noErrors(await management.exchange(messages.ctFlushZone(62, 11)));
  expect(await zones()).toEqual(['12']);
  noErrors(await management.exchange(messages.ctFlushZone(63, 12)));
  expect(await zones()).toEqual([]);
});
