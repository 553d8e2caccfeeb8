/** Every message we send, as ovs-ofctl reads it. */
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../plugins/openvswitch/openflow/bytes.ts';
import { errorName } from '../../plugins/openvswitch/openflow/errors.ts';
import { messageType } from '../../plugins/openvswitch/openflow/frame.ts';
import * as messages from '../../plugins/openvswitch/openflow/messages.ts';
import { encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import { parseError } from '../../plugins/openvswitch/openflow/replies.ts';
import { formatFlow, parseFlow } from '../../plugins/openvswitch/openflow/text.ts';
import { type Action, type Flow, reservedPort } from '../../src/pipeline/flow.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';
import { ofpParse, ofpPrint } from './ofctl.ts';

const record = encodeFlows([
  {
    table: 3,
    priority: 100,
    cookie: 0x123456789abcdef0n,
    match: { eth_type: 0x0800, reg0: { value: 1, mask: 1 }, ipv4_src: 0x0a000001 },
    actions: [{ type: 'output', port: 4 }],
    goto: 7,
  },
]);
const inRecord = 'priority=100,ip,reg0=0x1/0x1,nw_src=10.0.0.1';

function written(write: (target: ByteWriter) => void): Buffer {
  const target = new ByteWriter();
  write(target);
  return target.copy();
}

const cases: [name: string, message: Buffer, text: string][] = [
  ['hello', messages.hello(1), 'OFPT_HELLO (OF1.5) (xid=0x1):\n version bitmap: 0x06'],
  [
    'echoRequest',
    messages.echoRequest(2, Buffer.from('hi')),
    'OFPT_ECHO_REQUEST (OF1.5) (xid=0x2): 2 bytes of payload\n00000000  68 69                                           |hi              |',
  ],
  ['echoReply', messages.echoReply(3), 'OFPT_ECHO_REPLY (OF1.5) (xid=0x3): 0 bytes of payload'],
  ['featuresRequest', messages.featuresRequest(3), 'OFPT_FEATURES_REQUEST (OF1.5) (xid=0x3):'],
  ['barrierRequest', messages.barrierRequest(0xfffffffe), 'OFPT_BARRIER_REQUEST (OF1.5) (xid=0xfffffffe):'],
  ['setConfig', messages.setConfig(5, 128), 'OFPT_SET_CONFIG (OF1.5) (xid=0x5): frags=normal miss_send_len=128'],
  [
    'bundleControl open',
    messages.bundleControl(7, 9, messages.bundleType.open),
    'OFPT_BUNDLE_CONTROL (OF1.5) (xid=0x7):\n bundle_id=0x9 type=OPEN_REQUEST flags=atomic ordered',
  ],
  [
    'bundleControl commit',
    messages.bundleControl(7, 9, messages.bundleType.commit),
    'OFPT_BUNDLE_CONTROL (OF1.5) (xid=0x7):\n bundle_id=0x9 type=COMMIT_REQUEST flags=atomic ordered',
  ],
  [
    'bundleControl discard',
    messages.bundleControl(7, 9, messages.bundleType.discard, messages.bundleFlag.atomic),
    'OFPT_BUNDLE_CONTROL (OF1.5) (xid=0x7):\n bundle_id=0x9 type=DISCARD_REQUEST flags=atomic',
  ],
  ['flowDescRequest', messages.flowDescRequest(8), 'OFPST_FLOW request (OF1.5) (xid=0x8):'],
  [
    'flowDescRequest of some',
    messages.flowDescRequest(8, { table: 3, match: { eth_type: 0x0806 }, cookie: 5n, cookieMask: 0xffn }),
    'OFPST_FLOW request (OF1.5) (xid=0x8): table=3 arp',
  ],
  ['aggregateRequest', messages.aggregateRequest(9), 'OFPST_AGGREGATE request (OF1.5) (xid=0x9):'],
  ['groupDescRequest', messages.groupDescRequest(10), 'OFPST_GROUP_DESC request (OF1.5) (xid=0xa): group_id=ALL'],
  ['meterConfigRequest', messages.meterConfigRequest(11), 'OFPST_METER_CONFIG request (OF1.5) (xid=0xb): meter=all'],
  ['portDescRequest', messages.portDescRequest(12), 'OFPST_PORT_DESC request (OF1.5) (xid=0xc): port=ANY'],
  [
    'meterMod controller',
    messages.meterMod(13, 'add', { meter: messages.virtualMeter.controller, unit: 'pktps', rate: 1000, burst: 2000 }),
    'OFPT_METER_MOD (OF1.5) (xid=0xd): ADD meter=controller pktps burst stats bands=\ntype=drop rate=1000 burst_size=2000',
  ],
  [
    'meterMod slowpath',
    messages.meterMod(13, 'modify', { meter: messages.virtualMeter.slowpath, unit: 'kbps', rate: 512 }),
    'OFPT_METER_MOD (OF1.5) (xid=0xd): MOD meter=slowpath kbps stats bands=\ntype=drop rate=512',
  ],
  [
    'meterMod delete',
    messages.meterMod(13, 'delete', { meter: 7 }),
    'OFPT_METER_MOD (OF1.5) (xid=0xd): DEL meter=7 bands=',
  ],
  [
    'portMod',
    messages.portMod(14, 3, 0x0a0b0c0d0e0f, 0, 1 << 5),
    'OFPT_PORT_MOD (OF1.5) (xid=0xe): port: 3: addr:0a:0b:0c:0d:0e:0f\n     config: 0\n     mask:   NO_FWD\n     advertise: UNCHANGED',
  ],
  ['groupDelete', messages.groupDelete(14, 77), 'OFPT_GROUP_MOD (OF1.5) (xid=0xe):\n DEL group_id=77,type=all'],
  ['groupDelete all', messages.groupDelete(14), 'OFPT_GROUP_MOD (OF1.5) (xid=0xe):\n DEL group_id=4294967292,type=all'],
  [
    'ctFlush',
    messages.ctFlush(15, { zone: 7, direction: 'original', address: 0xcb007109, protocol: 17, port: 53 }),
    "NXT_CT_FLUSH (OF1.5) (xid=0xf): zone=7 'ct_nw_src=::,ct_nw_dst=203.0.113.9,ct_tp_src=0,ct_tp_dst=53,ct_nw_proto=17' 'ct_nw_src=::,ct_nw_dst=::,ct_tp_src=0,ct_tp_dst=0'",
  ],
  [
    'ctFlush of every protocol',
    messages.ctFlush(16, { zone: 4711, direction: 'reply', address: 0xcb007109 }),
    "NXT_CT_FLUSH (OF1.5) (xid=0x10): zone=4711 'ct_nw_src=::,ct_nw_dst=::,ct_tp_src=0,ct_tp_dst=0,ct_nw_proto=0' 'ct_nw_src=::,ct_nw_dst=203.0.113.9,ct_tp_src=0,ct_tp_dst=0'",
  ],
  ['ctFlushZone', messages.ctFlushZone(15, 4711), 'NXT_CT_FLUSH_ZONE (OF1.5) (xid=0xf): zone_id=4711'],
  [
    'flowMonitorRequest',
    messages.flowMonitorRequest(17, { monitor: 1 }),
    'OFPST_FLOW_MONITOR request (OF1.5) (xid=0x11):\n id=1 flags=add,delete,modify,actions',
  ],
  [
    'flowMonitorRequest of some',
    messages.flowMonitorRequest(17, {
      monitor: 2,
      table: 4,
      flags: messages.monitorFlag.initial | messages.monitorFlag.add | messages.monitorFlag.onlyOwn,
      match: { metadata: 5 },
    }),
    'OFPST_FLOW_MONITOR request (OF1.5) (xid=0x11):\n id=2 flags=initial,add,own table=4 metadata=0x5',
  ],
  [
    'flowMonitorCancel',
    messages.flowMonitorCancel(18, 1),
    'OFPST_FLOW_MONITOR request (OF1.5) (xid=0x12):\n id=1 command=delete',
  ],
  [
    'flowDelete all',
    messages.flowDelete(19),
    'OFPT_FLOW_MOD (OF1.5) (xid=0x13): DEL table:255 priority=0 actions=drop',
  ],
  [
    'flowDelete of some',
    messages.flowDelete(19, { table: 4, cookie: 0x10n, cookieMask: 0xf0n, match: { reg5: 4 } }),
    'OFPT_FLOW_MOD (OF1.5) (xid=0x13): DEL table:4 priority=0,reg5=0x4 cookie:0x10/0xf0 actions=drop',
  ],
  [
    'flowMod add',
    written((to) => messages.flowMod(to, 20, record, 0, 'add')),
    `OFPT_FLOW_MOD (OF1.5) (xid=0x14): ADD table:3 ${inRecord} cookie:0x123456789abcdef0 actions=output:4,goto_table:7`,
  ],
  [
    'flowMod modifyStrict',
    written((to) => messages.flowMod(to, 21, record, 0, 'modifyStrict')),
    `OFPT_FLOW_MOD (OF1.5) (xid=0x15): MOD_STRICT table:3 ${inRecord} actions=output:4,goto_table:7`,
  ],
  [
    'flowMod deleteStrict',
    written((to) => messages.flowMod(to, 22, record, 0, 'deleteStrict')),
    `OFPT_FLOW_MOD (OF1.5) (xid=0x16): DEL_STRICT table:3 ${inRecord} actions=drop`,
  ],
  [
    'bundleAddFlow',
    written((to) => messages.bundleAddFlow(to, 23, 9, record, 0, 'add')),
    'OFPT_BUNDLE_ADD_MESSAGE (OF1.5) (xid=0x17):\n bundle_id=0x9 flags=atomic ordered\n' +
      `OFPT_FLOW_MOD (OF1.5) (xid=0x17): ADD table:3 ${inRecord} cookie:0x123456789abcdef0 actions=output:4,goto_table:7`,
  ],
];

describe('messages, read by ovs-ofctl', () => {
  test.for(cases)('%s', async ([, message, text], context) => {
    await openVswitchOrSkip(context);
    expect(await ofpPrint(message)).toBe(text);
  });

  test('packetOut', async (context) => {
    await openVswitchOrSkip(context);
    const frame = Buffer.from('ffffffffffff0a000000000108060001080006040001', 'hex');
    const message = messages.packetOut(16, reservedPort.controller, [{ type: 'output', port: 3 }], frame);
    expect(await ofpPrint(message)).toMatch(
      /^OFPT_PACKET_OUT \(OF1.5\) \(xid=0x10\): in_port=CONTROLLER actions=output:3 data_len=22\narp,.*dl_src=0a:00:00:00:00:01/,
    );
  });

  test('asyncConfig, alike for primary and secondary', async (context) => {
    await openVswitchOrSkip(context);
    const lines = (await ofpPrint(messages.asyncConfig(6, { packetIn: 2, portStatus: 5, flowRemoved: 0 })))
      .split('\n')
      .map((line) => line.trim());
    for (const wanted of ['PACKET_IN: action', 'PORT_STATUS: add modify', 'FLOW_REMOVED: (off)']) {
      expect(lines.filter((line) => line === wanted)).toHaveLength(2);
    }
  });
});

const ip = { eth_type: 0x0800 };
const tcp = { eth_type: 0x0800, ip_proto: 6 };
const solicit = { eth_type: 0x86dd, ip_proto: 58, icmpv6_type: 135, icmpv6_code: 0 };
const reg = (field: 'reg0' | 'reg6', offset = 0, bits = 32) => ({ field, offset, bits });

const actionCases: [text: string, actions: Action[], match?: Flow['match']][] = [
  ['output:1', [{ type: 'output', port: 1 }]],
  ['IN_PORT', [{ type: 'output', port: reservedPort.inPort }]],
  ['LOCAL', [{ type: 'output', port: reservedPort.local }]],
  ['CONTROLLER:65535', [{ type: 'output', port: reservedPort.controller }]],
  ['output:NXM_NX_REG6[0..15]', [{ type: 'outputReg', source: reg('reg6', 0, 16) }]],
  ['output:OXM_OF_METADATA[32..63]', [{ type: 'outputReg', source: { field: 'metadata', offset: 32, bits: 32 } }]],
  ['group:4', [{ type: 'group', group: 4 }]],
  ['meter:4', [{ type: 'meter', meter: 4 }]],
  ['set_field:0x7->reg0', [{ type: 'setField', field: 'reg0', value: 7 }]],
  ['set_field:0x100/0xf00->reg0', [{ type: 'setField', field: 'reg0', value: 0xfff00 & 0x1ff, mask: 0xf00 }]],
  ['set_field:0->metadata', [{ type: 'setField', field: 'metadata', value: 0 }]],
  ['set_field:0x123456789abcdef0->metadata', [{ type: 'setField', field: 'metadata', value: 0x123456789abcdef0n }]],
  ['set_field:0xffffff->tun_id', [{ type: 'setField', field: 'tun_id', value: 0xffffff }]],
  ['set_field:192.0.2.1->tun_dst', [{ type: 'setField', field: 'tun_dst', value: 0xc0000201 }]],
  ['set_field:02:00:00:00:00:01->eth_src', [{ type: 'setField', field: 'eth_src', value: 0x020000000001 }]],
  ['set_field:4097->vlan_vid', [{ type: 'setField', field: 'vlan_vid', value: 0x1001 }], { vlan_vid: 0x1002 }],
  ['set_field:10.0.0.1->ip_src', [{ type: 'setField', field: 'ipv4_src', value: 0x0a000001 }], ip],
  ['set_field:46->ip_dscp', [{ type: 'setField', field: 'ip_dscp', value: 46 }], ip],
  ['set_field:64->nw_ttl', [{ type: 'setField', field: 'ip_ttl', value: 64 }], ip],
  ['set_field:80->tcp_dst', [{ type: 'setField', field: 'tcp_dst', value: 80 }], tcp],
  ['set_field:2->arp_op', [{ type: 'setField', field: 'arp_op', value: 2 }], { eth_type: 0x0806 }],
  ['set_field:0->in_port', [{ type: 'setField', field: 'in_port', value: 0 }]],
  ['set_field:136->icmpv6_type', [{ type: 'setField', field: 'icmpv6_type', value: 136 }], solicit],
  ['set_field:2->nd_options_type', [{ type: 'setField', field: 'nd_options_type', value: 2 }], solicit],
  ['set_field:3758096384->nd_reserved', [{ type: 'setField', field: 'nd_reserved', value: 0xe0000000 }], solicit],
  [
    'set_field:fe80::1->nd_target',
    [{ type: 'setField', field: 'nd_target', value: 0xfe800000000000000000000000000001n }],
    solicit,
  ],
  [
    'move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]',
    [
      {
        type: 'move',
        source: { field: 'eth_src', offset: 0, bits: 48 },
        target: { field: 'eth_dst', offset: 0, bits: 48 },
      },
    ],
  ],
  [
    'move:OXM_OF_IN_PORT[0..15]->NXM_NX_REG0[16..31]',
    [{ type: 'move', source: { field: 'in_port', offset: 0, bits: 16 }, target: reg('reg0', 16, 16) }],
  ],
  ['dec_ttl', [{ type: 'decTtl' }], ip],
  ['ct_clear', [{ type: 'ctClear' }]],
  ['ct(table=22,zone=NXM_NX_REG6[0..15])', [{ type: 'ct', zone: reg('reg6', 0, 16), table: 22 }], ip],
  ['ct(commit,force,zone=7)', [{ type: 'ct', zone: 7, commit: true, force: true }], ip],
  ['ct(table=3,zone=7,nat)', [{ type: 'ct', zone: 7, table: 3, nat: { kind: 'restore' } }], ip],
  [
    'ct(commit,table=3,zone=7,nat(src=192.0.2.1-192.0.2.9:1024-65535),exec(set_field:0x9/0xff->ct_mark,set_field:0x5->ct_label),alg=ftp)',
    [
      {
        type: 'ct',
        zone: 7,
        commit: true,
        table: 3,
        alg: 'ftp',
        nat: { kind: 'src', ipMin: 0xc0000201, ipMax: 0xc0000209, portMin: 1024, portMax: 65535 },
        exec: [
          { type: 'setField', field: 'ct_mark', value: 9, mask: 0xff },
          { type: 'setField', field: 'ct_label', value: 5 },
        ],
      },
    ],
    tcp,
  ],
  [
    'ct(commit,nat(dst=10.0.0.1:80),exec(move:NXM_NX_REG0[]->NXM_NX_CT_LABEL[0..31]))',
    [
      {
        type: 'ct',
        zone: 0,
        commit: true,
        nat: { kind: 'dst', ipMin: 0x0a000001, ipMax: 0x0a000001, portMin: 80, portMax: 80 },
        exec: [{ type: 'move', source: reg('reg0'), target: { field: 'ct_label', offset: 0, bits: 32 } }],
      },
    ],
    tcp,
  ],
  ['conjunction(4711,2/3)', [{ type: 'conjunction', id: 4711, clause: 2, clauses: 3 }]],
  ['resubmit(,5)', [{ type: 'resubmit', table: 5 }]],
  ['resubmit(9,5)', [{ type: 'resubmit', table: 5, port: 9 }]],
  ['controller(userdata=01)', [{ type: 'controller', userdata: new Uint8Array([1]) }]],
  [
    'controller(reason=invalid_ttl,max_len=128,userdata=01.02.03.04.05,meter_id=7)',
    [
      {
        type: 'controller',
        reason: 'invalid_ttl',
        maxLength: 128,
        userdata: new Uint8Array([1, 2, 3, 4, 5]),
        meter: 7,
      },
    ],
  ],
  [
    'controller(id=19271,userdata=01.02,meter_id=7)',
    [{ type: 'controller', id: 0x4b47, userdata: new Uint8Array([1, 2]), meter: 7 }],
  ],
  ['bundle(eth_src,0,active_backup,ofport,members:5)', [{ type: 'bundle', members: [5] }]],
  [
    'bundle(eth_src,0,active_backup,ofport,members:5,65279,LOCAL)',
    [{ type: 'bundle', members: [5, 65279, reservedPort.local] }],
  ],
  [
    'bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG6[8..23],members:7,6)',
    [{ type: 'bundleLoad', target: reg('reg6', 8, 16), members: [7, 6] }],
  ],
  [
    'bundle_load(eth_src,0,active_backup,ofport,OXM_OF_METADATA[],members:7)',
    [{ type: 'bundleLoad', target: { field: 'metadata', offset: 0, bits: 64 }, members: [7] }],
  ],
  ['check_pkt_larger(1514)->NXM_NX_REG0[6]', [{ type: 'checkPktLarger', length: 1514, target: reg('reg0', 6, 1) }]],
  ['push:NXM_NX_IPV6_SRC[]', [{ type: 'push', source: { field: 'ipv6_src', offset: 0, bits: 128 } }], solicit],
  ['pop:NXM_NX_REG6[0..15]', [{ type: 'pop', target: reg('reg6', 0, 16) }]],
  [
    'clone(set_field:0x7->reg0,resubmit(,5)),output:1',
    [
      {
        type: 'clone',
        actions: [
          { type: 'setField', field: 'reg0', value: 7 },
          { type: 'resubmit', table: 5 },
        ],
      },
      { type: 'output', port: 1 },
    ],
  ],
  ['set_field:0x5->xxreg3', [{ type: 'setField', field: 'xxreg3', value: 5 }]],
  [
    'move:NXM_NX_IPV6_SRC[]->NXM_NX_XXREG3[]',
    [
      {
        type: 'move',
        source: { field: 'ipv6_src', offset: 0, bits: 128 },
        target: { field: 'xxreg3', offset: 0, bits: 128 },
      },
    ],
    solicit,
  ],
  ['note:01.02.03.00.00.00', [{ type: 'note', data: new Uint8Array([1, 2, 3]) }]],
  ['drop', []],
];

test('actions, read by ovs-ofctl', async (context) => {
  await openVswitchOrSkip(context);
  const target = new ByteWriter();
  for (const [, actions, match = {}] of actionCases) {
    const flow = encodeFlows([{ table: 1, priority: 1, cookie: 0n, match, actions }]);
    messages.flowMod(target, 1, flow, 0, 'add');
  }
  const printed = await ofpParse(target.view());
  expect(printed.map((text) => /actions=(.*)$/.exec(text)?.[1])).toEqual(actionCases.map(([text]) => text));
});

test('IPv6 addresses are spelt as ovs-ofctl spells them', async (context) => {
  await openVswitchOrSkip(context);
  const texts = [
    '::',
    '::1',
    '1::',
    '::ffff:192.0.2.1',
    '::192.0.2.1',
    '::1:0:0',
    '1:0:0:2::3',
    'fe80::',
    '0:1::',
    '1:2:3:4:5:6:7:8',
  ];
  texts.push('0:1:2:3:4:5:6:7', '1:0:2:0:3:0:4:0', '::ffff:0:0', '0:0:1::', '::1:0', 'ff02::1:ff00:0');
  const target = new ByteWriter();
  const ours = texts.map((text) => {
    const flow = parseFlow(`ipv6,ipv6_src=${text} actions=drop`);
    messages.flowMod(target, 1, encodeFlows([flow]), 0, 'add');
    return /ipv6_src=(\S+)/.exec(formatFlow(flow))?.[1];
  });
  const theirs = (await ofpParse(target.view())).map((text) => /ipv6_src=(\S+)/.exec(text)?.[1]);
  expect(ours).toEqual(theirs);
});

test('errors by number have the names that ovs-ofctl prints', async (context) => {
  await openVswitchOrSkip(context);
  const target = new ByteWriter();
  const names: string[] = [];
  const put = (type: number, code: number, experimenter?: number): void => {
    const at = target.length;
    target.u8(6);
    target.u8(messageType.error);
    target.u16(0);
    target.u32(1);
    target.u16(type);
    target.u16(code);
    if (experimenter !== undefined) target.u32(experimenter);
    else target.zeros(8);
    target.setU16(at + 2, target.length - at);
    names.push(parseError(target.view(at + 8)).name);
  };
  for (let type = 0; type < 20; type++) for (let code = 0; code < 20; code++) put(type, code);
  for (let code = 0; code < 50; code++) put(0xffff, code, 0x2320);
  const printed = (await ofpParse(target.view())).map(
    (text) => /^OFPT_ERROR \(OF1\.5\) \(xid=0x1\): (\w+)/.exec(text)?.[1],
  );
  expect(printed).toHaveLength(names.length);
  const known = (name: string | undefined): string =>
    name !== undefined && /^(OFP|NX)/.test(name) && name !== 'OFPT_ERROR' ? name : 'unknown';
  expect(names.map(known)).toEqual(printed.map(known));
  expect(names.filter((name) => known(name) !== 'unknown').length).toBeGreaterThan(150);
  expect(errorName(99, 7)).toBe('type 99, code 7');
  expect(errorName(0xffff, 0, 0x4f4e4600, 2600)).toBe('experimenter 0x4f4e4600, type 2600');
});
