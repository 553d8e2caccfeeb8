/** Megaflows as ovs-appctl prints them: counted, and told apart by what they match. */
import { expect, test } from 'vitest';
import { parseMegaflows } from '../../bench/traffic/megaflows.ts';

// Of ovs-vswitchd 3.1.0, userspace datapath.
const dump = `flow-dump from the main thread:
recirc_id(0),in_port(3),packet_type(ns=0,id=0),eth(src=02:00:00:00:01:0a,dst=02:4b:00:00:00:01/01:00:00:00:00:00),eth_type(0x0800),ipv4(src=10.0.1.10,dst=10.0.2.8/255.255.255.248,proto=6,frag=no), packets:12, bytes:840, used:0.3s, flags:SF., actions:ct(zone=1024),recirc(0x1)
tunnel(tun_id=0x1,src=198.51.100.12,dst=198.51.100.11,flags(-df-csum+key)),ct_state(-new+est+rpl-inv+trk),ct_label(0x1/0xffffffff),recirc_id(0x2),in_port(4),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(frag=no), packets:3, bytes:210, used:0.3s, flags:., actions:3
tunnel(tun_id=0x1,src=198.51.100.12,dst=198.51.100.11,flags(-df-csum+key)),ct_state(-new+est+rpl-inv+trk),ct_label(0x2/0xffffffff),recirc_id(0x2),in_port(4),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(frag=no), packets:3, bytes:210, used:0.3s, flags:., actions:3

recirc_id(0x1),in_port(3),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(proto=6,frag=no),tcp(dst=1000/0xfff8), packets:0, bytes:0, used:never, actions:drop
`;

test('values go, fields and masks stay', () => {
  const { total, forms } = parseMegaflows(dump);
  expect(total).toBe(4);
  expect(Object.fromEntries(forms)).toEqual({
    'first in_port packet_type(ns,id) eth(src,dst/01:00:00:00:00:00) eth_type(0x0800) ipv4(src,dst/29,proto=6,frag)': 1,
    'tunnel(tun_id,src,dst,flags(-df-csum+key)) ct_state(-new+est+rpl-inv+trk) ct_label/0xffffffff recirculated in_port packet_type(ns,id) eth_type(0x0800) ipv4(frag)': 2,
    'recirculated in_port packet_type(ns,id) eth_type(0x0800) ipv4(proto=6,frag) tcp(dst/0xfff8)': 1,
  });
});

test('a dump without flows has none', () => {
  expect(parseMegaflows('flow-dump from the main thread:\n')).toEqual({ total: 0, forms: new Map() });
});
