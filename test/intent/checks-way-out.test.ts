/** Checks of the way out: provider networks, pools, public addresses, NAT rules, trunks and what is joined to them. */
import { describe, expect, it } from 'vitest';
import type { Operation } from '../../src/intent/intent.ts';
import { bad, type Cases, runCases } from './cases.ts';
import { admin, basics, open as openEmpty, openWith, problemOf, put, remove, type Spec, shop } from './support.ts';

const provider = (spec: Spec = {}, name = 'internet'): Operation =>
  put(`provider-networks/${name}`, { physicalNetwork: 'physnet1', vlan: 50, ...spec });
const pool = (spec: Spec = {}, name = 'public'): Operation =>
  put(`ip-pools/${name}`, { providerNetwork: 'internet', cidr: '203.0.113.0/24', gateway: '203.0.113.1', ...spec });
const ip = (spec: Spec = {}, name = 'front'): Operation => put(`${shop}/public-ips/${name}`, spec);
const nat = (spec: Spec, name = 'r'): Operation => put(`${shop}/nat-rules/${name}`, { publicIp: 'front', ...spec });
const forward = (spec: Spec = {}, name = 'r'): Operation =>
  nat({ type: 'port-forward', port: 'p1', protocol: 'tcp', publicPorts: '443', ...spec }, name);
const fixed = (spec: Spec = {}, name = 'r'): Operation => nat({ type: 'static', port: 'p1', ...spec }, name);
const source = (spec: Spec = {}, name = 'r'): Operation => nat({ type: 'source', ...spec }, name);
const port = (spec: Spec = {}, name = 'p1'): Operation => put(`${shop}/ports/${name}`, { tier: 'web', ...spec });
const tier = (spec: Spec, name = 'app'): Operation => put(`${shop}/tiers/${name}`, spec);
const trunk = (spec: Spec = {}, name = 'racks'): Operation =>
  put(`trunks/${name}`, { physicalNetwork: 'physnet1', vlans: ['100-101'], ...spec });
const attach = (spec: Spec = {}, name = 'storage'): Operation =>
  put(`${shop}/vlan-attachments/${name}`, { trunk: 'racks', tier: 'web', ...spec });
const reserve = (range: string, name = 'kept', of = 'web'): Operation =>
  put(`${shop}/reservations/${name}`, { tier: of, range });

const pooled = [provider(), pool()];
const open = [...pooled, ip(), port({ ips: ['10.0.1.10', '10.0.1.11'] })];
const globex = [put('tenants/globex')];

/** Two tenants on one provider network, and a pool beside them. */
const campus = [
  ...globex,
  put('tenants/globex/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' }),
  provider({ tenants: ['acme', 'globex'] }),
  pool({ cidr: '172.16.0.0/29', gateway: '172.16.0.1', ranges: ['172.16.0.2-172.16.0.4'] }),
  tier({ cidr: '172.16.0.0/24', providerNetwork: 'internet' }),
  put('tenants/globex/networks/n/tiers/out', { cidr: '172.16.0.0/24', providerNetwork: 'internet' }),
];

const cases: Cases = {
  'provider network': [
    { what: 'a VLAN', when: provider() },
    { what: 'the next VLAN', given: [provider()], when: provider({ vlan: 51 }, 'other') },
    { what: 'untagged beside a VLAN', given: [provider()], when: provider({ vlan: undefined }, 'other') },
    {
      what: 'the same VLAN again',
      given: [provider()],
      when: provider({}, 'other'),
      ...bad('provider-network.duplicate', '/vlan', /provider-networks\/internet/),
    },
    {
      what: 'untagged again',
      given: [provider({ vlan: undefined })],
      when: provider({ vlan: undefined }, 'other'),
      ...bad('provider-network.duplicate', '/physicalNetwork'),
    },
    { what: 'the same VLAN elsewhere', given: [provider()], when: provider({ physicalNetwork: 'b' }, 'other') },
    { what: 'VLAN 4095', when: provider({ vlan: 4095 }), ...bad('request.invalid', '/vlan') },
    { what: 'VLAN 0', when: provider({ vlan: 0 }), ...bad('request.invalid', '/vlan') },
    {
      what: 'a VLAN of a trunk',
      given: [trunk()],
      when: provider({ vlan: 101 }),
      ...bad('vlan.in-use', '/vlan', /racks/),
    },
    {
      what: 'another VLAN later',
      given: [provider()],
      when: provider({ vlan: 51 }),
      ...bad('resource.immutable', '/vlan'),
    },
    {
      what: 'a tenant there is not',
      when: provider({ tenants: ['none'] }),
      ...bad('reference.dangling', '/tenants/0'),
    },
    {
      what: 'taken from a tenant that is on it',
      given: [provider({ tenants: ['acme'] }), tier({ cidr: '172.16.0.0/24', providerNetwork: 'internet' })],
      when: provider(),
      ...bad('resource.in-use', '/tenants', /tiers\/app/),
    },
    {
      what: 'deleted under a pool',
      given: pooled,
      when: remove('provider-networks/internet'),
      ...bad('resource.in-use', '', /ip-pools\/public/),
    },
  ],
  pool: [
    { what: 'a whole prefix', given: [provider()], when: pool() },
    { what: 'ranges', given: [provider()], when: pool({ ranges: ['203.0.113.9', '203.0.113.10-203.0.113.20'] }) },
    { what: 'on nothing', when: pool(), ...bad('reference.dangling', '/providerNetwork') },
    {
      what: 'an overlap',
      given: pooled,
      when: pool({ cidr: '203.0.112.0/23', gateway: '203.0.112.1' }, 'other'),
      ...bad('ip-pool.overlap', '/cidr', /203\.0\.113\.0\/24 of ip-pools\/public/),
    },
    {
      what: 'an overlap from inside',
      given: pooled,
      when: pool({ cidr: '203.0.113.128/25', gateway: '203.0.113.129' }, 'other'),
      ...bad('ip-pool.overlap', '/cidr'),
    },
    {
      what: 'two that overlap in one go',
      given: [provider()],
      when: [pool(), pool({}, 'other')],
      ...bad('ip-pool.overlap', '/resources/1/spec/cidr'),
    },
    {
      what: 'the same prefix on another provider network',
      given: [...pooled, provider({ vlan: 51 }, 'b')],
      when: pool({ providerNetwork: 'b' }, 'other'),
    },
    { what: 'beside another', given: pooled, when: pool({ cidr: '203.0.112.0/24', gateway: '203.0.112.1' }, 'other') },
    {
      what: 'a gateway outside',
      given: [provider()],
      when: pool({ gateway: '203.0.112.1' }),
      ...bad('address.outside', '/gateway'),
    },
    {
      what: 'a gateway at the end',
      given: [provider()],
      when: pool({ gateway: '203.0.113.255' }),
      ...bad('address.invalid', '/gateway', /broadcast/),
    },
    {
      what: 'a multicast MAC',
      given: [provider()],
      when: pool({ gatewayMac: '01:00:00:00:00:01' }),
      ...bad('address.invalid', '/gatewayMac'),
    },
    {
      what: 'a range outside',
      given: [provider()],
      when: pool({ ranges: ['203.0.113.250-203.0.113.255'] }),
      ...bad('address.outside', '/ranges/0'),
    },
    {
      what: 'a range the wrong way round',
      given: [provider()],
      when: pool({ ranges: ['203.0.113.20-203.0.113.10'] }),
      ...bad('address.invalid', '/ranges/0'),
    },
    {
      what: 'a range with the gateway',
      given: [provider()],
      when: pool({ ranges: ['203.0.113.1-203.0.113.9'] }),
      ...bad('address.invalid', '/ranges/0', /gateway/),
    },
    {
      what: 'ranges that overlap',
      given: [provider()],
      when: pool({ ranges: ['203.0.113.5-203.0.113.9', '203.0.113.9'] }),
      ...bad('address.overlap', '/ranges/1'),
    },
    {
      what: 'ranges taken from under an address',
      given: [...pooled, ip({ address: '203.0.113.25' })],
      when: pool({ ranges: ['203.0.113.30-203.0.113.40'] }),
      ...bad('resource.in-use', '/ranges', /203\.0\.113\.25 is of .*public-ips\/front/),
    },
    {
      what: 'a gateway where an address is',
      given: [...pooled, ip({ address: '203.0.113.25' })],
      when: pool({ gateway: '203.0.113.25' }),
      ...bad('resource.in-use', '/gateway'),
    },
    {
      what: 'ranges that still hold what is given out',
      given: [...pooled, ip({ address: '203.0.113.25' })],
      when: [pool({ ranges: ['203.0.113.25-203.0.113.26'] }), ip({}, 'second')],
      gives: { [`${shop}/public-ips/second`]: { address: '203.0.113.26' } },
    },
    {
      what: 'deleted under an address',
      given: open,
      when: remove('ip-pools/public'),
      ...bad('resource.in-use', '', /front/),
    },
  ],
  'public address': [
    {
      what: 'chosen whole',
      given: pooled,
      when: ip(),
      gives: { [`${shop}/public-ips/front`]: { pool: 'public', address: '203.0.113.2' } },
    },
    {
      what: 'chosen past what is taken',
      given: [...pooled, ip({ address: '203.0.113.2' }, 'a')],
      when: ip(),
      gives: { [`${shop}/public-ips/front`]: { address: '203.0.113.3' } },
    },
    {
      what: 'never one that is asked for in the same transaction',
      given: pooled,
      when: [ip({}, 'a'), ip({ address: '203.0.113.2' }, 'b')],
      gives: { [`${shop}/public-ips/a`]: { address: '203.0.113.3' } },
    },
    {
      what: 'one that is given back in the same transaction',
      given: [...pooled, ip({ address: '203.0.113.9' }, 'a')],
      when: [remove(`${shop}/public-ips/a`), ip({ address: '203.0.113.9' }, 'b')],
    },
    {
      what: 'of the pool it lies in',
      given: [...pooled, pool({ cidr: '198.51.100.0/24', gateway: '198.51.100.1' }, 'zz')],
      when: ip({ address: '198.51.100.7' }),
      gives: { [`${shop}/public-ips/front`]: { pool: 'zz' } },
    },
    {
      what: 'of the first pool that has one',
      given: [
        provider(),
        pool({ ranges: ['203.0.113.9'] }, 'a'),
        pool({ cidr: '198.51.100.0/24', gateway: '198.51.100.1' }, 'b'),
        ip({}, 'first'),
      ],
      when: ip(),
      gives: { [`${shop}/public-ips/front`]: { pool: 'b', address: '198.51.100.2' } },
    },
    {
      what: "of one's own pool before others by name",
      given: [
        ...globex,
        provider(),
        pool({ tenants: ['globex'] }, 'a'),
        pool({ cidr: '198.51.100.0/24', gateway: '198.51.100.1', tenants: ['acme', 'globex'] }, 'b'),
        pool({ cidr: '192.0.2.0/24', gateway: '192.0.2.1' }, 'c'),
      ],
      when: ip(),
      gives: { [`${shop}/public-ips/front`]: { pool: 'b' } },
    },
    { what: 'without any pool', when: ip(), ...bad('ip-pool.none', '/pool') },
    {
      what: 'of a pool there is not',
      given: pooled,
      when: ip({ pool: 'none' }),
      ...bad('reference.dangling', '/pool'),
    },
    {
      what: "of another tenant's pool",
      given: [...globex, provider(), pool({ tenants: ['globex'] })],
      when: ip({ pool: 'public' }),
      ...bad('ip-pool.not-open', '/pool'),
    },
    {
      what: 'while only others have pools',
      given: [...globex, provider(), pool({ tenants: ['globex'] })],
      when: ip(),
      ...bad('ip-pool.none', '/pool'),
    },
    {
      what: 'of a pool that is empty',
      given: [provider(), pool({ ranges: ['203.0.113.9'] }), ip({}, 'first')],
      when: ip({ pool: 'public' }),
      ...bad('ip-pool.exhausted', '/pool', /pool public/),
    },
    {
      what: 'while every pool is empty',
      given: [provider(), pool({ ranges: ['203.0.113.9'] }), ip({}, 'first')],
      when: ip(),
      ...bad('ip-pool.exhausted', '/pool', /any pool/),
    },
    {
      what: 'outside its pool',
      given: pooled,
      when: ip({ pool: 'public', address: '198.51.100.7' }),
      ...bad('public-ip.outside', '/address'),
    },
    {
      what: 'outside every pool',
      given: pooled,
      when: ip({ address: '198.51.100.7' }),
      ...bad('public-ip.outside', '/address'),
    },
    {
      what: 'the gateway of its pool',
      given: pooled,
      when: ip({ address: '203.0.113.1' }),
      ...bad('public-ip.outside', '/address'),
    },
    {
      what: 'outside the ranges of its pool',
      given: [provider(), pool({ ranges: ['203.0.113.9'] })],
      when: ip({ address: '203.0.113.10' }),
      ...bad('public-ip.outside', '/address'),
    },
    {
      what: 'taken',
      given: [...pooled, ip({}, 'first')],
      when: ip({ address: '203.0.113.2' }),
      ...bad('public-ip.in-use', '/address'),
    },
    {
      what: 'wanted twice in one go',
      given: pooled,
      when: [ip({ address: '203.0.113.2' }, 'a'), ip({ address: '203.0.113.2' }, 'b')],
      ...bad('public-ip.in-use', '/resources/1/spec/address'),
    },
    {
      what: 'another later',
      given: open,
      when: ip({ address: '203.0.113.9' }),
      ...bad('resource.immutable', '/address'),
    },
    {
      what: 'under an offering that has no use for it',
      given: [
        ...pooled,
        put('offerings/bare', { services: ['routing', 'rules'] }),
        put('tenants/acme/networks/bare', { offering: 'bare', cidr: '10.0.0.0/16' }),
      ],
      when: put('tenants/acme/networks/bare/public-ips/a', {}),
      ...bad('service.not-offered', ''),
    },
    {
      what: 'beyond the quota',
      given: [...pooled, put('quotas/acme', { publicIps: 1 }), ip({}, 'first')],
      when: ip(),
      ...bad('quota.exceeded', '', /publicIps of quotas\/acme/),
    },
    {
      what: 'deleted under a rule',
      given: [...open, source()],
      when: remove(`${shop}/public-ips/front`),
      ...bad('resource.in-use', '', /nat-rules\/r/),
    },
    {
      what: 'deleted with its rule',
      given: [...open, source()],
      when: [remove(`${shop}/public-ips/front`), remove(`${shop}/nat-rules/r`)],
    },
  ],
  'NAT rule': [
    { what: 'source, of the network', given: open, when: source() },
    { what: 'source, of tiers', given: open, when: source({ tiers: ['web'] }) },
    { what: 'static', given: open, when: fixed() },
    { what: 'port forward', given: open, when: forward({ publicPorts: '8000-8010', privatePorts: '9000-9010' }) },
    {
      what: 'several services of one address',
      given: open,
      when: [source({}, 'a'), forward({}, 'b'), forward({ protocol: 'udp' }, 'c')],
    },
    {
      what: 'of a public address there is not',
      given: [port()],
      when: source(),
      ...bad('reference.dangling', '/publicIp'),
    },
    {
      what: 'of a port there is not',
      given: open,
      when: forward({ port: 'none' }),
      ...bad('reference.dangling', '/port'),
    },
    { what: 'of no type', given: open, when: nat({ type: 'twice' }), ...bad('request.invalid', '/type') },
    { what: 'source with a port', given: open, when: source({ port: 'p1' }), ...bad('request.invalid', '/port') },
    { what: 'static without a port', given: open, when: nat({ type: 'static' }), ...bad('request.invalid', '/port') },
    {
      what: 'static with ports',
      given: open,
      when: fixed({ publicPorts: '1' }),
      ...bad('request.invalid', '/publicPorts'),
    },
    {
      what: 'forward without ports',
      given: open,
      when: forward({ publicPorts: undefined }),
      ...bad('request.invalid', '/publicPorts'),
    },
    {
      what: 'forward without a protocol',
      given: open,
      when: forward({ protocol: undefined }),
      ...bad('request.invalid', '/protocol'),
    },
    {
      what: 'forward of icmp',
      given: open,
      when: forward({ protocol: 'icmp' }),
      ...bad('request.invalid', '/protocol'),
    },
    { what: 'port 0', given: open, when: forward({ publicPorts: '0' }), ...bad('nat-rule.ports', '/publicPorts') },
    {
      what: 'from port 0',
      given: open,
      when: forward({ publicPorts: '0-10' }),
      ...bad('nat-rule.ports', '/publicPorts'),
    },
    {
      what: 'private port 0',
      given: open,
      when: forward({ privatePorts: '0' }),
      ...bad('nat-rule.ports', '/privatePorts'),
    },
    {
      what: 'port 65536',
      given: open,
      when: forward({ publicPorts: '65536' }),
      ...bad('nat-rule.ports', '/publicPorts'),
    },
    {
      what: 'ports the wrong way round',
      given: open,
      when: forward({ publicPorts: '9-8' }),
      ...bad('nat-rule.ports', '/publicPorts'),
    },
    {
      what: 'two widths',
      given: open,
      when: forward({ publicPorts: '1-9', privatePorts: '1-8' }),
      ...bad('nat-rule.ports', '/privatePorts'),
    },
    { what: 'all ports', given: open, when: forward({ publicPorts: '1-65535' }) },
    {
      what: 'too many ports to others',
      given: open,
      when: forward({ publicPorts: '1000-1256', privatePorts: '2000-2256' }),
      ...bad('nat-rule.ports', '/privatePorts', /256/),
    },
    {
      what: 'a forwarded port used twice',
      given: [...open, forward()],
      when: forward({}, 's'),
      ...bad('nat-rule.port-in-use', '/publicPorts', /nat-rules\/r/),
    },
    {
      what: 'ranges that share a port',
      given: [...open, forward({ publicPorts: '100-200' })],
      when: forward({ publicPorts: '200-300' }, 's'),
      ...bad('nat-rule.port-in-use', '/publicPorts', /100-200/),
    },
    {
      what: 'the same port in the other protocol',
      given: [...open, forward()],
      when: forward({ protocol: 'udp' }, 's'),
    },
    {
      what: 'the same port of another address',
      given: [...open, forward(), ip({}, 'b')],
      when: forward({ publicIp: 'b' }, 's'),
    },
    { what: 'the port it had', given: [...open, forward()], when: forward({ description: 'x' }) },
    {
      what: 'a port another gives up',
      given: [...open, forward()],
      when: [forward({ publicPorts: '80' }), forward({}, 's')],
    },
    {
      what: 'static beside a forward',
      given: [...open, forward()],
      when: fixed({}, 's'),
      ...bad('nat-rule.public-ip-in-use', '/publicIp'),
    },
    {
      what: 'a forward beside static',
      given: [...open, fixed()],
      when: forward({}, 's'),
      ...bad('nat-rule.public-ip-in-use', '/publicIp'),
    },
    {
      what: 'source beside static',
      given: [...open, fixed()],
      when: source({}, 's'),
      ...bad('nat-rule.public-ip-in-use', '/publicIp'),
    },
    {
      what: 'static twice',
      given: [...open, fixed()],
      when: fixed({}, 's'),
      ...bad('nat-rule.public-ip-in-use', '/publicIp'),
    },
    {
      what: 'one private address with two public ones',
      given: [...open, fixed(), ip({}, 'b')],
      when: fixed({ publicIp: 'b' }, 's'),
      ...bad('nat-rule.address-in-use', '/port', /nat-rules\/r/),
    },
    {
      what: 'two private addresses of a port',
      given: [...open, fixed(), ip({}, 'b')],
      when: fixed({ publicIp: 'b', address: '10.0.1.11' }, 's'),
    },
    {
      what: 'an address the port has not',
      given: open,
      when: fixed({ address: '10.0.1.12' }),
      ...bad('nat-rule.address', '/address'),
    },
    {
      what: 'a port without IPv4',
      given: [
        ...pooled,
        ip(),
        put(shop, { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00::/48' }),
        tier({ cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:0:0:1::/64' }, 'web'),
        port({ ips: ['fd00:0:0:1::9'] }),
      ],
      when: forward(),
      ...bad('nat-rule.no-ipv4', '/port'),
    },
    {
      what: 'two ways out of the network',
      given: [...open, source(), ip({}, 'b')],
      when: source({ publicIp: 'b' }, 's'),
      ...bad('nat-rule.source-in-use', ''),
    },
    {
      what: 'two ways out of a tier',
      given: [...open, source({ tiers: ['web'] }), ip({}, 'b')],
      when: source({ publicIp: 'b', tiers: ['web'] }, 's'),
      ...bad('nat-rule.source-in-use', '/tiers/0'),
    },
    {
      what: 'a tier apart from its network',
      given: [...open, source(), ip({}, 'b')],
      when: source({ publicIp: 'b', tiers: ['web'] }, 's'),
    },
    {
      what: 'a port straight on a provider network',
      given: [
        ...open,
        provider({ vlan: 9, tenants: ['acme'] }, 'campus'),
        tier({ cidr: '172.16.0.0/24', providerNetwork: 'campus' }),
        port({ tier: 'app' }, 'p2'),
      ],
      when: fixed({ port: 'p2' }),
      ...bad('nat-rule.tier', '/port'),
    },
    {
      what: 'the way out of a tier that is outside',
      given: [
        ...open,
        provider({ vlan: 9, tenants: ['acme'] }, 'campus'),
        tier({ cidr: '172.16.0.0/24', providerNetwork: 'campus' }),
      ],
      when: source({ tiers: ['app'] }),
      ...bad('nat-rule.tier', '/tiers/0'),
    },
    {
      what: 'of a service the offering has not',
      given: [
        ...open,
        put('offerings/one', { services: ['source-nat'] }),
        put(shop, { offering: 'one', cidr: '10.0.0.0/16' }),
        source(),
      ],
      when: forward({}, 's'),
      ...bad('service.not-offered', '/type', /port-forwarding/),
    },
    {
      what: 'an offering that takes its service away',
      given: [...open, forward(), put('offerings/one', { services: ['source-nat'] })],
      when: put(shop, { offering: 'one', cidr: '10.0.0.0/16' }),
      ...bad('service.not-offered', '/offering', /nat-rules\/r/),
    },
    {
      what: 'a port that gives up the address',
      given: [...open, fixed({ address: '10.0.1.11' })],
      when: port({ ips: ['10.0.1.10'] }),
      ...bad('resource.in-use', '/ips', /nat-rules\/r/),
    },
    {
      what: 'a port whose first address is spoken for',
      given: [...open, fixed(), ip({}, 'b'), fixed({ publicIp: 'b', address: '10.0.1.11' }, 's')],
      when: port({ ips: ['10.0.1.11', '10.0.1.10'] }),
      ...bad('resource.in-use', '/ips'),
    },
    { what: 'a port that takes another address', given: [...open, fixed()], when: port({ ips: ['10.0.1.30'] }) },
    {
      what: 'a port deleted under it',
      given: [...open, forward()],
      when: remove(`${shop}/ports/p1`),
      ...bad('resource.in-use', ''),
    },
  ],
  trunk: [
    { what: 'ranges', when: trunk({ vlans: ['100-199', '300'] }) },
    { what: 'VLAN 0', when: trunk({ vlans: ['0'] }), ...bad('vlan.invalid', '/vlans/0') },
    { what: 'VLAN 4095', when: trunk({ vlans: ['1', '4095'] }), ...bad('vlan.invalid', '/vlans/1') },
    { what: 'the wrong way round', when: trunk({ vlans: ['9-8'] }), ...bad('vlan.invalid', '/vlans/0') },
    { what: 'a VLAN twice', when: trunk({ vlans: ['1-9', '9'] }), ...bad('vlan.invalid', '/vlans/1') },
    {
      what: 'a VLAN of another trunk',
      given: [trunk()],
      when: trunk({ vlans: ['101-102'] }, 'b'),
      ...bad('trunk.overlap', '/vlans/0', /100-101 .* trunks\/racks/),
    },
    { what: 'the same VLANs elsewhere', given: [trunk()], when: trunk({ physicalNetwork: 'b' }, 'b') },
    {
      what: 'a VLAN of a provider network',
      given: [provider()],
      when: trunk({ vlans: ['1-99'] }),
      ...bad('vlan.in-use', '/vlans/0', /internet/),
    },
    {
      what: 'a VLAN taken from under an attachment',
      given: [trunk(), attach()],
      when: trunk({ vlans: ['101'] }),
      ...bad('resource.in-use', '/vlans', /storage/),
    },
    { what: 'a VLAN more', given: [trunk(), attach()], when: trunk({ vlans: ['100-102'] }) },
    {
      what: 'deleted under an attachment',
      given: [trunk(), attach()],
      when: remove('trunks/racks'),
      ...bad('resource.in-use', ''),
    },
  ],
  'VLAN attachment': [
    {
      what: 'chosen',
      given: [trunk()],
      when: attach(),
      gives: { [`${shop}/vlan-attachments/storage`]: { vlan: 100 } },
    },
    {
      what: 'the next',
      given: [trunk(), attach({}, 'a')],
      when: attach(),
      gives: { [`${shop}/vlan-attachments/storage`]: { vlan: 101 } },
    },
    { what: 'asked for', given: [trunk()], when: attach({ vlan: 101 }) },
    { what: 'outside', given: [trunk()], when: attach({ vlan: 102 }), ...bad('vlan.outside', '/vlan') },
    { what: 'taken', given: [trunk(), attach({}, 'a')], when: attach({ vlan: 100 }), ...bad('vlan.in-use', '/vlan') },
    {
      what: 'none left',
      given: [trunk(), attach({}, 'a'), attach({}, 'b')],
      when: attach(),
      ...bad('vlan.exhausted', '/trunk'),
    },
    { what: 'of a trunk there is not', when: attach(), ...bad('reference.dangling', '/trunk') },
    {
      what: 'another VLAN later',
      given: [trunk(), attach()],
      when: attach({ vlan: 101 }),
      ...bad('resource.immutable', '/vlan'),
    },
    {
      what: 'a tier on a provider network',
      given: [trunk(), provider({ tenants: ['acme'] }), tier({ cidr: '172.16.0.0/24', providerNetwork: 'internet' })],
      when: attach({ tier: 'app' }),
      ...bad('vlan-attachment.tier', '/tier'),
    },
    {
      what: 'deleted under a tier',
      given: [trunk(), attach()],
      when: remove(`${shop}/tiers/web`),
      ...bad('resource.in-use', '', /storage/),
    },
  ],
  device: [
    {
      what: 'with all it needs',
      given: [trunk(), attach()],
      when: port({ attachment: 'storage', mac: '02:00:00:00:00:01', ips: ['10.0.1.9'] }),
    },
    {
      what: 'without a MAC',
      given: [trunk(), attach()],
      when: port({ attachment: 'storage', ips: ['10.0.1.9'] }),
      ...bad('request.invalid', '/mac'),
    },
    {
      what: 'without IPs',
      given: [trunk(), attach()],
      when: port({ attachment: 'storage', mac: '02:00:00:00:00:01' }),
      ...bad('request.invalid', '/ips'),
    },
    {
      what: 'on a hypervisor',
      given: [trunk(), attach(), put('hypervisors/h', { admission: 'approved' })],
      when: port({ attachment: 'storage', mac: '02:00:00:00:00:01', ips: ['10.0.1.9'], hypervisors: ['h'] }),
      ...bad('request.invalid', '/hypervisors'),
    },
    {
      what: 'in another tier',
      given: [trunk(), attach(), tier({ cidr: '10.0.2.0/24' })],
      when: port({ tier: 'app', attachment: 'storage', mac: '02:00:00:00:00:01', ips: ['10.0.2.9'] }),
      ...bad('port.attachment', '/attachment'),
    },
    {
      what: 'that was a VM',
      given: [trunk(), attach(), port()],
      when: port({ attachment: 'storage' }),
      ...bad('resource.immutable', '/attachment'),
    },
  ],
  'what a VM is told': [
    {
      what: 'as much as there may be',
      when: port({
        hostname: 'a'.repeat(63),
        userData: Buffer.alloc(32_768, 7).toString('base64'),
        metadata: Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`key.${i}`, 'x'.repeat(1024)])),
      }),
    },
    {
      what: 'more user data',
      when: port({ userData: Buffer.alloc(32_770).toString('base64') }),
      ...bad('request.invalid', '/userData'),
    },
    {
      what: 'user data that is not base64',
      when: port({ userData: '#!/bin/sh' }),
      ...bad('request.invalid', '/userData'),
    },
    { what: 'user data cut short', when: port({ userData: 'QUJD=' }), ...bad('request.invalid', '/userData') },
    {
      what: 'a key too many',
      when: port({ metadata: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, ''])) }),
      ...bad('request.invalid', '/metadata'),
    },
    {
      what: 'a key with a slash',
      when: port({ metadata: { 'a/b': '' } }),
      ...bad('request.invalid', '/metadata/a~1b'),
    },
    { what: 'a name that is no label', when: port({ hostname: 'a.b' }), ...bad('request.invalid', '/hostname') },
    { what: 'a domain', when: put(shop, { offering: 'basic', cidr: '10.0.0.0/16', domain: 'shop.acme.example' }) },
    {
      what: 'a domain that ends in a dot',
      when: put(shop, { offering: 'basic', cidr: '10.0.0.0/16', domain: 'acme.example.' }),
      ...bad('request.invalid', '/domain'),
    },
    {
      what: 'a resolver that is none',
      when: put(shop, { offering: 'basic', cidr: '10.0.0.0/16', dnsServers: ['300.1.1.1'] }),
      ...bad('address.invalid', '/dnsServers/0'),
    },
    {
      what: 'a resolver on the VM itself',
      when: put(shop, { offering: 'basic', cidr: '10.0.0.0/16', dnsServers: ['127.0.0.1'] }),
      ...bad('address.not-unicast', '/dnsServers/0'),
    },
  ],
  'tier by its size': [
    {
      what: 'the first that is free',
      when: tier({ prefixLength: 24 }),
      gives: { [`${shop}/tiers/app`]: { cidr: '10.0.0.0/24', gateway: '10.0.0.1' } },
    },
    {
      what: 'behind others',
      given: [tier({ prefixLength: 24 }, 'a')],
      when: tier({ prefixLength: 25 }),
      gives: { [`${shop}/tiers/app`]: { cidr: '10.0.2.0/25' } },
    },
    {
      what: 'three in one go, with ports',
      when: [
        tier({ prefixLength: 26 }, 'a'),
        tier({ prefixLength: 30 }, 'b'),
        tier({ prefixLength: 26 }, 'c'),
        port({ tier: 'b' }),
      ],
      gives: {
        [`${shop}/tiers/a`]: { cidr: '10.0.0.0/26' },
        [`${shop}/tiers/b`]: { cidr: '10.0.0.64/30', gateway: '10.0.0.65' },
        [`${shop}/tiers/c`]: { cidr: '10.0.0.128/26' },
        [`${shop}/ports/p1`]: { ips: ['10.0.0.66'] },
      },
    },
    {
      what: 'put again',
      given: [tier({ prefixLength: 24 })],
      when: tier({ prefixLength: 24, description: 'x' }),
      gives: { [`${shop}/tiers/app`]: { cidr: '10.0.0.0/24' } },
    },
    { what: 'no room', when: tier({ prefixLength: 16 }), ...bad('address.exhausted', '/prefixLength') },
    {
      what: 'past an address pair',
      given: [port({ allowedAddressPairs: [{ ip: '10.0.0.9' }] })],
      when: tier({ prefixLength: 25 }),
      gives: { [`${shop}/tiers/app`]: { cidr: '10.0.0.128/25' } },
    },
    { what: 'neither prefix nor size', when: tier({}), ...bad('request.invalid', '/cidr') },
    { what: 'both, and they fit', when: tier({ cidr: '10.0.2.0/24', prefixLength: 24 }) },
    {
      what: 'both, and they do not',
      when: tier({ cidr: '10.0.2.0/24', prefixLength: 25 }),
      ...bad('request.invalid', '/prefixLength'),
    },
    {
      what: 'a gateway before there is a prefix',
      when: tier({ prefixLength: 24, gateway: '10.0.0.9' }),
      ...bad('request.invalid', '/gateway'),
    },
  ],
  'provider tier': [
    {
      what: 'that the admin allows',
      given: [provider({ tenants: ['acme'] })],
      when: tier({ cidr: '172.16.0.0/24', providerNetwork: 'internet' }),
    },
    {
      what: 'that nobody allows',
      given: [provider()],
      when: tier({ cidr: '172.16.0.0/24', providerNetwork: 'internet' }),
      ...bad('provider-network.not-open', '/providerNetwork'),
    },
    {
      what: 'inside the network',
      given: [provider({ tenants: ['acme'] })],
      when: tier({ cidr: '10.0.5.0/24', providerNetwork: 'internet' }),
      ...bad('address.overlap', '/cidr'),
    },
    {
      what: 'by its size',
      given: [provider({ tenants: ['acme'] })],
      when: tier({ prefixLength: 24, providerNetwork: 'internet' }),
      ...bad('request.invalid', '/cidr'),
    },
    {
      what: 'a network that grows around it',
      given: [provider({ tenants: ['acme'] }), tier({ cidr: '10.1.0.0/24', providerNetwork: 'internet' })],
      when: put(shop, { offering: 'basic', cidr: '10.0.0.0/15' }),
      ...bad('address.overlap', '/cidr', /Tier app .* would overlap/),
    },
  ],
  'ports straight on a provider network': [
    {
      what: 'chosen past those of others and of pools',
      given: campus,
      when: [port({ tier: 'app' }), put('tenants/globex/networks/n/ports/q', { tier: 'out' })],
      gives: {
        [`${shop}/ports/p1`]: { ips: ['172.16.0.5'] },
        'tenants/globex/networks/n/ports/q': { ips: ['172.16.0.6'] },
      },
    },
    {
      what: "another tenant's address",
      given: [...campus, put('tenants/globex/networks/n/ports/q', { tier: 'out', ips: ['172.16.0.9'] })],
      when: port({ tier: 'app', ips: ['172.16.0.9'] }),
      ...bad('address.in-use', '/ips/0', /^(?!.*globex)/),
    },
    {
      what: "another tenant's MAC",
      given: [...campus, put('tenants/globex/networks/n/ports/q', { tier: 'out', mac: '02:00:00:00:00:09' })],
      when: port({ tier: 'app', mac: '02:00:00:00:00:09' }),
      ...bad('mac.in-use', '/mac', /^(?!.*globex)/),
    },
    {
      what: 'an address that was given up',
      given: [
        ...campus,
        put('tenants/globex/networks/n/ports/q', { tier: 'out', ips: ['172.16.0.9'], mac: '02:00:00:00:00:09' }),
        put('tenants/globex/networks/n/ports/q', { tier: 'out', ips: ['172.16.0.10'], mac: '02:00:00:00:00:0a' }),
      ],
      when: port({ tier: 'app', ips: ['172.16.0.9'], mac: '02:00:00:00:00:09' }),
    },
    {
      what: 'an address of a pool',
      given: campus,
      when: port({ tier: 'app', ips: ['172.16.0.3'] }),
      ...bad('address.in-use', '/ips/0'),
    },
    {
      what: 'the router of a pool',
      given: [...campus, pool({ cidr: '172.16.0.16/28', gateway: '172.16.0.20', ranges: ['172.16.0.21'] }, 'b')],
      when: port({ tier: 'app', ips: ['172.16.0.20'] }),
      ...bad('address.in-use', '/ips/0'),
    },
    {
      what: 'a pool where one is',
      given: [...campus, port({ tier: 'app', ips: ['172.16.0.30'] })],
      when: pool({ cidr: '172.16.0.16/28', gateway: '172.16.0.20' }, 'b'),
      ...bad('address.in-use', '/cidr', /ports\/p1/),
    },
    {
      what: 'further addresses',
      given: campus,
      when: port({ tier: 'app', allowedAddressPairs: [{ ip: '172.16.0.9' }] }),
      ...bad('request.invalid', '/allowedAddressPairs'),
    },
  ],
  'transit tier': [
    {
      what: 'by its size',
      when: tier({ transit: true, prefixLength: 28 }),
      gives: { [`${shop}/tiers/app`]: { cidr: '169.254.128.0/28', gateway: '169.254.128.1' } },
    },
    {
      what: 'with a port',
      given: [tier({ transit: true, cidr: '169.254.140.0/24' })],
      when: port({ tier: 'app', ips: ['169.254.140.9'] }),
    },
    { what: 'elsewhere', when: tier({ transit: true, cidr: '10.0.5.0/24' }), ...bad('address.outside', '/cidr') },
    {
      what: 'in the lower half',
      when: tier({ transit: true, cidr: '169.254.1.0/24' }),
      ...bad('address.not-unicast', '/cidr'),
    },
    {
      what: 'on a provider network',
      given: [provider()],
      when: tier({ transit: true, cidr: '169.254.140.0/24', providerNetwork: 'internet' }),
      ...bad('request.invalid', '/transit'),
    },
    { what: 'that is none', when: tier({ cidr: '169.254.140.0/24' }), ...bad('address.not-unicast', '/cidr') },
    {
      what: 'under a network that changes',
      given: [tier({ transit: true, prefixLength: 28 })],
      when: put(shop, { offering: 'basic', cidr: '10.0.0.0/15' }),
    },
  ],
  reservation: [
    { what: 'a range', when: reserve('10.0.1.100-10.0.1.150') },
    {
      what: 'one address',
      when: reserve('10.0.1.9-10.0.1.9'),
      gives: { [`${shop}/reservations/kept`]: { range: '10.0.1.9' } },
    },
    {
      what: 'passed over',
      given: [reserve('10.0.1.2-10.0.1.5'), reserve('10.0.1.6', 'b')],
      when: port(),
      gives: { [`${shop}/ports/p1`]: { ips: ['10.0.1.7'] } },
    },
    {
      what: 'an address of it',
      given: [reserve('10.0.1.9')],
      when: port({ ips: ['10.0.1.9'] }),
      ...bad('address.reserved', '/ips/0', /reservations\/kept/),
    },
    {
      what: 'all there is',
      given: [reserve('10.0.1.2-10.0.1.254')],
      when: port(),
      ...bad('address.exhausted', '/ips'),
    },
    {
      what: 'given up',
      given: [reserve('10.0.1.9'), remove(`${shop}/reservations/kept`)],
      when: port({ ips: ['10.0.1.9'] }),
    },
    {
      what: 'made smaller',
      given: [reserve('10.0.1.2-10.0.1.9')],
      when: [reserve('10.0.1.2-10.0.1.4'), port()],
      gives: { [`${shop}/ports/p1`]: { ips: ['10.0.1.5'] } },
    },
    {
      what: 'where a port is',
      given: [port({ ips: ['10.0.1.9'] })],
      when: reserve('10.0.1.5-10.0.1.10'),
      ...bad('address.in-use', '/range', /ports\/p1/),
    },
    {
      what: 'where a port comes at the same time',
      when: [reserve('10.0.1.9'), port({ ips: ['10.0.1.9'] })],
      ...bad('address.reserved', '/resources/1/spec/ips/0'),
    },
    {
      what: 'twice',
      given: [reserve('10.0.1.5-10.0.1.10')],
      when: reserve('10.0.1.10', 'b'),
      ...bad('address.overlap', '/range'),
    },
    { what: 'outside', when: reserve('10.0.1.250-10.0.2.5'), ...bad('address.outside', '/range') },
    { what: 'the wrong way round', when: reserve('10.0.1.9-10.0.1.5'), ...bad('address.invalid', '/range') },
    { what: 'of no tier', when: reserve('10.0.1.9', 'kept', 'none'), ...bad('reference.dangling', '/tier') },
    {
      what: 'for a virtual address',
      given: [reserve('10.0.1.9')],
      when: port({ allowedAddressPairs: [{ ip: '10.0.1.9' }] }),
    },
  ],
};

runCases(cases);

describe('what a tenant is told', () => {
  const attempts: [what: string, given: Operation[], when: Operation, closed: string][] = [
    [
      'of a pool that is not open to it',
      [...globex, provider(), pool({ tenants: ['globex'] })],
      ip({ pool: 'public' }),
      'none',
    ],
    [
      'of one, with an address that is taken',
      [
        ...globex,
        provider(),
        pool({ tenants: ['globex'] }),
        put('tenants/globex/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' }),
        put('tenants/globex/networks/n/public-ips/a', { address: '203.0.113.9' }),
      ],
      ip({ pool: 'public', address: '203.0.113.9' }),
      'none',
    ],
  ];
  it.each(attempts)('%s: the same as of one there is not', async (_, given, when, closed) => {
    const { intent } = await openWith(...given);
    const refused = await problemOf(intent.transact([when]));
    expect(refused.code).toBe('reference.dangling');
    const other = when.op === 'put' ? { ...when, spec: { ...when.spec, pool: closed } } : when;
    const absent = await problemOf(intent.transact([other]));
    expect(JSON.stringify(absent).replaceAll(closed, 'public')).toBe(
      JSON.stringify(refused).replaceAll(closed, 'public'),
    );
  });

  it('of a transit tier: nothing, whatever it asks for', async () => {
    const { intent } = await openWith(tier({ transit: true, prefixLength: 28 }, 'hidden'), trunk(), attach());
    const path = `${shop}/tiers/hidden`;
    const refused = async (operation: Operation) => (await problemOf(intent.transact([operation]))).code;
    expect(await refused(remove(path))).toBe('resource.not-found');
    expect(await refused(put(path, { cidr: '10.0.7.0/24' }))).toBe('auth.forbidden');
    expect(await refused(port({ tier: 'hidden' }))).toBe('reference.dangling');
    const rule = { action: 'allow', priority: 1, from: { tier: 'hidden' }, to: { any: true }, protocol: 'any' };
    expect(await refused(put(`${shop}/rules/r`, rule))).toBe('reference.dangling');
    const inUse = await problemOf(intent.transact([remove(`${shop}/tiers/web`)]));
    expect(inUse.code).toBe('resource.in-use');
    expect(JSON.stringify(inUse)).not.toContain('storage');
    expect(await refused(tier({ transit: true, prefixLength: 28 }, 'own'))).toBe('auth.forbidden');
    expect(await refused(port({ attachment: 'storage', mac: '02:00:00:00:00:01', ips: ['10.0.1.9'] }))).toBe(
      'auth.forbidden',
    );
  });

  it('of who has a public address: nothing', async () => {
    const { intent } = await openWith(
      ...pooled,
      ...globex,
      put('tenants/globex/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' }),
      put('tenants/globex/networks/n/public-ips/a', { address: '203.0.113.9' }),
    );
    const taken = await problemOf(intent.transact([ip({ address: '203.0.113.9' })]));
    expect(taken.code).toBe('public-ip.in-use');
    expect(JSON.stringify(taken)).not.toContain('globex');
  });
});

describe('a VLAN that was freed', () => {
  it('rests until every switch has confirmed it, then the one that rested longest comes first', async () => {
    let acknowledged = 0;
    const { intent: one } = await openEmpty({ releasable: (revision) => revision <= acknowledged });
    await admin(one, [...basics, trunk({ vlans: ['100-102'] }), attach({}, 'a'), attach({}, 'b'), attach({}, 'c')]);
    await admin(one, [remove(`${shop}/vlan-attachments/b`)]);
    const freed = await admin(one, [remove(`${shop}/vlan-attachments/a`)]);
    expect((await problemOf(admin(one, [attach({}, 'd')]))).code).toBe('vlan.exhausted');
    expect((await problemOf(admin(one, [attach({ vlan: 100 }, 'd')]))).errors[0]).toMatchObject({
      code: 'vlan.in-use',
      field: '/vlan',
    });
    // Not to be had by another way either.
    await admin(one, [trunk({ vlans: ['102'] })]);
    expect((await problemOf(admin(one, [provider({ vlan: 100 })]))).code).toBe('vlan.in-use');
    await admin(one, [trunk({ vlans: ['100-102'] })]);
    acknowledged = freed.revision - 1;
    await admin(one, [attach({}, 'd')]);
    expect(one.getAs('vlan-attachment', `${shop}/vlan-attachments/d`)?.spec.vlan).toBe(101);
    expect((await problemOf(admin(one, [attach({}, 'e')]))).code).toBe('vlan.exhausted');
    acknowledged = freed.revision;
    await admin(one, [attach({}, 'e')]);
    expect(one.getAs('vlan-attachment', `${shop}/vlan-attachments/e`)?.spec.vlan).toBe(100);
  });
});

describe('a public address that was freed', () => {
  const theirs = (name: string, spec: Spec = {}) => put(`tenants/globex/networks/n/public-ips/${name}`, spec);
  const two = [...globex, put('tenants/globex/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' })];

  it("is nobody else's before every switch has confirmed it, and back at once for whoever had it", async () => {
    let acknowledged = 0;
    const { intent, disk } = await openEmpty({ releasable: (revision) => revision <= acknowledged });
    const addressOf = (path: string) => intent.getAs('public-ip', path)?.spec.address;
    await admin(intent, [...basics, ...two, provider(), pool({ ranges: ['203.0.113.9-203.0.113.10'] })]);
    await admin(intent, [ip({}, 'a'), ip({}, 'b')]);
    await admin(intent, [remove(`${shop}/public-ips/b`)]);
    const { revision } = await admin(intent, [remove(`${shop}/public-ips/a`)]);
    expect((await problemOf(admin(intent, [theirs('x')]))).code).toBe('ip-pool.exhausted');
    const asked = await problemOf(admin(intent, [theirs('x', { address: '203.0.113.9' })]));
    expect(asked.errors[0]).toMatchObject({ code: 'public-ip.in-use', field: '/address' });
    // Nor by another name of the pool, nor after a restart.
    await admin(intent, [remove('ip-pools/public')]);
    await admin(intent, [pool({ ranges: ['203.0.113.9-203.0.113.10'] }, 'other')]);
    expect((await problemOf(admin(intent, [theirs('x')]))).code).toBe('ip-pool.exhausted');
    const again = await openEmpty({}, disk);
    expect((await problemOf(admin(again.intent, [theirs('x')]))).code).toBe('ip-pool.exhausted');
    await admin(intent, [ip({ address: '203.0.113.9' }, 'a')]);
    await admin(intent, [remove(`${shop}/public-ips/a`), ip({ address: '203.0.113.9' }, 'renamed')]);
    // The other one rested longest.
    acknowledged = revision;
    await admin(intent, [theirs('x')]);
    expect(addressOf('tenants/globex/networks/n/public-ips/x')).toBe('203.0.113.10');
  });

  it('rests for a while where there are others', async () => {
    const { intent } = await openEmpty({ releasable: () => true });
    await admin(intent, [...basics, provider(), pool()]);
    const given: (string | undefined)[] = [];
    for (let i = 0; i < 80; i++) {
      await admin(intent, [ip()]);
      given.push(intent.getAs('public-ip', `${shop}/public-ips/front`)?.spec.address);
      await admin(intent, [remove(`${shop}/public-ips/front`)]);
    }
    expect(new Set(given.slice(0, 65)).size).toBe(65);
    expect(given.slice(65)).toEqual(given.slice(0, 15));
  });
});
