/** Static routes, peerings, steering, policies, and the protocols and ends that rules have with them. */
import type { Operation } from '../../src/intent/intent.ts';
import { bad, runCases } from './cases.ts';
import { put, remove, type Spec, shop } from './support.ts';

const p1 = `${shop}/ports/p1`;
const r1 = `${shop}/routes/r1`;
const office = 'tenants/acme/networks/office';
const port = (spec: Spec = {}, name = 'p1'): Operation => put(`${shop}/ports/${name}`, { tier: 'web', ...spec });
const route = (destination: string, nextHop: string, name = 'r1'): Operation =>
  put(`${shop}/routes/${name}`, { destination, nextHop });
const network = (name: string, cidr: string, more: Spec = {}): Operation =>
  put(`tenants/acme/networks/${name}`, { offering: 'basic', cidr, ...more });
const peering = (a: string, b: string, name = 'x'): Operation =>
  put(`tenants/acme/peerings/${name}`, { networks: [a, b] });
const rule = (spec: Spec): Operation =>
  put(`${shop}/rules/r`, {
    action: 'allow',
    priority: 1,
    from: { any: true },
    to: { any: true },
    protocol: 'any',
    ...spec,
  });
const steering = (spec: Spec): Operation =>
  put(`${shop}/steering/s`, { priority: 1, from: { any: true }, to: { port: 'p1' }, via: ['p2'], ...spec });
const policy = (spec: Spec): Operation =>
  put('policies/p', { action: 'deny', priority: 1, from: { any: true }, to: { any: true }, protocol: 'any', ...spec });

/** p1 has 10.0.1.2, p2 10.0.1.3. */
const ports = [port(), port({}, 'p2')];
const dual = [
  network('shop', '10.0.0.0/16', { ipv6Cidr: 'fd00::/48' }),
  put(`${shop}/tiers/web`, { cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:0:0:1::/64' }),
  port(),
];
const two = [...ports, network('office', '10.1.0.0/16')];

runCases({
  routes: [
    { what: 'to elsewhere', given: ports, when: route('192.168.7.0/24', '10.0.1.2') },
    { what: 'of everything', given: ports, when: route('0.0.0.0/0', '10.0.1.2') },
    { what: 'of the whole network', given: ports, when: route('10.0.0.0/16', '10.0.1.2') },
    {
      what: 'of IPv6, in its one form',
      given: dual,
      when: route('FD07::0/64', 'fd00::1:0:0:0:2'),
      gives: { [r1]: { destination: 'fd07::/64', nextHop: 'fd00:0:0:1::2' } },
    },
    {
      what: 'with the port, in one request',
      when: [route('192.168.7.0/24', '10.0.1.2'), port({ ips: ['10.0.1.2'] })],
    },
    {
      what: 'to a virtual address',
      given: [port({ allowedAddressPairs: [{ ip: '10.0.1.100' }] })],
      when: route('192.168.7.0/24', '10.0.1.100'),
    },
    {
      what: 'to an address of a VM outside the tiers',
      given: [port({ allowedAddressPairs: [{ ip: '172.16.0.1' }] })],
      when: route('192.168.7.0/24', '172.16.0.1'),
    },
    {
      what: 'to an address that is in a prefix of a VM only',
      given: [port({ allowedAddressPairs: [{ ip: '172.16.0.0/24' }] })],
      when: route('192.168.7.0/24', '172.16.0.1'),
      ...bad('route.next-hop', '/nextHop'),
    },
    {
      what: 'to nobody',
      given: ports,
      when: route('192.168.7.0/24', '10.0.1.9'),
      ...bad('route.next-hop', '/nextHop', /No port/),
    },
    {
      what: 'to an address outside',
      given: ports,
      when: route('192.168.7.0/24', '10.9.9.9'),
      ...bad('route.next-hop', '/nextHop'),
    },
    {
      what: 'to the gateway',
      given: ports,
      when: route('192.168.7.0/24', '10.0.1.1'),
      ...bad('route.next-hop', '/nextHop', /gateway of .*tiers\/web/),
    },
    {
      what: 'of one IP version to the other',
      given: dual,
      when: route('192.168.7.0/24', 'fd00:0:0:1::2'),
      ...bad('address.family-mismatch', '/nextHop'),
    },
    {
      what: 'host bits',
      given: ports,
      when: route('192.168.7.1/24', '10.0.1.2'),
      ...bad('address.invalid', '/destination'),
    },
    {
      what: 'of multicast',
      given: ports,
      when: route('239.0.0.0/8', '10.0.1.2'),
      ...bad('address.not-unicast', '/destination'),
    },
    {
      what: 'to a link-local address',
      given: ports,
      when: route('fd07::/64', 'fe80::1'),
      ...bad('address.not-unicast', '/nextHop'),
    },
    {
      what: 'to a mapped address',
      given: ports,
      when: route('fd07::/64', '::ffff:10.0.1.2'),
      ...bad('address.not-unicast', '/nextHop', /mapped/),
    },
    {
      what: 'into a tier',
      given: ports,
      when: route('10.0.1.128/25', '10.0.1.2'),
      ...bad('address.overlap', '/destination', /tier web/),
    },
    { what: 'of a tier', given: ports, when: route('10.0.1.0/24', '10.0.1.2'), ...bad('route.loop', '/nextHop') },
    {
      what: 'of the next hop itself',
      given: ports,
      when: route('10.0.1.2/32', '10.0.1.2'),
      ...bad('route.loop', '/nextHop'),
    },
    {
      what: 'to a next hop behind itself',
      given: [port({ allowedAddressPairs: [{ ip: '172.16.0.1' }] })],
      when: route('172.16.0.0/12', '172.16.0.1'),
      ...bad('route.loop', '/nextHop'),
    },
    {
      what: 'to a next hop behind a route to a next hop behind it',
      given: [
        port({ allowedAddressPairs: [{ ip: '172.16.0.1' }, { ip: '192.168.7.1' }] }),
        route('192.168.7.0/24', '172.16.0.1', 'r2'),
      ],
      when: route('172.16.0.0/24', '192.168.7.1'),
      ...bad('route.loop', '/nextHop', /routes\/r2/),
    },
    {
      what: 'a loop of three in one request',
      when: [
        port({ allowedAddressPairs: [{ ip: '172.16.1.1' }, { ip: '172.16.2.1' }, { ip: '172.16.3.1' }] }),
        route('172.16.1.0/24', '172.16.2.1', 'a'),
        route('172.16.2.0/24', '172.16.3.1', 'b'),
        route('172.16.3.0/24', '172.16.1.1', 'c'),
      ],
      ...bad('route.loop', '/resources/3/spec/nextHop'),
    },
    {
      what: 'a chain that ends in a tier',
      when: [
        port({ ips: ['10.0.1.9'], allowedAddressPairs: [{ ip: '172.16.1.1' }, { ip: '172.16.2.1' }] }),
        route('172.16.1.0/24', '172.16.2.1', 'a'),
        route('172.16.2.0/24', '10.0.1.9', 'b'),
      ],
    },
    {
      what: 'a second one of the same destination',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2', 'r2')],
      when: route('192.168.7.0/24', '10.0.1.3'),
      ...bad('address.overlap', '/destination', /routes\/r2/),
    },
    {
      what: 'a narrower one',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2', 'r2')],
      when: route('192.168.7.0/25', '10.0.1.3'),
    },
    {
      what: 'in the place of one deleted by the same request',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2', 'r2')],
      when: [remove(`${shop}/routes/r2`), route('192.168.7.0/24', '10.0.1.3')],
    },
    {
      what: 'two that change places',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2'), route('192.168.8.0/24', '10.0.1.2', 'r2')],
      when: [route('192.168.8.0/24', '10.0.1.2'), route('192.168.7.0/24', '10.0.1.2', 'r2')],
    },
    {
      what: 'a tier where one leads',
      given: [...ports, route('10.0.7.0/24', '10.0.1.2')],
      when: put(`${shop}/tiers/app`, { cidr: '10.0.0.0/25' }),
    },
    {
      what: 'a tier around where one leads',
      given: [...ports, route('10.0.7.0/24', '10.0.1.2')],
      when: put(`${shop}/tiers/app`, { cidr: '10.0.6.0/23' }),
      ...bad('address.overlap', '/cidr', /routes\/r1/),
    },
    {
      what: 'a deleted next hop',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2')],
      when: remove(p1),
      ...bad('resource.in-use', '', /routes\/r1/),
    },
    {
      what: 'a deleted next hop and its route',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2')],
      when: [remove(p1), remove(r1)],
    },
    {
      what: 'a next hop that gives up the address',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2')],
      when: port({ ips: ['10.0.1.9'] }),
      ...bad('resource.in-use', '/ips', /routes\/r1/),
    },
    {
      what: 'a next hop that gives up the address to another port',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2')],
      when: [port({ ips: ['10.0.1.9'] }), port({ ips: ['10.0.1.2'] }, 'p2')],
    },
    {
      what: 'a next hop that gives up the address to a gateway',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2')],
      when: [remove(p1), put(`${shop}/tiers/web`, { cidr: '10.0.1.0/24', gateway: '10.0.1.2' })],
      ...bad('resource.in-use', '/resources/0'),
    },
    {
      what: 'a next hop moved, and the route with it',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2')],
      when: [route('192.168.7.0/24', '10.0.1.9'), port({ ips: ['10.0.1.9'] })],
    },
    {
      what: 'a next hop that gives up the address, and the route put again',
      given: [...ports, route('192.168.7.0/24', '10.0.1.2')],
      when: [
        put(r1, { destination: '192.168.7.0/24', nextHop: '10.0.1.2', description: 'x' }),
        port({ ips: ['10.0.1.9'] }),
      ],
      ...bad('route.next-hop', '/resources/0/spec/nextHop'),
    },
    {
      what: 'one of two that have the virtual next hop deleted',
      given: [
        port({ allowedAddressPairs: [{ ip: '10.0.1.100' }] }),
        port({ allowedAddressPairs: [{ ip: '10.0.1.100' }] }, 'p2'),
        route('192.168.7.0/24', '10.0.1.100'),
      ],
      when: remove(p1),
    },
    {
      what: 'the last of two that have it',
      given: [
        port({ allowedAddressPairs: [{ ip: '10.0.1.100' }] }),
        port({ allowedAddressPairs: [{ ip: '10.0.1.100' }] }, 'p2'),
        route('192.168.7.0/24', '10.0.1.100'),
      ],
      when: [remove(p1), port({}, 'p2')],
      ...bad('resource.in-use', '/resources/1/spec/allowedAddressPairs', /routes\/r1/),
    },
  ],
  peerings: [
    { what: 'of two networks', given: two, when: peering('shop', 'office') },
    { what: 'with the networks, in one request', when: [peering('shop', 'office'), network('office', '10.1.0.0/16')] },
    { what: 'with itself', given: two, when: peering('shop', 'shop'), ...bad('peering.self', '/networks/1') },
    {
      what: 'of one',
      given: two,
      when: put('tenants/acme/peerings/x', { networks: ['shop'] }),
      ...bad('request.invalid', '/networks'),
    },
    {
      what: 'with a network there is not',
      given: two,
      when: peering('shop', 'x'),
      ...bad('reference.dangling', '/networks/1', /acme\/networks\/x/),
    },
    {
      what: 'with a network of another tenant',
      given: [put('tenants/b'), put('tenants/b/networks/theirs', { offering: 'basic', cidr: '10.9.0.0/16' })],
      when: peering('shop', 'theirs'),
      ...bad('reference.dangling', '/networks/1'),
    },
    {
      what: 'of networks that overlap',
      given: [network('office', '10.0.128.0/17')],
      when: peering('shop', 'office'),
      ...bad('peering.overlap', '/networks', /10\.0\.128\.0\/17/),
    },
    {
      what: 'of networks that overlap in IPv6',
      given: [...dual, network('office', '10.1.0.0/16', { ipv6Cidr: 'fd00::/32' })],
      when: peering('shop', 'office'),
      ...bad('peering.overlap', '/networks', /fd00::\/32/),
    },
    {
      what: 'of two that are peered already',
      given: [...two, peering('shop', 'office')],
      when: peering('office', 'shop', 'y'),
      ...bad('peering.duplicate', '/networks', /peerings\/x/),
    },
    { what: 'the other way round', given: [...two, peering('shop', 'office')], when: peering('office', 'shop') },
    {
      what: 'with two that overlap each other',
      given: [...two, network('lab', '10.1.0.0/17'), peering('shop', 'office')],
      when: peering('lab', 'shop', 'y'),
      ...bad('peering.overlap', '/networks', /to be peered with both/),
    },
    {
      what: 'of two that overlap, with a third each',
      given: [...two, network('lab', '10.1.0.0/17'), network('third', '10.3.0.0/16'), peering('shop', 'office')],
      when: peering('lab', 'third', 'y'),
    },
    {
      what: 'a network that comes to overlap its peer',
      given: [...two, peering('shop', 'office')],
      when: network('office', '10.0.0.0/14'),
      ...bad('peering.overlap', '/cidr'),
    },
    {
      what: 'a network that comes to overlap its peer, and the peering put again',
      given: [...two, peering('shop', 'office')],
      when: [
        network('office', '10.0.0.0/14'),
        put('tenants/acme/peerings/x', { networks: ['office', 'shop'], description: 'x' }),
      ],
      ...bad('peering.overlap', '/resources/1/spec/networks'),
    },
    {
      what: 'a network that comes to overlap its peer in IPv6',
      given: [...dual, network('office', '10.1.0.0/16'), peering('shop', 'office')],
      when: network('office', '10.1.0.0/16', { ipv6Cidr: 'fd00::/56' }),
      ...bad('peering.overlap', '/ipv6Cidr'),
    },
    {
      what: "a network that comes to overlap its peer's other peer",
      given: [...two, network('lab', '10.2.0.0/16'), peering('shop', 'office'), peering('shop', 'lab', 'y')],
      when: network('lab', '10.1.0.0/18'),
      ...bad('peering.overlap', '/cidr'),
    },
    {
      what: 'a network deleted',
      given: [...two, peering('shop', 'office')],
      when: remove(office),
      ...bad('resource.in-use', '', /peerings\/x/),
    },
    {
      what: 'deleted with its network',
      given: [...two, peering('shop', 'office')],
      when: [remove(office), remove('tenants/acme/peerings/x')],
    },
    {
      what: 'changed to another network',
      given: [...two, network('lab', '10.2.0.0/16'), peering('shop', 'office')],
      when: [peering('shop', 'lab'), remove(office)],
    },
    {
      what: 'to where a route leads',
      given: [...two, route('10.1.7.0/24', '10.0.1.2')],
      when: peering('shop', 'office'),
      ...bad('address.overlap', '/networks', /routes\/r1/),
    },
    {
      what: 'a route into the peer',
      given: [...two, peering('shop', 'office')],
      when: route('10.1.7.0/24', '10.0.1.2'),
      ...bad('address.overlap', '/destination', /networks\/office/),
    },
    {
      what: 'a route around the peer',
      given: [...two, peering('shop', 'office')],
      when: route('10.0.0.0/8', '10.0.1.2'),
    },
    {
      what: 'to where a VM has addresses',
      given: [...two, port({ allowedAddressPairs: [{ ip: '10.1.7.0/24' }] })],
      when: peering('shop', 'office'),
      ...bad('address.overlap', '/networks', /ports\/p1/),
    },
    {
      what: "a VM with the peer's addresses",
      given: [...two, peering('shop', 'office')],
      when: port({ allowedAddressPairs: [{ ip: '10.1.7.7' }] }),
      ...bad('address.overlap', '/allowedAddressPairs/0/ip', /networks\/office/),
    },
  ],
  steering: [
    { what: 'through a port', given: ports, when: steering({}) },
    {
      what: 'of a service, open',
      given: ports,
      when: steering({ protocol: '6', ports: ['80'], onFailure: 'open' }),
      gives: { [`${shop}/steering/s`]: { protocol: 'tcp' } },
    },
    {
      what: 'through a port there is not',
      given: ports,
      when: steering({ via: ['p2', 'p3'] }),
      ...bad('reference.dangling', '/via/1'),
    },
    { what: 'through none', given: ports, when: steering({ via: [] }), ...bad('request.invalid', '/via') },
    {
      what: 'through one twice',
      given: [...ports, port({}, 'p3')],
      when: steering({ via: ['p2', 'p3', 'p2'] }),
      ...bad('steering.repeated', '/via/2'),
    },
    {
      what: 'through where it ends',
      given: ports,
      when: steering({ via: ['p2', 'p1'] }),
      ...bad('steering.loop', '/via/1', /ends/),
    },
    {
      what: 'through where it begins',
      given: ports,
      when: steering({ from: { port: 'p2' } }),
      ...bad('steering.loop', '/via/0', /begins/),
    },
    {
      what: 'ports without a protocol',
      given: ports,
      when: steering({ ports: ['80'] }),
      ...bad('request.invalid', '/ports'),
    },
    {
      what: 'from IPv4 to IPv6',
      given: ports,
      when: steering({ from: { cidr: '10.0.0.0/8' }, to: { cidr: '::/0' } }),
      ...bad('address.family-mismatch', '/to/cidr'),
    },
    {
      what: 'priority 32001',
      given: ports,
      when: steering({ priority: 32_001 }),
      ...bad('request.invalid', '/priority'),
    },
    {
      what: 'neither open nor closed',
      given: ports,
      when: steering({ onFailure: 'ajar' }),
      ...bad('request.invalid', '/onFailure'),
    },
    {
      what: 'a hop deleted',
      given: [...ports, steering({})],
      when: remove(`${shop}/ports/p2`),
      ...bad('resource.in-use', '', /steering\/s/),
    },
    {
      what: 'two of the same priority',
      given: [...ports, steering({})],
      when: put(`${shop}/steering/t`, { priority: 1, from: { any: true }, to: { any: true }, via: ['p1'] }),
    },
  ],
  policies: [
    { what: 'of everybody', when: policy({}) },
    {
      what: 'of some',
      when: policy({ tenants: ['acme'], from: { cidrs: ['fd00::/8'] }, protocol: '58', icmp: { type: 128 } }),
      gives: { 'policies/p': { protocol: 'icmpv6' } },
    },
    { what: 'of a tenant there is not', when: policy({ tenants: ['x'] }), ...bad('reference.dangling', '/tenants/0') },
    { what: 'of nobody', when: policy({ tenants: [] }), ...bad('request.invalid', '/tenants') },
    { what: "a name of a tenant's", when: policy({ from: { tier: 'web' } }), ...bad('request.invalid', '/from/tier') },
    {
      what: 'a tenant deleted',
      given: [put('tenants/b'), policy({ tenants: ['b'] })],
      when: remove('tenants/b'),
      ...bad('resource.in-use', '', /policies\/p/),
    },
    {
      what: 'in an IP version',
      when: policy({ from: { cidr: '10.0.0.0/8' }, protocol: 'icmpv6' }),
      ...bad('address.family-mismatch', '/from/cidr'),
    },
  ],
  protocols: [
    {
      what: 'a number that has a name',
      when: rule({ protocol: '6', ports: ['80'] }),
      gives: { [`${shop}/rules/r`]: { protocol: 'tcp' } },
    },
    {
      what: 'a number with zeros',
      when: rule({ protocol: '017', ports: ['53'] }),
      gives: { [`${shop}/rules/r`]: { protocol: 'udp' } },
    },
    {
      what: 'a number without a name',
      when: rule({ protocol: '253' }),
      gives: { [`${shop}/rules/r`]: { protocol: '253' } },
    },
    { what: 'a name', when: rule({ protocol: 'vrrp' }) },
    {
      what: 'the same in another form changes nothing',
      given: [rule({ protocol: 'gre' })],
      when: rule({ protocol: '47' }),
    },
    { what: 'a number above 255', when: rule({ protocol: '256' }), ...bad('request.invalid', '/protocol') },
    { what: 'a name there is not', when: rule({ protocol: 'quic' }), ...bad('request.invalid', '/protocol') },
    { what: 'a number that is no text', when: rule({ protocol: 6 }), ...bad('request.invalid', '/protocol') },
    {
      what: 'ports of a protocol without',
      when: rule({ protocol: '47', ports: ['80'] }),
      ...bad('request.invalid', '/ports'),
    },
    { what: 'ports of any', when: rule({ ports: ['80'] }), ...bad('request.invalid', '/ports') },
    { what: 'ICMPv6 types', when: rule({ protocol: 'icmpv6', icmp: { type: 128, code: 0 } }) },
    { what: 'ICMP types by number', when: rule({ protocol: '1', icmp: { type: 8 } }) },
    {
      what: 'ICMP types of tcp',
      when: rule({ protocol: 'tcp', icmp: { type: 8 } }),
      ...bad('request.invalid', '/icmp'),
    },
  ],
  ends: [
    {
      what: 'prefixes in their one form',
      when: rule({ from: { cidrs: ['10.0.0.0/8', 'FD00::0/8'] } }),
      gives: { [`${shop}/rules/r`]: { from: { cidrs: ['10.0.0.0/8', 'fd00::/8'] } } },
    },
    { what: 'everything of IPv6', when: rule({ to: { cidr: '::/0' } }) },
    {
      what: 'IPv6 and ICMP',
      when: rule({ protocol: 'icmp', to: { cidr: 'fd00::/8' } }),
      ...bad('address.family-mismatch', '/to/cidr', /icmp is IPv4/),
    },
    {
      what: 'IPv4 and ICMPv6 among others',
      when: rule({ protocol: 'icmpv6', from: { cidrs: ['fd00::/8', '10.0.0.0/8'] } }),
      ...bad('address.family-mismatch', '/from/cidrs/1'),
    },
    {
      what: 'from IPv4 to IPv6',
      when: rule({ from: { cidr: '10.0.0.0/8' }, to: { cidrs: ['fd00::/8'] } }),
      ...bad('address.family-mismatch', '/to/cidrs'),
    },
    {
      what: 'from both to one',
      when: rule({ from: { cidrs: ['10.0.0.0/8', 'fd00::/8'] }, to: { cidr: 'fd01::/64' } }),
    },
    { what: 'from a tier to IPv6', when: rule({ from: { tier: 'web' }, to: { cidr: 'fd01::/64' } }) },
    {
      what: 'host bits among others',
      when: rule({ from: { cidrs: ['10.0.0.0/8', 'fd00::1/8'] } }),
      ...bad('address.invalid', '/from/cidrs/1'),
    },
    {
      what: 'the same twice',
      when: rule({ from: { cidrs: ['fd00::/8', 'FD00::/8'] } }),
      ...bad('request.invalid', '/from/cidrs/1', /twice/),
    },
    { what: 'link-local', when: rule({ from: { cidr: 'fe80::/10' } }), ...bad('address.not-unicast', '/from/cidr') },
    {
      what: 'mapped',
      when: rule({ from: { cidr: '::ffff:10.0.0.0/104' } }),
      ...bad('address.not-unicast', '/from/cidr'),
    },
    { what: 'none', when: rule({ from: { cidrs: [] } }), ...bad('request.invalid', '/from/cidrs') },
    {
      what: 'one and several',
      when: rule({ from: { cidr: '10.0.0.0/8', cidrs: ['fd00::/8'] } }),
      ...bad('request.invalid', '/from'),
    },
    { what: 'logged', when: rule({ log: true }), gives: { [`${shop}/rules/r`]: { log: true } } },
  ],
});
