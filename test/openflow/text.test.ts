/** Flow text as people write it. */
import { describe, expect, test } from 'vitest';
import { formatFlow, parseFlow } from '../../plugins/openvswitch/openflow/text.ts';
import type { Flow } from '../../src/pipeline/flow.ts';

const flow: Flow = {
  table: 24,
  priority: 100,
  cookie: 0x10n,
  match: { eth_type: 0x0800, reg0: { value: 1, mask: 1 }, ipv4_src: 0x0a000001 },
  actions: [
    { type: 'ct', zone: { field: 'reg6', offset: 0, bits: 16 }, table: 28 },
    { type: 'resubmit', table: 72 },
  ],
  goto: 40,
};
const names: Record<number, string> = { 24: 'egress-acl', 28: 'commit', 40: 'l2', 72: 'tunnel' };

test('table names and counters', () => {
  const tableName = (table: number): string | undefined => names[table];
  const text = formatFlow(flow, { tableName, stats: { duration: 12.5, packets: 7, bytes: 700, idle: 3.9 } });
  expect(text).toBe(
    'cookie=0x10, duration=12.500s, table=egress-acl, n_packets=7, n_bytes=700, idle_age=3, ' +
      'priority=100,ip,reg0=0x1/0x1,nw_src=10.0.0.1 ' +
      'actions=ct(table=commit,zone=NXM_NX_REG6[0..15]),resubmit(,tunnel),goto_table:l2',
  );
  const tableNumber = (name: string): number | undefined => {
    const found = Object.entries(names).find((row) => row[1] === name);
    return found && Number(found[0]);
  };
  expect(parseFlow(text, { tableNumber })).toEqual(flow);
});

describe('notations that mean the same', () => {
  const cases: [one: string, other: string][] = [
    ['priority=5 ip actions=drop', 'priority=5,dl_type=0x0800,actions=drop'],
    ['tcp,tcp_dst=80 actions=drop', 'ip,nw_proto=6,tp_dst=80 actions=drop'],
    ['tp_dst=80,nw_proto=6,ip actions=drop', 'tcp,tp_dst=0x50 actions=drop'],
    ['udp6,udp_src=53 actions=drop', 'ipv6,nw_proto=17,tp_src=53 actions=drop'],
    ['arp,nw_src=10.0.0.1,nw_proto=1 actions=drop', 'arp,arp_spa=10.0.0.1,arp_op=1 actions=drop'],
    ['ip,nw_dst=10.0.0.0/8 actions=drop', 'ip,ip_dst=10.0.0.0/255.0.0.0 actions=drop'],
    ['dl_vlan=5 actions=drop', 'vlan_vid=4101 actions=drop'],
    ['vlan_tci=0x1005/0x1fff actions=drop', 'dl_vlan=5 actions=drop'],
    ['vlan_tci=0 actions=drop', 'vlan_tci=0x0/0xffff actions=drop'],
    ['ct_state=+est+trk,ip actions=drop', 'ct_state=0x22/0x22,ip actions=drop'],
    ['actions=load:0x5->NXM_NX_REG0[4..7]', 'actions=set_field:0x50/0xf0->reg0'],
    ['actions=load:5->NXM_NX_REG0[]', 'actions=set_field:5->reg0'],
    ['actions=move:eth_src[]->eth_dst[]', 'actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]'],
    [
      'actions=bundle(eth_src, 0, active_backup, ofport, slaves:1, 2)',
      'actions=bundle(eth_src,0,active_backup,ofport,members:1,2)',
    ],
    [
      'actions=bundle_load(eth_src,0,active_backup,ofport,reg5[0..15],members:1)',
      'actions=bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG5[0..15],members:1)',
    ],
    ['actions=controller', 'actions=CONTROLLER:65535'],
    ['actions=in_port', 'actions=IN_PORT'],
    ['actions=7', 'actions=output:7'],
    ['ip actions=ct(nat)', 'ip actions=ct(nat())'],
    [' n_packets=5, table=3, hard_age=4, actions=drop', 'table=3 actions=drop'],
  ];
  test.for(cases)('%s', ([one, other]) => {
    expect(parseFlow(one)).toEqual(parseFlow(other));
  });
});

describe('mistakes are named with their place', () => {
  const cases: [text: string, error: RegExp][] = [
    ['priority=5,ip', /column 1, .*actions= is missing/],
    ['priority=5,nw_src=10.0.0 actions=drop', /column 12, "nw_src=10.0.0": "10.0.0" is not an IPv4 address/],
    ['priority=70000 actions=drop', /column 1, "priority=70000": 70000 has more than 16 bits/],
    ['table=255 actions=drop', /column 1, .*above 253/],
    ['idle_timeout=5 actions=drop', /column 1, .*unknown field "idle_timeout"/],
    ['tp_dst=80 actions=drop', /column 1, .*unknown field "tp_dst"/],
    ['reg0=1,reg0=2 actions=drop', /column 8, "reg0=2": reg0 is given twice/],
    ['cookie=1,cookie=2 actions=drop', /column 10, "cookie=2": cookie is given twice/],
    ['ip,tcp actions=drop', /column 4, "tcp": eth_type is given twice/],
    ['actions=output:x', /column 9, "output:x": "x" is not a number/],
    ['actions=output:1,teleport', /column 18, "teleport": unknown action/],
    ['actions=goto_table:3,output:1', /column 22, "output:1": nothing may follow goto_table/],
    ['actions=ct(zone=70000)', /column 12, "zone=70000": 70000 has more than 16 bits/],
    ['actions=ct(commit', /a bracket is not closed/],
    ['actions=set_field:5', /"->" is missing/],
    ['actions=move:NXM_NX_REG0[0..40]->NXM_NX_REG1[]', /reg0 has bits 0 to 31/],
    ['actions=mod_dl_src:02:00:00:00:00:01', /column 9, .*unknown action "mod_dl_src"/],
    ['actions=bundle(symmetric_l4,0,hrw,ofport,members:1)', /bundle\(eth_src,0,active_backup,ofport,members:/],
    ['actions=bundle_load(eth_src,0,active_backup,ofport,members:1)', /FIELD\[\],members:port/],
    ['actions=bundle(eth_src,0,active_backup,ofport,members:)', /"" is not a number/],
    ['actions=controller(userdata=01,id=65536)', /65536 has more than 16 bits/],
    ['actions=', /no action; for none say drop/],
    ['ct_state=+trk+trk actions=drop', /flag "trk" twice/],
    ['ip,nw_frag=maybe actions=drop', /none of no, yes/],
  ];
  test.for(cases)('%s', ([text, error]) => {
    expect(() => parseFlow(text)).toThrow(error);
  });
});
