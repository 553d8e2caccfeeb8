/**
 * The flows of devices behind VLANs, of a transit tier and of ports straight on a provider network, as text: on the first gateway,
 * the second, and a hypervisor that is none.
 */
import { pino } from 'pino';
import { beforeAll, expect, test } from 'vitest';
import { startCore } from '../../src/core.ts';
import type { View } from '../../src/intent/model.ts';
import { undeclaredUses } from '../../src/pipeline/check.ts';
import { cookieResource } from '../../src/pipeline/cookie.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

const network = 'tenants/acme/networks/shop';
const virtual = { ip: '10.0.2.100', mac: '00:00:5e:00:01:01' };

const resources: [string, Record<string, unknown>][] = [
  ['hypervisors/hv1', { admission: 'approved', gateway: true }],
  ['hypervisors/hv2', { admission: 'approved', gateway: true }],
  ['hypervisors/hv3', { admission: 'approved' }],
  // hv1 reaches what hv2 does and the pool's network, so it is the first gateway.
  ['provider-networks/internet', { physicalNetwork: 'wire' }],
  ['provider-networks/campus', { physicalNetwork: 'campus', tenants: ['acme'] }],
  ['ip-pools/public', { providerNetwork: 'internet', cidr: '203.0.113.0/24', gateway: '203.0.113.1' }],
  ['trunks/racks', { physicalNetwork: 'racks', vlans: ['100-199'] }],
  ['tenants/acme', {}],
  [network, { offering: 'basic', cidr: '10.0.0.0/16' }],
  [`${network}/public-ips/front`, {}],
  [`${network}/tiers/db`, { cidr: '10.0.2.0/24' }],
  [`${network}/tiers/edge`, { transit: true, cidr: '169.254.128.0/24' }],
  [`${network}/tiers/dmz`, { cidr: '198.51.100.0/24', providerNetwork: 'campus' }],
  [`${network}/vlan-attachments/rack`, { trunk: 'racks', tier: 'db' }],
  [`${network}/vlan-attachments/edge`, { trunk: 'racks', tier: 'edge' }],
  ...[1, 2].map((n): [string, Record<string, unknown>] => [
    `${network}/ports/device${n}`,
    {
      tier: 'db',
      attachment: 'rack',
      mac: `02:00:00:00:02:0${n}`,
      ips: [`10.0.2.1${n}`],
      allowedAddressPairs: [virtual],
    },
  ]),
  [
    `${network}/ports/firewall`,
    {
      tier: 'edge',
      attachment: 'edge',
      mac: '02:00:00:00:09:01',
      ips: ['169.254.128.10'],
      allowedAddressPairs: [{ ip: '192.168.0.0/16' }],
    },
  ],
  [`${network}/ports/vm`, { tier: 'db', mac: '02:00:00:00:01:01', ips: ['10.0.2.50'], ifaceId: 'vm' }],
  [`${network}/ports/straight`, { tier: 'dmz', mac: '02:00:00:00:03:01', ips: ['198.51.100.10'], ifaceId: 'straight' }],
  [`${network}/routes/branch`, { destination: '192.168.0.0/16', nextHop: '169.254.128.10' }],
  [`${network}/routes/pair`, { destination: '172.16.0.0/12', nextHop: '10.0.2.100' }],
  [
    `${network}/steering/inspect`,
    {
      priority: 500,
      from: { tier: 'db' },
      to: { cidr: '10.0.2.0/25' },
      protocol: 'udp',
      ports: ['53'],
      via: ['firewall'],
    },
  ],
];

let fake: FakeSwitches;
let view: View;

beforeAll(async () => {
  fake = new FakeSwitches();
  const core = await startCore({ store: openMemoryStore(), plugin: fake, log: pino({ level: 'silent' }) });
  view = core.intent;
  await core.intent.transact(
    resources.map(([path, spec]) => ({ op: 'put' as const, path, spec })),
    { restrictedAllowed: true },
  );
  fake.connect('hv1', '192.0.2.1', { racks: 'br-trunk', wire: 'br-ex' });
  fake.connect('hv2', '192.0.2.2', { racks: 'br-trunk' });
  fake.connect('hv3', '192.0.2.3', { campus: 'br-campus' });
  fake.interfaces(1, []);
  fake.interfaces(2, []);
  fake.interfaces(3, [
    { ifaceId: 'vm', name: 'vif-vm', ofport: 5 },
    { ifaceId: 'straight', name: 'vif-straight', ofport: 6 },
  ]);
  for (let i = 0; i < 4; i++) {
    await core.engine.idle();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(core.engine.compiler.recompute().different).toEqual([]);
});

const shown: Record<string, string[]> = {
  device: ['ports/device1', 'ports/device2', 'routes/pair'],
  transit: ['tiers/edge', 'ports/firewall', 'routes/branch', 'steering/inspect'],
  provider: ['tiers/dmz', 'ports/straight'],
};

test.each(Object.entries(shown).flatMap(([what, paths]) => [1, 2, 3].map((h) => ({ what, paths, h }))))(
  '$what on hv$h',
  async ({ what, paths, h }) => {
    const numbers = new Map(paths.map((path) => [view.get(`${network}/${path}`)!.number, path]));
    const flows = fake.flowsOn(h).filter((flow) => numbers.has(cookieResource(flow.cookie)));
    for (const flow of flows) expect(undeclaredUses(flow)).toEqual([]);
    expect(flows.length).toBeGreaterThan(0);
    const lines = flows.map(
      (flow) => [flow.table, `${numbers.get(cookieResource(flow.cookie))} ${fake.format(flow)}`] as const,
    );
    lines.sort(([a, x], [b, y]) => a - b || (x < y ? -1 : 1));
    const text = lines.map(([, line]) => line.replace(/cookie=0x[0-9a-f]+, /, '')).join('\n');
    await expect(`${text}\n`).toMatchFileSnapshot(`golden/devices/${what}-hv${h}.txt`);
  },
);
