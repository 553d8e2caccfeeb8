/** Every check by meaning: what it lets through, and what it refuses with which code at which field. */
import type { Operation } from '../../src/intent/intent.ts';
import { bad, type Cases, runCases } from './cases.ts';
import { put, remove, type Spec, shop } from './support.ts';

const web = `${shop}/tiers/web`;
const p1 = `${shop}/ports/p1`;
const rule: Spec = { action: 'allow', priority: 100, from: { any: true }, to: { any: true }, protocol: 'tcp' };

const network = (cidr: string): Operation => put('tenants/acme/networks/n', { offering: 'basic', cidr });
const tier = (cidr: string, gateway?: string): Operation =>
  put(`${shop}/tiers/app`, { cidr, ...(gateway === undefined ? {} : { gateway }) });
const port = (spec: Spec, name = 'p1'): Operation => put(`${shop}/ports/${name}`, { tier: 'web', ...spec });
const withRule = (spec: Spec): Operation => put(`${shop}/rules/r`, { ...rule, ...spec });

const cases: Cases = {
  names: [
    { what: 'one letter', when: put('tenants/a') },
    { what: '63 characters', when: put(`tenants/${'a'.repeat(63)}`) },
    { what: '64 characters', when: put(`tenants/${'a'.repeat(64)}`), ...bad('name.invalid', '') },
    { what: 'upper case', when: put('tenants/Acme'), ...bad('name.invalid', '', /"Acme"/) },
    { what: 'a hyphen at the end', when: put('tenants/acme-'), ...bad('name.invalid', '') },
    { what: 'no such collection', when: put('tenant/acme'), ...bad('route.not-found', '', /tenants/) },
    { what: 'another name in the body', when: put('tenants/b', { name: 'c' }), ...bad('request.invalid', '/name') },
    { what: 'the same name in the body', when: put('tenants/b', { name: 'b' }) },
  ],
  form: [
    {
      what: 'an unknown field',
      when: put('tenants/b', { foo: 1 }),
      ...bad('request.invalid', '/foo', /no such field/),
    },
    {
      what: 'a wrong type',
      when: put('tenants/b', { description: 1 }),
      ...bad('request.invalid', '/description', /string/),
    },
    { what: 'no object', when: put('tenants/b', [] as unknown as Spec), ...bad('request.invalid', '', /object/) },
    { what: 'null', when: put('tenants/b', null as unknown as Spec), ...bad('request.invalid', '', /object/) },
    {
      what: 'a missing field',
      when: put('tenants/acme/networks/n', { offering: 'basic' }),
      ...bad('request.invalid', '/cidr'),
    },
    { what: 'labels', when: put('tenants/b', {}, { labels: { 'team/x': 'one two' } }) },
    {
      what: 'a label that is no text',
      when: put('tenants/b', {}, { labels: { a: 1 as unknown as string } }),
      ...bad('request.invalid', '/labels/a'),
    },
    {
      what: 'a label with a wrong name',
      when: put('tenants/b', {}, { labels: { ' ': 'x' } }),
      ...bad('request.invalid', '/labels/ '),
    },
    { what: 'read-only members of an answer', when: put('tenants/b', { uid: 'x', revision: 1, status: {}, key: 7 }) },
    {
      what: 'a field hidden in the prototype',
      when: put('tenants/b', JSON.parse('{"__proto__": {"x": 1}}') as Spec),
      ...bad('request.invalid', '/__proto__'),
    },
  ],
  'network cidr': [
    { what: 'a private one', when: network('192.168.0.0/16') },
    { what: 'a public one', when: network('8.0.0.0/8') },
    { what: 'the smallest', when: network('10.0.0.0/29') },
    { what: 'the same as another network', when: network('10.0.0.0/16') },
    { what: 'too small', when: network('10.0.0.0/30'), ...bad('address.invalid', '/cidr', /too small/) },
    { what: 'too large', when: network('10.0.0.0/7'), ...bad('address.invalid', '/cidr') },
    { what: 'host bits', when: network('10.0.0.1/16'), ...bad('address.invalid', '/cidr', /10\.0\.0\.0\/16/) },
    { what: 'an octet above 255', when: network('10.256.0.0/16'), ...bad('address.invalid', '/cidr') },
    { what: 'a length above 32', when: network('10.0.0.0/33'), ...bad('address.invalid', '/cidr') },
    { what: 'leading zeros', when: network('010.0.0.0/16'), ...bad('address.invalid', '/cidr') },
    { what: 'multicast', when: network('224.0.0.0/8'), ...bad('address.not-unicast', '/cidr', /multicast/) },
    { what: 'loopback', when: network('127.1.0.0/16'), ...bad('address.not-unicast', '/cidr', /loopback/) },
    { what: 'link-local', when: network('169.254.0.0/16'), ...bad('address.not-unicast', '/cidr', /link-local/) },
    { what: 'around link-local', when: network('169.0.0.0/8'), ...bad('address.not-unicast', '/cidr', /link-local/) },
    { what: '0.0.0.0/8', when: network('0.0.0.0/8'), ...bad('address.not-unicast', '/cidr') },
    { what: 'with the limited broadcast', when: network('255.0.0.0/8'), ...bad('address.not-unicast', '/cidr') },
    { what: 'a change that still contains the tiers', when: put(shop, { offering: 'basic', cidr: '10.0.0.0/23' }) },
    {
      what: 'a change that leaves a tier outside',
      when: put(shop, { offering: 'basic', cidr: '10.0.2.0/24' }),
      ...bad('address.outside', '/cidr', /web/),
    },
    {
      what: 'a change that cuts the last tier',
      given: [tier('10.0.254.0/23')],
      when: put(shop, { offering: 'basic', cidr: '10.0.0.0/17' }),
      ...bad('address.outside', '/cidr', /app/),
    },
  ],
  'tier cidr': [
    { what: 'beside another', when: tier('10.0.2.0/24') },
    { what: 'directly below another', when: tier('10.0.0.0/24') },
    { what: 'the smallest', when: tier('10.0.0.0/30') },
    { what: 'too small', when: tier('10.0.0.0/31'), ...bad('address.invalid', '/cidr') },
    { what: 'outside the network', when: tier('10.1.0.0/24'), ...bad('address.outside', '/cidr', /10\.0\.0\.0\/16/) },
    { what: 'larger than the network', when: tier('10.0.0.0/15'), ...bad('address.outside', '/cidr') },
    { what: 'the same as another', when: tier('10.0.1.0/24'), ...bad('address.overlap', '/cidr', /web/) },
    { what: 'inside another', when: tier('10.0.1.128/25'), ...bad('address.overlap', '/cidr', /web/) },
    { what: 'at the start of another', when: tier('10.0.1.0/25'), ...bad('address.overlap', '/cidr') },
    { what: 'around another', when: tier('10.0.0.0/23'), ...bad('address.overlap', '/cidr') },
    {
      what: 'around another that begins it',
      when: tier('10.0.0.0/22'),
      given: [put(`${shop}/tiers/x`, { cidr: '10.0.0.0/28' })],
      ...bad('address.overlap', '/cidr'),
    },
    {
      what: 'two that overlap in one request',
      when: [tier('10.0.4.0/24'), put(`${shop}/tiers/x`, { cidr: '10.0.4.128/25' })],
      ...bad('address.overlap', '/resources/1/spec/cidr'),
    },
    { what: 'in the place of one deleted by the same request', when: [remove(web), tier('10.0.1.0/25')] },
    {
      what: 'changed',
      when: put(web, { cidr: '10.0.3.0/24' }),
      ...bad('resource.immutable', '/cidr', /10\.0\.1\.0\/24/),
    },
    {
      what: 'outside the network as it will be',
      when: [put(shop, { offering: 'basic', cidr: '10.0.0.0/20' }), tier('10.0.99.0/24')],
      ...bad('address.outside', '/resources/1/spec/cidr'),
    },
  ],
  gateway: [
    { what: 'inside', when: tier('10.0.2.0/24', '10.0.2.254') },
    { what: 'outside', when: tier('10.0.2.0/24', '10.0.3.1'), ...bad('address.outside', '/gateway') },
    {
      what: 'the network address',
      when: tier('10.0.2.0/24', '10.0.2.0'),
      ...bad('address.invalid', '/gateway', /network address/),
    },
    {
      what: 'the broadcast address',
      when: tier('10.0.2.0/24', '10.0.2.255'),
      ...bad('address.invalid', '/gateway', /broadcast/),
    },
    { what: 'no address', when: tier('10.0.2.0/24', '10.0.2.256'), ...bad('address.invalid', '/gateway') },
    { what: 'moved to a free address', when: put(web, { cidr: '10.0.1.0/24', gateway: '10.0.1.254' }) },
    {
      what: 'moved to a taken address',
      given: [port({ ips: ['10.0.1.9'] })],
      when: put(web, { cidr: '10.0.1.0/24', gateway: '10.0.1.9' }),
      ...bad('address.in-use', '/gateway', /ports\/p1/),
    },
    {
      what: 'moved, and the port moved away',
      given: [port({ ips: ['10.0.1.9'] })],
      when: [put(web, { cidr: '10.0.1.0/24', gateway: '10.0.1.9' }), port({ ips: ['10.0.1.1'] })],
    },
  ],
  'port ips': [
    { what: 'inside', when: port({ ips: ['10.0.1.10', '10.0.1.11'] }) },
    { what: 'outside the tier', when: port({ ips: ['10.0.2.10'] }), ...bad('address.outside', '/ips/0', /web/) },
    {
      what: 'the gateway',
      when: port({ ips: ['10.0.1.1'] }),
      ...bad('address.in-use', '/ips/0', /gateway of tier web/),
    },
    { what: 'the network address', when: port({ ips: ['10.0.1.0'] }), ...bad('address.invalid', '/ips/0') },
    {
      what: 'the broadcast address',
      when: port({ ips: ['10.0.1.7', '10.0.1.255'] }),
      ...bad('address.invalid', '/ips/1'),
    },
    { what: 'multicast', when: port({ ips: ['224.0.0.5'] }), ...bad('address.not-unicast', '/ips/0') },
    { what: 'limited broadcast', when: port({ ips: ['255.255.255.255'] }), ...bad('address.not-unicast', '/ips/0') },
    { what: 'not an address', when: port({ ips: ['10.0.1.999'] }), ...bad('address.invalid', '/ips/0') },
    { what: 'the same twice', when: port({ ips: ['10.0.1.5', '10.0.1.5'] }), ...bad('request.invalid', '/ips') },
    { what: 'none', when: port({ ips: [] }), ...bad('request.invalid', '/ips') },
    {
      what: 'taken',
      given: [port({ ips: ['10.0.1.9'] }, 'p2')],
      when: port({ ips: ['10.0.1.9'] }),
      ...bad('address.in-use', '/ips/0', /ports\/p2/),
    },
    {
      what: 'two of one request',
      when: [port({ ips: ['10.0.1.9'] }, 'p2'), port({ ips: ['10.0.1.9'] })],
      ...bad('address.in-use', '/resources/1/spec/ips/0'),
    },
    {
      what: 'the same in another network',
      given: [
        put('tenants/acme/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' }),
        put('tenants/acme/networks/n/tiers/web', { cidr: '10.0.1.0/24' }),
        port({ ips: ['10.0.1.9'] }),
      ],
      when: put('tenants/acme/networks/n/ports/p1', { tier: 'web', ips: ['10.0.1.9'] }),
    },
    {
      what: 'swapped between two ports',
      given: [port({ ips: ['10.0.1.8'] }), port({ ips: ['10.0.1.9'] }, 'p2')],
      when: [port({ ips: ['10.0.1.9'] }), port({ ips: ['10.0.1.8'] }, 'p2')],
    },
    {
      what: 'none free',
      given: [put(`${shop}/tiers/tiny`, { cidr: '10.0.2.0/30' }), put(p1, { tier: 'tiny' })],
      when: put(`${shop}/ports/p2`, { tier: 'tiny' }),
      ...bad('address.exhausted', '/ips', /tiny/),
    },
  ],
  mac: [
    { what: 'unicast', when: port({ mac: '02:00:00:00:00:0A' }) },
    { what: 'multicast', when: port({ mac: '03:00:00:00:00:0a' }), ...bad('address.invalid', '/mac', /multicast/) },
    { what: 'broadcast', when: port({ mac: 'ff:ff:ff:ff:ff:ff' }), ...bad('address.invalid', '/mac') },
    { what: 'zero', when: port({ mac: '00:00:00:00:00:00' }), ...bad('address.invalid', '/mac') },
    { what: 'not a MAC', when: port({ mac: '02-00-00-00-00-0a' }), ...bad('request.invalid', '/mac') },
    {
      what: 'taken, in other case',
      given: [port({ mac: '02:00:00:00:00:0A' }, 'p2')],
      when: port({ mac: '02:00:00:00:00:0a' }),
      ...bad('mac.in-use', '/mac', /ports\/p2/),
    },
    {
      what: 'taken in another network of the tenant',
      given: [
        put('tenants/acme/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' }),
        put('tenants/acme/networks/n/tiers/web', { cidr: '10.0.1.0/24' }),
        port({ mac: '02:00:00:00:00:0a' }),
      ],
      when: put('tenants/acme/networks/n/ports/p1', { tier: 'web', mac: '02:00:00:00:00:0a' }),
      ...bad('mac.in-use', '/mac'),
    },
    {
      what: 'the same in another tenant',
      given: [
        put('tenants/b'),
        put('tenants/b/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' }),
        put('tenants/b/networks/n/tiers/web', { cidr: '10.0.1.0/24' }),
        port({ mac: '02:00:00:00:00:0a' }),
      ],
      when: put('tenants/b/networks/n/ports/p1', { tier: 'web', mac: '02:00:00:00:00:0a' }),
    },
    // Numbers: three offerings, the tenant, the network, then the tier.
    {
      what: "the router's of a tier",
      when: port({ mac: '0a:00:00:00:00:06' }),
      ...bad('mac.in-use', '/mac', /router/),
    },
  ],
  ifaceId: [
    { what: 'any text', when: port({ ifaceId: 'vm-17/0' }) },
    { what: 'with a space', when: port({ ifaceId: 'a b' }), ...bad('request.invalid', '/ifaceId') },
    {
      what: 'taken in another network',
      given: [
        put('tenants/acme/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' }),
        put('tenants/acme/networks/n/tiers/web', { cidr: '10.0.1.0/24' }),
        port({ ifaceId: 'x' }),
      ],
      when: put('tenants/acme/networks/n/ports/p1', { tier: 'web', ifaceId: 'x' }),
      ...bad('iface-id.in-use', '/ifaceId'),
    },
    {
      what: 'taken over in one request',
      given: [port({ ifaceId: 'x' })],
      when: [port({ ifaceId: 'x' }, 'p2'), port({ ifaceId: 'y' })],
    },
  ],
  hypervisors: [
    {
      what: 'with names of their own',
      when: [put('hypervisors/h1', { admission: 'approved' }), put('hypervisors/h2', { admission: 'approved' })],
    },
    {
      what: 'a system-id twice',
      given: [put('hypervisors/h1', { admission: 'approved', systemId: 'x' })],
      when: put('hypervisors/h2', { admission: 'approved', systemId: 'x' }),
      ...bad('hypervisor.system-id-in-use', '/systemId', /hypervisors\/h1/),
    },
    {
      what: "a name that is another one's system-id",
      given: [put('hypervisors/h1', { admission: 'approved', systemId: 'h2' })],
      when: put('hypervisors/h2', { admission: 'approved' }),
      ...bad('hypervisor.system-id-in-use', '/systemId'),
    },
    {
      what: 'a system-id changed',
      given: [put('hypervisors/h1', { admission: 'approved' })],
      when: put('hypervisors/h1', { admission: 'approved', systemId: 'x' }),
      ...bad('resource.immutable', '/systemId'),
    },
    {
      what: 'a system-id left out',
      given: [put('hypervisors/h1', { admission: 'approved', systemId: 'x' })],
      when: put('hypervisors/h1', { admission: 'drained' }),
    },
    {
      what: 'an admission there is not',
      when: put('hypervisors/h1', { admission: 'maybe' }),
      ...bad('request.invalid', '/admission', /approved, drained, lost/),
    },
    {
      what: 'named by a port',
      given: [put('hypervisors/h1', { admission: 'approved' })],
      when: port({ hypervisors: ['h1'] }),
    },
    {
      what: 'named by a port and not there',
      when: port({ hypervisors: ['h1'] }),
      ...bad('reference.dangling', '/hypervisors/0', /hypervisors\/h1/),
    },
  ],
  rules: [
    { what: 'with ports', when: withRule({ ports: ['80', '8000-8100', '1-65535', '7-7'] }) },
    {
      what: 'ports with icmp',
      when: withRule({ protocol: 'icmp', ports: ['80'] }),
      ...bad('request.invalid', '/ports', /icmp/),
    },
    { what: 'ports with any', when: withRule({ protocol: 'any', ports: ['80'] }), ...bad('request.invalid', '/ports') },
    { what: 'sctp with ports', when: withRule({ protocol: 'sctp', ports: ['80'] }) },
    { what: 'port 0', when: withRule({ ports: ['0'] }), ...bad('request.invalid', '/ports/0') },
    { what: 'port 65536', when: withRule({ ports: ['80', '65536'] }), ...bad('request.invalid', '/ports/1') },
    {
      what: 'a range the wrong way round',
      when: withRule({ ports: ['90-80'] }),
      ...bad('request.invalid', '/ports/0'),
    },
    { what: 'leading zeros', when: withRule({ ports: ['080'] }), ...bad('request.invalid', '/ports/0') },
    { what: 'icmp', when: withRule({ protocol: 'icmp', icmp: { type: 8, code: 0 } }) },
    { what: 'icmp with tcp', when: withRule({ icmp: { type: 8 } }), ...bad('request.invalid', '/icmp') },
    {
      what: 'icmp without type',
      when: withRule({ protocol: 'icmp', icmp: {} }),
      ...bad('request.invalid', '/icmp/type'),
    },
    { what: 'everything', when: withRule({ from: { cidr: '0.0.0.0/0' }, to: { cidr: '128.0.0.0/1' } }) },
    { what: 'a host', when: withRule({ from: { cidr: '10.0.0.1/32' } }) },
    { what: 'host bits', when: withRule({ from: { cidr: '10.0.0.1/24' } }), ...bad('address.invalid', '/from/cidr') },
    {
      what: 'multicast',
      when: withRule({ to: { cidr: '239.0.0.0/8' } }),
      ...bad('address.not-unicast', '/to/cidr', /multicast/),
    },
    {
      what: 'an end of nothing',
      when: withRule({ to: {} }),
      ...bad('request.invalid', '/to', /exactly one of tier, group, port, cidr, cidrs, any/),
    },
    {
      what: 'an end of two',
      when: withRule({ to: { tier: 'web', any: true } }),
      ...bad('request.invalid', '/to', /exactly one of/),
    },
    { what: 'any: false', when: withRule({ to: { any: false } }), ...bad('request.invalid', '/to/any') },
    { what: 'priority 0', when: withRule({ priority: 0 }), ...bad('request.invalid', '/priority') },
    {
      what: 'a tier that is not there',
      when: withRule({ from: { tier: 'x' } }),
      ...bad('reference.dangling', '/from/tier', /tiers\/x/),
    },
    {
      what: 'a port of another network',
      given: [
        put('tenants/acme/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' }),
        put('tenants/acme/networks/n/tiers/web', { cidr: '10.0.1.0/24' }),
        put('tenants/acme/networks/n/ports/x', { tier: 'web' }),
      ],
      when: withRule({ from: { port: 'x' } }),
      ...bad('reference.dangling', '/from/port'),
    },
  ],
  references: [
    {
      what: 'a group and a port that name each other',
      when: [put(`${shop}/groups/g`, { ports: ['p1'] }), port({ groups: ['g'] })],
    },
    {
      what: 'a group that is not there',
      when: port({ groups: ['g'] }),
      ...bad('reference.dangling', '/groups/0', /groups\/g/),
    },
    {
      what: 'a port that is not there',
      given: [port({})],
      when: put(`${shop}/groups/g`, { ports: ['p1', 'p9'] }),
      ...bad('reference.dangling', '/ports/1'),
    },
    {
      what: 'an offering that is not there',
      when: put('tenants/acme/networks/n', { offering: 'silver', cidr: '10.0.0.0/16' }),
      ...bad('reference.dangling', '/offering'),
    },
    { what: 'a tier that is not there', when: port({ tier: 'x' }), ...bad('reference.dangling', '/tier') },
    {
      what: 'a tier changed',
      given: [tier('10.0.2.0/24'), port({})],
      when: port({ tier: 'app' }),
      ...bad('resource.immutable', '/tier'),
    },
    {
      what: 'a single put without its parent',
      when: put('tenants/b/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' }),
      ...bad('resource.not-found', '', /tenants\/b,/),
    },
    {
      what: 'one of many without its parent',
      when: [put('tenants/c'), put('tenants/b/networks/n', { offering: 'basic', cidr: '10.0.0.0/16' })],
      ...bad('reference.dangling', '/resources/1', /tenants\/b,/),
    },
    {
      what: 'a name put and its target deleted at once',
      given: [put(`${shop}/groups/g`)],
      when: [remove(`${shop}/groups/g`), port({ groups: ['g'] })],
      ...bad('reference.dangling', '/resources/1/spec/groups/0'),
    },
  ],
  deletions: [
    { what: 'of a leaf', given: [port({})], when: remove(p1) },
    { what: 'of nothing', when: remove(p1), ...bad('resource.not-found', '', /ports\/p1/) },
    { what: 'with children', when: remove('tenants/acme'), ...bad('resource.in-use', '', /networks\/shop/) },
    { what: 'of what a port names', given: [port({})], when: remove(web), ...bad('resource.in-use', '', /ports\/p1/) },
    {
      what: 'of what a group names',
      given: [port({}), put(`${shop}/groups/g`, { ports: ['p1'] })],
      when: remove(p1),
      ...bad('resource.in-use', '', /groups\/g/),
    },
    {
      what: 'of what a group names no longer',
      given: [port({}), put(`${shop}/groups/g`, { ports: ['p1'] }), put(`${shop}/groups/g`, {})],
      when: remove(p1),
    },
    {
      what: 'of what a rule names twice',
      given: [withRule({ from: { tier: 'web' }, to: { tier: 'web' } })],
      when: remove(web),
      ...bad('resource.in-use', '', /rules\/r/),
    },
    {
      what: 'with everything below, children first',
      given: [port({})],
      when: [remove(p1), remove(web), remove(shop), remove('tenants/acme')],
    },
    {
      what: 'with everything below, parents first',
      given: [port({})],
      when: [remove('tenants/acme'), remove(shop), remove(web), remove(p1)],
    },
    {
      what: 'of an offering in use',
      given: [
        put('offerings/silver', { services: ['routing'] }),
        put('tenants/acme/networks/n', { offering: 'silver', cidr: '10.0.0.0/16' }),
      ],
      when: remove('offerings/silver'),
      ...bad('resource.in-use', ''),
    },
    { what: 'of a built-in offering', when: remove('offerings/gold'), ...bad('resource.built-in', '') },
    {
      what: 'of an offering of our own',
      given: [put('offerings/silver', { services: ['routing'] })],
      when: remove('offerings/silver'),
    },
    {
      what: 'of a parent while a child is put',
      when: [remove('tenants/acme'), remove(shop), remove(web), put(`${shop}/groups/g`)],
      ...bad('reference.dangling', '/resources/3'),
    },
  ],
  offerings: [
    {
      what: 'with providers',
      when: put('offerings/silver', { services: ['routing', 'vpn'], providers: { vpn: 'x' } }),
    },
    {
      what: 'a provider of a service it has not',
      when: put('offerings/silver', { services: ['routing'], providers: { vpn: 'x' } }),
      ...bad('request.invalid', '/providers/vpn'),
    },
    {
      what: 'a service there is not',
      when: put('offerings/silver', { services: ['magic'] }),
      ...bad('request.invalid', '/services/0', /routing/),
    },
    {
      what: 'a built-in one replaced',
      when: put('offerings/gold', { services: ['routing', 'vpn'], providers: { vpn: 'other' } }),
    },
  ],
  preconditions: [
    { what: 'createOnly of what is new', when: put('tenants/b', {}, { createOnly: true }) },
    {
      what: 'createOnly of what is there',
      when: put('tenants/acme', {}, { createOnly: true }),
      ...bad('resource.exists', ''),
    },
    // The built-in offerings are revision 1, the basics 2.
    { what: 'the revision it has', when: put('tenants/acme', { description: 'x' }, { ifRevision: 2 }) },
    {
      what: 'another revision',
      when: put('tenants/acme', { description: 'x' }, { ifRevision: 1 }),
      ...bad('resource.changed', '', /revision 2/),
    },
    {
      what: 'a revision of what is not there',
      when: put('tenants/b', {}, { ifRevision: 2 }),
      ...bad('resource.changed', ''),
    },
    { what: 'deletion at the revision it has', given: [put('tenants/b')], when: remove('tenants/b', 3) },
    {
      what: 'deletion at another revision',
      given: [put('tenants/b')],
      when: remove('tenants/b', 2),
      ...bad('resource.changed', ''),
    },
    {
      what: 'the same path twice',
      when: [put('tenants/b'), put('tenants/b')],
      ...bad('request.invalid', '/resources/1', /twice/),
    },
    {
      what: 'put and deleted at once',
      when: [put('tenants/acme'), remove('tenants/acme')],
      ...bad('request.invalid', '/resources/1', /twice/),
    },
  ],
};

runCases(cases);
