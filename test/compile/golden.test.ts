/** The flows of each stage, as text: a change of the pipeline shows as a change of these files, to be read in review. */
import { pino } from 'pino';
import { beforeAll, describe, expect, test } from 'vitest';
import { startCore } from '../../src/core.ts';
import { undeclaredUses } from '../../src/pipeline/check.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

const network = 'tenants/acme/networks/shop';
const office = 'tenants/acme/networks/office';

const far = 'tenants/acme/networks/far';

function publicIps(of: string, pools: Record<string, string>): [string, Record<string, unknown>][] {
  return Object.entries(pools).map(([name, pool]) => [`${of}/public-ips/${name}`, { pool }]);
}

const partners = ['192.0.2.0/28', '198.51.100.7/32', '198.51.100.9/32', '198.51.100.64/26', '203.0.113.0/24'];

const resources: [string, Record<string, unknown>][] = [
  ['hypervisors/hv1', { admission: 'approved', gateway: true }],
  ['hypervisors/hv2', { admission: 'approved', gateway: true }],
  ['hypervisors/hv3', { admission: 'approved', gateway: true }],
  ...['wire', 'fibre', 'radio', 'laser'].map((name): [string, Record<string, unknown>] => [
    `provider-networks/${name}`,
    { physicalNetwork: name },
  ]),
  ...['wire', 'fibre', 'radio', 'laser'].map((name, i): [string, Record<string, unknown>] => [
    `ip-pools/${name}`,
    {
      providerNetwork: name,
      cidr: `203.0.113.${64 * i}/26`,
      gateway: `203.0.113.${64 * i + 1}`,
      gatewayMac: '02:00:00:00:ff:01',
    },
  ]),
  ['tenants/acme', {}],
  [
    'policies/quarantine',
    {
      action: 'deny',
      priority: 100,
      tenants: ['acme'],
      from: { cidrs: ['10.0.1.99/32', 'fd00:a:b:1::99/128'] },
      to: { any: true },
      protocol: 'any',
    },
  ],
  [
    'policies/names',
    {
      action: 'allow',
      priority: 200,
      from: { any: true },
      to: { cidr: '10.0.1.0/24' },
      protocol: 'udp',
      ports: ['53'],
    },
  ],
  [network, { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00::/48' }],
  [`${network}/tiers/web`, { cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:0:0:1::/64' }],
  [`${network}/tiers/db`, { cidr: '10.0.2.0/24', gateway: '10.0.2.254' }],
  [`${network}/groups/databases`, { ports: ['b'] }],
  [
    `${network}/ports/a`,
    {
      tier: 'web',
      mac: '02:00:00:00:00:0a',
      ips: ['10.0.1.10', '10.0.1.20'],
      ifaceId: 'a',
      allowedAddressPairs: [{ ip: '10.0.1.100', mac: '00:00:5e:00:01:0a' }, { ip: '10.0.9.0/24' }],
    },
  ],
  [
    `${network}/ports/b`,
    {
      tier: 'web',
      mac: '02:00:00:00:00:0b',
      ips: ['10.0.1.11'],
      ifaceId: 'b',
      allowedAddressPairs: [{ ip: '10.0.1.100' }],
    },
  ],
  [
    `${network}/ports/c`,
    { tier: 'db', mac: '02:00:00:00:00:0c', ips: ['10.0.2.10'], ifaceId: 'c', portSecurity: false },
  ],
  [`${network}/ports/e`, { tier: 'web', mac: '02:00:00:00:00:0e', ips: ['10.0.1.14', 'fd00:0:0:1::e'], ifaceId: 'e' }],
  [`${network}/ports/f`, { tier: 'web', mac: '02:00:00:00:00:0f', ips: ['10.0.1.15', 'fd00:0:0:1::f'], ifaceId: 'f' }],
  [`${network}/routes/branch`, { destination: '192.168.7.0/24', nextHop: '10.0.1.14' }],
  [`${network}/routes/far`, { destination: '::/0', nextHop: 'fd00:0:0:1::f' }],
  [office, { offering: 'basic', cidr: '10.9.0.0/16' }],
  [`${office}/tiers/desks`, { cidr: '10.9.1.0/24' }],
  [`${office}/ports/d`, { tier: 'desks', mac: '02:00:00:00:00:0d', ips: ['10.9.1.10'], ifaceId: 'd' }],
  ['tenants/acme/peerings/both', { networks: ['shop', 'office'] }],
  // Of shop and office hv2 is the first gateway and hv1 the second; of far, hv2 and hv3: the first has all, the second more than the rest.
  [far, { offering: 'basic', cidr: '10.0.0.0/16' }],
  [`${far}/tiers/web`, { cidr: '10.0.1.0/24' }],
  [`${far}/ports/g`, { tier: 'web', mac: '02:00:00:00:00:1a', ips: ['10.0.1.10'], ifaceId: 'g' }],
  ...publicIps(network, { front: 'wire', second: 'fibre', mail: 'wire' }),
  ...publicIps(office, { front: 'wire', second: 'fibre' }),
  ...publicIps(far, { out: 'wire', away: 'radio', further: 'laser' }),
  [`${far}/nat-rules/out`, { type: 'source', publicIp: 'away' }],
  [`${far}/nat-rules/own`, { type: 'static', publicIp: 'out', port: 'g' }],
  [`${network}/nat-rules/out`, { type: 'source', publicIp: 'front', tiers: ['web', 'db'] }],
  [`${network}/nat-rules/rest`, { type: 'source', publicIp: 'second' }],
  [`${network}/nat-rules/mail`, { type: 'static', publicIp: 'mail', port: 'c' }],
  [
    `${network}/nat-rules/range`,
    { type: 'port-forward', publicIp: 'front', port: 'a', protocol: 'tcp', publicPorts: '8000-8010' },
  ],
  [
    `${network}/nat-rules/shifted`,
    {
      type: 'port-forward',
      publicIp: 'front',
      port: 'a',
      address: '10.0.1.20',
      protocol: 'udp',
      publicPorts: '53-54',
      privatePorts: '5353-5354',
    },
  ],
  [
    `${network}/rules/any`,
    { action: 'allow', priority: 9000, from: { any: true }, to: { tier: 'web' }, protocol: 'any' },
  ],
  [
    `${network}/rules/no-ssh`,
    {
      action: 'deny',
      priority: 10,
      from: { any: true },
      to: { group: 'databases' },
      protocol: 'tcp',
      ports: ['22'],
      log: true,
    },
  ],
  [
    `${network}/rules/ping`,
    {
      action: 'allow',
      priority: 20,
      from: { cidr: '10.0.0.0/16' },
      to: { port: 'a' },
      protocol: 'icmp',
      icmp: { type: 8, code: 0 },
    },
  ],
  [
    `${network}/rules/range`,
    {
      action: 'allow',
      priority: 30,
      from: { port: 'a' },
      to: { port: 'b' },
      protocol: 'udp',
      ports: ['5000-5003', '5004', '9'],
    },
  ],
  // All it says of port b the rule above says too: it has no flows.
  [
    `${network}/rules/twin`,
    { action: 'allow', priority: 30, from: { port: 'a' }, to: { group: 'databases' }, protocol: 'udp', ports: ['9'] },
  ],
  // Shares some packets with the first of them: Precedence tells the two apart.
  [
    `${network}/rules/discard`,
    {
      action: 'allow',
      priority: 30,
      from: { tier: 'web' },
      to: { port: 'b' },
      protocol: 'udp',
      ports: ['9'],
      log: true,
    },
  ],
  // A conjunction, and another that shares the flows of what they have in common.
  [
    `${network}/rules/partners`,
    {
      action: 'allow',
      priority: 40,
      from: { cidrs: partners },
      to: { cidrs: ['10.0.1.0/28', '10.0.1.64/26', '10.0.2.0/28', '10.0.2.64/26'] },
      protocol: 'tcp',
      ports: ['80', '443', '8000-8003'],
    },
  ],
  [
    `${network}/rules/partners-dns`,
    {
      action: 'allow',
      priority: 40,
      from: { cidrs: partners },
      to: { cidrs: ['10.0.1.53/32', '10.0.2.53/32', '10.0.1.54/32', '10.0.2.54/32', '10.0.3.53/32'] },
      protocol: 'udp',
      ports: ['53'],
    },
  ],
  [
    `${network}/steering/inspect`,
    { priority: 500, from: { tier: 'web' }, to: { tier: 'db' }, protocol: 'tcp', ports: ['5432'], via: ['a', 'b'] },
  ],
];

let fake: FakeSwitches;

beforeAll(async () => {
  fake = new FakeSwitches();
  fake.services.set(1, 12);
  const core = await startCore({ store: openMemoryStore(), plugin: fake, log: pino({ level: 'silent' }) });
  await core.intent.transact(
    resources.map(([path, spec]) => ({ op: 'put' as const, path, spec })),
    { restrictedAllowed: true },
  );
  fake.connect('hv1', '192.0.2.1', { wire: 'br-ex' });
  fake.connect('hv2', '192.0.2.2', { wire: 'br-ex', fibre: 'br-ex', radio: 'br-ex', laser: 'br-ex' });
  fake.connect('hv3', '192.0.2.3', { radio: 'br-ex', laser: 'br-ex' });
  fake.interfaces(1, [
    { ifaceId: 'a', name: 'vif-a', ofport: 5 },
    { ifaceId: 'e', name: 'vif-e', ofport: 9 },
    { ifaceId: 'g', name: 'vif-g', ofport: 11 },
  ]);
  fake.interfaces(2, [
    { ifaceId: 'b', name: 'vif-b', ofport: 6 },
    { ifaceId: 'c', name: 'vif-c', ofport: 7 },
    { ifaceId: 'd', name: 'vif-d', ofport: 8 },
    { ifaceId: 'f', name: 'vif-f', ofport: 10 },
  ]);
  for (let i = 0; i < 4; i++) {
    await core.engine.idle();
    await new Promise((resolve) => setImmediate(resolve));
  }
});

describe('flows on the hypervisor of port a', () => {
  for (const table of Object.values(tables)) {
    test(`${table.id} ${table.name}`, async () => {
      const flows = fake.flowsOn(1).filter((f: Flow) => f.table === table.id);
      for (const flow of flows) expect(undeclaredUses(flow)).toEqual([]);
      expect(flows.length).toBeGreaterThan(0);
      const text = flows.map((f) => fake.format(f)).sort();
      await expect(`${text.join('\n')}\n`).toMatchFileSnapshot(
        `golden/${String(table.id).padStart(3, '0')}-${table.name}.txt`,
      );
    });
  }
});

test('every table that is declared is one of those above, and no other is used', () => {
  const used = new Set(fake.flowsOn(1).map((f) => f.table));
  expect([...used].sort((a, b) => a - b)).toEqual(Object.values(tables).map((t) => t.id));
});
