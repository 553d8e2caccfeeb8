/** IPv6 in networks, tiers and ports; MTU; allowed address pairs. */
import type { Operation } from '../../src/intent/intent.ts';
import { bad, runCases } from './cases.ts';
import { put, remove, type Spec, shop } from './support.ts';

const web = `${shop}/tiers/web`;
const p1 = `${shop}/ports/p1`;
const network = (spec: Spec): Operation => put(shop, { offering: 'basic', cidr: '10.0.0.0/16', ...spec });
const tier = (spec: Spec, name = 'web', cidr = '10.0.1.0/24'): Operation =>
  put(`${shop}/tiers/${name}`, { cidr, ...spec });
const port = (spec: Spec, name = 'p1'): Operation => put(`${shop}/ports/${name}`, { tier: 'web', ...spec });
const pair = (ip: string, name = 'p1', mac?: string): Operation =>
  port({ allowedAddressPairs: [mac === undefined ? { ip } : { ip, mac }] }, name);

const dual = network({ ipv6Cidr: 'fd00::/48' });
const dualWeb = tier({ ipv6Cidr: 'fd00:0:0:1::/64' });
const app = tier({ ipv6Cidr: 'fd00:0:0:2::/64' }, 'app', '10.0.2.0/24');
const given = [dual, dualWeb];

const vrrp = '00:00:5e:00:01:0a';

/** What is no unicast address, by its name. */
const special = {
  unspecified: '::',
  loopback: '::1',
  mapped: '::ffff:10.0.1.9',
  compatible: '::10.0.1.9',
  'link-local': 'fe80::1',
  'site-local': 'fec0::1',
  multicast: 'ff02::1',
};

runCases({
  'network ipv6Cidr': [
    { what: 'a private one', when: dual, gives: { [shop]: { ipv6Cidr: 'fd00::/48' } } },
    {
      what: 'in its one form',
      when: network({ ipv6Cidr: 'FD00:0000::0/48' }),
      gives: { [shop]: { ipv6Cidr: 'fd00::/48' } },
    },
    { what: 'a public one', when: network({ ipv6Cidr: '2001:db8::/32' }) },
    { what: 'the smallest', when: network({ ipv6Cidr: 'fd00::/126' }) },
    { what: 'too small', when: network({ ipv6Cidr: 'fd00::/127' }), ...bad('address.invalid', '/ipv6Cidr', /small/) },
    { what: 'too large', when: network({ ipv6Cidr: 'fd00::/8' }), ...bad('address.invalid', '/ipv6Cidr', /large/) },
    {
      what: 'host bits',
      when: network({ ipv6Cidr: 'fd00::1/48' }),
      ...bad('address.invalid', '/ipv6Cidr', /the prefix is fd00::\/48/),
    },
    { what: 'no length', when: network({ ipv6Cidr: 'fd00::' }), ...bad('request.invalid', '/ipv6Cidr') },
    { what: 'a length above 128', when: network({ ipv6Cidr: 'fd00::/129' }), ...bad('address.invalid', '/ipv6Cidr') },
    { what: 'two gaps', when: network({ ipv6Cidr: 'fd00::1::/64' }), ...bad('address.invalid', '/ipv6Cidr') },
    { what: 'IPv4', when: network({ ipv6Cidr: '10.0.0.0/16' }), ...bad('request.invalid', '/ipv6Cidr') },
    { what: 'IPv6 as cidr', when: network({ cidr: 'fd00::/48' }), ...bad('request.invalid', '/cidr') },
    {
      what: 'multicast',
      when: network({ ipv6Cidr: 'ff00::/16' }),
      ...bad('address.not-unicast', '/ipv6Cidr', /multicast/),
    },
    { what: 'link-local', when: network({ ipv6Cidr: 'fe80::/64' }), ...bad('address.not-unicast', '/ipv6Cidr') },
    {
      what: 'around mapped',
      when: network({ ipv6Cidr: '::/64' }),
      ...bad('address.not-unicast', '/ipv6Cidr', /unspecified/),
    },
    {
      what: 'taken away under a tier',
      given,
      when: network({}),
      ...bad('address.outside', '/ipv6Cidr', /Tier web .* the network none/),
    },
    { what: 'taken away with the tier', given, when: [network({}), remove(web)] },
    {
      what: 'moved away from a tier',
      given,
      when: network({ ipv6Cidr: 'fd00:1::/48' }),
      ...bad('address.outside', '/ipv6Cidr', /Tier web/),
    },
    { what: 'narrowed around the tier', given, when: network({ ipv6Cidr: 'fd00::/62' }) },
    {
      what: 'narrowed beside the last tier',
      given: [...given, tier({ ipv6Cidr: 'fd00:0:0:9::/64' }, 'app', '10.0.2.0/24')],
      when: network({ ipv6Cidr: 'fd00::/62' }),
      ...bad('address.outside', '/ipv6Cidr', /Tier app/),
    },
  ],
  mtu: [
    { what: 'less than there is room for', when: network({ mtu: 1400 }), gives: { [shop]: { mtu: 1400 } } },
    { what: 'the least of IPv4', when: network({ mtu: 576 }) },
    { what: 'too small for IPv4', when: network({ mtu: 575 }), ...bad('mtu.too-small', '/mtu', /IPv4 needs 576/) },
    { what: 'the least of IPv6', when: network({ mtu: 1280, ipv6Cidr: 'fd00::/48' }) },
    {
      what: 'too small for IPv6',
      when: network({ mtu: 1279, ipv6Cidr: 'fd00::/48' }),
      ...bad('mtu.too-small', '/mtu', /IPv6 needs 1280/),
    },
    {
      what: 'too small once IPv6 is added',
      given: [network({ mtu: 1000 })],
      when: network({ mtu: 1000, ipv6Cidr: 'fd00::/48' }),
      ...bad('mtu.too-small', '/mtu'),
    },
    { what: 'more than there is room for', when: network({ mtu: 1500 }), ...bad('mtu.too-large', '/mtu', /1458/) },
    { what: 'more than a packet can have', when: network({ mtu: 65_536 }), ...bad('request.invalid', '/mtu') },
    { what: 'null', when: network({ mtu: null }), ...bad('request.invalid', '/mtu') },
  ],
  'tier ipv6Cidr': [
    {
      what: 'its gateway is the first address',
      given: [dual],
      when: dualWeb,
      gives: { [web]: { ipv6Cidr: 'fd00:0:0:1::/64', ipv6Gateway: 'fd00:0:0:1::1', gateway: '10.0.1.1' } },
    },
    { what: 'the smallest', given: [dual], when: tier({ ipv6Cidr: 'fd00::4/126' }) },
    {
      what: 'too small',
      given: [dual],
      when: tier({ ipv6Cidr: 'fd00::4/127' }),
      ...bad('address.invalid', '/ipv6Cidr'),
    },
    { what: 'too large', given: [dual], when: tier({ ipv6Cidr: 'fd00::/63' }), ...bad('address.invalid', '/ipv6Cidr') },
    {
      what: 'in a network without',
      when: dualWeb,
      ...bad('address.outside', '/ipv6Cidr', /network shop has no ipv6Cidr/),
    },
    {
      what: 'outside the network',
      given: [dual],
      when: tier({ ipv6Cidr: 'fd00:1::/64' }),
      ...bad('address.outside', '/ipv6Cidr', /fd00::\/48/),
    },
    {
      what: 'the same as another',
      given,
      when: tier({ ipv6Cidr: 'fd00:0:0:1::/64' }, 'app', '10.0.2.0/24'),
      ...bad('address.overlap', '/ipv6Cidr', /tier web \(fd00/),
    },
    {
      what: 'inside another',
      given,
      when: tier({ ipv6Cidr: 'fd00:0:0:1:8000::/65' }, 'app', '10.0.2.0/24'),
      ...bad('address.overlap', '/ipv6Cidr'),
    },
    {
      what: 'around another',
      given: [dual, tier({ ipv6Cidr: 'fd00:0:0:1:8000::/65' })],
      when: tier({ ipv6Cidr: 'fd00:0:0:1::/64' }, 'app', '10.0.2.0/24'),
      ...bad('address.overlap', '/ipv6Cidr'),
    },
    { what: 'beside another', given, when: app },
    {
      what: 'added later',
      given: [dual, port({})],
      when: [dualWeb, port({}, 'p2')],
      gives: { [p1]: { ips: ['10.0.1.2'] }, [`${shop}/ports/p2`]: { ips: ['10.0.1.3', 'fd00:0:0:1::2'] } },
    },
    { what: 'changed', given, when: tier({ ipv6Cidr: 'fd00:0:0:9::/64' }), ...bad('resource.immutable', '/ipv6Cidr') },
    { what: 'left out once it is there', given, when: tier({}), ...bad('resource.immutable', '/ipv6Cidr') },
    {
      what: 'in another form of the same',
      given,
      when: tier({ ipv6Cidr: 'FD00:0:0:1:0::/64', ipv6Gateway: 'fd00::1:0:0:0:1' }),
      gives: { [web]: { ipv6Gateway: 'fd00:0:0:1::1' } },
    },
  ],
  ipv6Gateway: [
    {
      what: 'another one, in its one form',
      given,
      when: tier({ ipv6Cidr: 'fd00:0:0:1::/64', ipv6Gateway: 'FD00:0:0:1::00FE' }),
      gives: { [web]: { ipv6Gateway: 'fd00:0:0:1::fe' } },
    },
    {
      what: 'kept when left out',
      given: [dual, tier({ ipv6Cidr: 'fd00:0:0:1::/64', ipv6Gateway: 'fd00:0:0:1::9' })],
      when: tier({ ipv6Cidr: 'fd00:0:0:1::/64', description: 'x' }),
      gives: { [web]: { ipv6Gateway: 'fd00:0:0:1::9' } },
    },
    { what: 'without a prefix', when: tier({ ipv6Gateway: 'fd00::1' }), ...bad('request.invalid', '/ipv6Gateway') },
    {
      what: 'outside',
      given,
      when: tier({ ipv6Cidr: 'fd00:0:0:1::/64', ipv6Gateway: 'fd00::1' }),
      ...bad('address.outside', '/ipv6Gateway'),
    },
    {
      what: 'the subnet-router anycast address',
      given,
      when: tier({ ipv6Cidr: 'fd00:0:0:1::/64', ipv6Gateway: 'fd00:0:0:1::' }),
      ...bad('address.invalid', '/ipv6Gateway', /anycast/),
    },
    {
      what: 'of a port',
      given: [...given, port({ ips: ['fd00:0:0:1::9'] })],
      when: tier({ ipv6Cidr: 'fd00:0:0:1::/64', ipv6Gateway: 'fd00:0:0:1::9' }),
      ...bad('address.in-use', '/ipv6Gateway', /ports\/p1/),
    },
  ],
  'port ips': [
    {
      what: 'one of each version when left out',
      given,
      when: port({}),
      gives: { [p1]: { ips: ['10.0.1.2', 'fd00:0:0:1::2'] } },
    },
    {
      what: 'the lowest free ones',
      given: [...given, port({ ips: ['fd00:0:0:1::2', 'fd00:0:0:1::4'] }, 'p2'), port({}, 'p3')],
      when: port({}),
      gives: {
        [p1]: { ips: ['10.0.1.3', 'fd00:0:0:1::5'] },
        [`${shop}/ports/p3`]: { ips: ['10.0.1.2', 'fd00:0:0:1::3'] },
      },
    },
    {
      what: 'of one version alone',
      given,
      when: port({ ips: ['fd00:0:0:1::9'] }),
      gives: { [p1]: { ips: ['fd00:0:0:1::9'] } },
    },
    {
      what: 'in their one form',
      given,
      when: port({ ips: ['FD00::1:0:0:0:00aB'] }),
      gives: { [p1]: { ips: ['fd00:0:0:1::ab'] } },
    },
    {
      what: 'far up in the prefix, and the last of all',
      given,
      when: port({ ips: ['fd00:0:0:1:8000::1', 'fd00::1:ffff:ffff:ffff:ffff'] }),
    },
    {
      what: 'kept when left out',
      given: [...given, port({ ips: ['10.0.1.9', 'fd00:0:0:1::9'] })],
      when: port({ description: 'x' }),
      gives: { [p1]: { ips: ['10.0.1.9', 'fd00:0:0:1::9'] } },
    },
    {
      what: 'the same in two forms',
      given,
      when: port({ ips: ['fd00:0:0:1::9', 'fd00::1:0:0:0:9'] }),
      ...bad('request.invalid', '/ips/1', /twice/),
    },
    {
      what: 'in a tier without',
      when: port({ ips: ['fd00::9'] }),
      ...bad('address.outside', '/ips/0', /tier web has no ipv6Cidr/),
    },
    { what: 'outside the tier', given, when: port({ ips: ['fd00::9'] }), ...bad('address.outside', '/ips/0') },
    {
      what: 'the anycast address',
      given,
      when: port({ ips: ['10.0.1.9', 'fd00:0:0:1::'] }),
      ...bad('address.invalid', '/ips/1', /anycast/),
    },
    {
      what: 'the gateway',
      given,
      when: port({ ips: ['fd00:0:0:1::1'] }),
      ...bad('address.in-use', '/ips/0', /gateway of tier web/),
    },
    {
      what: 'taken',
      given: [...given, port({}, 'p2')],
      when: port({ ips: ['fd00:0:0:1::2'] }),
      ...bad('address.in-use', '/ips/0', /ports\/p2/),
    },
    { what: 'a zone', given, when: port({ ips: ['fe80::1%eth0'] }), ...bad('request.invalid', '/ips/0') },
    ...Object.entries(special).map(([what, ip]) => ({
      what,
      given,
      when: port({ ips: [ip] }),
      ...bad('address.not-unicast', '/ips/0'),
    })),
    {
      what: 'none free in a /126',
      given: [dual, tier({ ipv6Cidr: 'fd00::4/126' }), port({}, 'p2'), port({}, 'p3')],
      when: port({}),
      ...bad('address.exhausted', '/ips', /fd00::4\/126/),
    },
    {
      what: 'free again after a deletion',
      given: [dual, tier({ ipv6Cidr: 'fd00::4/126' }), port({}, 'p2'), port({}, 'p3')],
      when: [remove(`${shop}/ports/p2`), port({})],
      gives: { [p1]: { ips: ['10.0.1.2', 'fd00::6'] } },
    },
  ],
  'allowed address pairs': [
    { what: 'a virtual address', when: pair('10.0.1.100', 'p1', vrrp) },
    {
      what: 'of two ports of a tier',
      given: [pair('10.0.1.100', 'p1', vrrp)],
      when: pair('10.0.1.100', 'p2', vrrp.toUpperCase()),
      gives: { [`${shop}/ports/p2`]: { allowedAddressPairs: [{ ip: '10.0.1.100', mac: vrrp }] } },
    },
    { what: 'of IPv6', given, when: pair('fd00:0:0:1::100', 'p1', vrrp) },
    {
      what: 'in its one form',
      when: port({ allowedAddressPairs: [{ ip: '10.0.1.100/32' }, { ip: 'FD99::00/64' }, { ip: 'FD99::1/128' }] }),
      gives: { [p1]: { allowedAddressPairs: [{ ip: '10.0.1.100' }, { ip: 'fd99::/64' }, { ip: 'fd99::1' }] } },
    },
    { what: 'what is routed behind the VM', when: pair('192.168.7.0/24') },
    { what: 'its own address with another MAC', given: [port({})], when: pair('10.0.1.2', 'p1', vrrp) },
    { what: 'its own address in a prefix', given: [port({ ips: ['10.0.1.17'] })], when: pair('10.0.1.16/28') },
    {
      what: 'the address of another port',
      given: [port({}, 'p2')],
      when: pair('10.0.1.2'),
      ...bad('address.in-use', '/allowedAddressPairs/0/ip', /ports\/p2/),
    },
    {
      what: 'a prefix with the address of another port in it',
      given: [port({ ips: ['10.0.1.20'] }, 'p2')],
      when: pair('10.0.1.16/28'),
      ...bad('address.in-use', '/allowedAddressPairs/0/ip', /10\.0\.1\.20 is taken/),
    },
    {
      what: 'of one request with the address of another port',
      when: [pair('10.0.1.9'), port({ ips: ['10.0.1.9'] }, 'p2')],
      ...bad('address.in-use', '/resources/1/spec/ips/0', /ports\/p1/),
    },
    {
      what: 'an address that becomes that of another port',
      given: [pair('10.0.1.9')],
      when: port({ ips: ['10.0.1.9'] }, 'p2'),
      ...bad('address.in-use', '/ips/0', /ports\/p1/),
    },
    {
      what: 'an address that becomes its own',
      given: [pair('10.0.1.9')],
      when: port({ ips: ['10.0.1.9'], allowedAddressPairs: [{ ip: '10.0.1.9' }] }),
    },
    { what: 'the gateway', when: pair('10.0.1.1'), ...bad('address.in-use', '/allowedAddressPairs/0/ip', /gateway/) },
    {
      what: 'an address that becomes the gateway',
      given: [pair('10.0.1.254')],
      when: tier({ gateway: '10.0.1.254' }),
      ...bad('address.in-use', '/gateway', /ports\/p1/),
    },
    { what: 'the broadcast address', when: pair('10.0.1.255'), ...bad('address.invalid', '/allowedAddressPairs/0/ip') },
    {
      what: 'of another tier',
      given: [dual, app],
      when: pair('10.0.2.9'),
      ...bad('address.outside', '/allowedAddressPairs/0/ip', /tier app/),
    },
    {
      what: 'wider than the tier',
      when: pair('10.0.0.0/16'),
      ...bad('address.outside', '/allowedAddressPairs/0/ip', /wider than tier web/),
    },
    {
      what: 'where a tier is to be',
      given: [pair('10.0.2.0/28')],
      when: tier({}, 'app', '10.0.2.0/24'),
      ...bad('address.overlap', '/cidr', /ports\/p1/),
    },
    {
      what: 'where IPv6 of the tier is to be',
      given: [dual, pair('fd00::1:0:0:0:9')],
      when: dualWeb,
      ...bad('address.overlap', '/ipv6Cidr', /ports\/p1/),
    },
    {
      what: 'are not chosen for others',
      given: [pair('10.0.1.3')],
      when: port({}, 'p2'),
      gives: { [`${shop}/ports/p2`]: { ips: ['10.0.1.4'] } },
    },
    {
      what: 'are kept for the other that has them',
      given: [pair('10.0.1.3'), pair('10.0.1.3', 'p2'), remove(p1)],
      when: [port({}, 'p3'), port({}, 'p4')],
      gives: { [`${shop}/ports/p3`]: { ips: ['10.0.1.2'] }, [`${shop}/ports/p4`]: { ips: ['10.0.1.5'] } },
    },
    {
      what: 'are free when nobody has them any more',
      given: [pair('10.0.1.3'), pair('10.0.1.3', 'p2'), port({}), port({}, 'p2')],
      when: port({}, 'p3'),
      gives: { [`${shop}/ports/p3`]: { ips: ['10.0.1.3'] } },
    },
    {
      what: 'a block of the tier, and none chosen from it',
      given: [port({ ips: ['10.0.1.200'] }), pair('10.0.1.2/31')],
      when: port({}, 'p2'),
      gives: { [`${shop}/ports/p2`]: { ips: ['10.0.1.4'] } },
    },
    {
      what: 'a block with the gateway in it',
      when: pair('10.0.1.0/29'),
      ...bad('address.in-use', '/allowedAddressPairs/0/ip', /gateway/),
    },
    { what: 'multicast', when: pair('224.0.0.18'), ...bad('address.not-unicast', '/allowedAddressPairs/0/ip') },
    {
      what: 'everything',
      when: pair('0.0.0.0/0'),
      ...bad('address.invalid', '/allowedAddressPairs/0/ip', /too large/),
    },
    { what: 'host bits', when: pair('10.0.1.9/28'), ...bad('address.invalid', '/allowedAddressPairs/0/ip') },
    {
      what: 'the same twice',
      when: port({ allowedAddressPairs: [{ ip: 'fd99::1' }, { ip: 'fd99::0:1' }] }),
      ...bad('request.invalid', '/allowedAddressPairs/1', /twice/),
    },
    {
      what: 'a multicast MAC',
      when: pair('10.0.1.9', 'p1', '01:00:5e:00:00:12'),
      ...bad('address.invalid', '/allowedAddressPairs/0/mac'),
    },
    {
      what: 'the MAC of another port',
      given: [port({ mac: '02:00:00:00:00:02' }, 'p2')],
      when: pair('10.0.1.9', 'p1', '02:00:00:00:00:02'),
      ...bad('mac.in-use', '/allowedAddressPairs/0/mac', /ports\/p2/),
    },
    {
      what: 'a MAC that becomes that of another port',
      given: [pair('10.0.1.9', 'p1', vrrp)],
      when: port({ mac: vrrp }, 'p2'),
      ...bad('mac.in-use', '/mac', /ports\/p1/),
    },
    {
      what: 'the MAC of a pair of another tier',
      given: [
        dual,
        app,
        put(`${shop}/ports/p2`, { tier: 'app', allowedAddressPairs: [{ ip: '10.0.2.9', mac: vrrp }] }),
      ],
      when: pair('10.0.1.9', 'p1', vrrp),
      ...bad('mac.in-use', '/allowedAddressPairs/0/mac', /ports\/p2/),
    },
    { what: 'a MAC given back', given: [pair('10.0.1.9', 'p1', vrrp), port({})], when: port({ mac: vrrp }, 'p2') },
    {
      what: 'its own MAC',
      given: [port({ mac: vrrp })],
      when: port({ mac: vrrp, allowedAddressPairs: [{ ip: '10.0.1.9', mac: vrrp }] }),
    },
    { what: 'null', when: port({ allowedAddressPairs: null }), ...bad('request.invalid', '/allowedAddressPairs') },
  ],
  qos: [
    {
      what: 'both ways',
      when: port({ qos: { fromVm: { rateKbps: 1000 }, toVm: { rateKbps: 5, burstKb: 9 }, dscp: 0 } }),
    },
    {
      what: 'no rate',
      when: port({ qos: { fromVm: { burstKb: 9 } } }),
      ...bad('request.invalid', '/qos/fromVm/rateKbps'),
    },
    {
      what: 'a rate of 0',
      when: port({ qos: { toVm: { rateKbps: 0 } } }),
      ...bad('request.invalid', '/qos/toVm/rateKbps'),
    },
    { what: 'DSCP 64', when: port({ qos: { dscp: 64 } }), ...bad('request.invalid', '/qos/dscp') },
    { what: 'nothing', when: port({ qos: {} }), ...bad('request.invalid', '/qos') },
  ],
});
