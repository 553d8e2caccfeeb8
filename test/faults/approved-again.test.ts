/** A hypervisor is deleted and approved again: it has another number, and nobody gets connections of before. */
import { expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { differences, joinSwitch, settled, startTestCore } from '../support/core.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';

const network = 'tenants/acme/networks/shop';
const [mac1, mac2] = ['02:00:00:00:00:01', '02:00:00:00:00:02'];

const orders = [
  { path: 'tenants/acme', spec: {} },
  { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
  { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
  { path: `${network}/ports/p1`, spec: { tier: 'web', mac: mac1, ips: ['10.0.1.11'], ifaceId: 'if-1' } },
  { path: `${network}/ports/p2`, spec: { tier: 'web', mac: mac2, ips: ['10.0.1.12'], ifaceId: 'if-2' } },
  {
    path: `${network}/rules/web`,
    spec: { action: 'allow', priority: 9, from: { tier: 'web' }, to: { tier: 'web' }, protocol: 'tcp', ports: ['80'] },
  },
];

test('its connections are flushed, and its ports have zones that hold none', async (context) => {
  await openVswitchOrSkip(context);
  await using core = await startTestCore();
  await using hv1 = await joinSwitch(core, 'hv1', '192.0.2.1');
  const admin = { restrictedAllowed: true };
  await core.intent.transact(
    orders.map((one) => ({ op: 'put' as const, ...one })),
    admin,
  );
  const port = await hv1.addPort('vif1', 'if-1');
  await hv1.addPort('vif2', 'if-2');
  const zones = () => ['p1', 'p2'].map((name) => core.fabric.binding(`${network}/ports/${name}`)?.zone);
  await until('both bound', () => !zones().includes(undefined));
  await settled(core);
  const before = zones();
  const frame = `in_port(${port}),eth(src=${mac1},dst=${mac2}),eth_type(0x0800),ipv4(src=10.0.1.11,dst=10.0.1.12,proto=6,tos=0,ttl=64,frag=no),tcp(src=999,dst=80),tcp_flags(syn)`;
  const tracked = async () =>
    [...(await hv1.appctl('dpctl/dump-conntrack')).matchAll(/zone=(\d+)/g)].map(([, zone]) => Number(zone)).sort();
  await hv1.appctl('netdev-dummy/receive', 'vif1', frame);
  await until('a connection in either zone', async () => (await tracked()).length > 0);
  expect((await tracked()).filter((zone) => !before.includes(zone))).toEqual([]);

  await core.intent.transact([{ op: 'delete', path: 'hypervisors/hv1' }], admin);
  await until('it waits', () => core.fabric.pending().some(({ facts }) => facts.systemId === 'hv1'));
  // Nobody has touched it.
  expect((await tracked()).length).toBeGreaterThan(0);
  await core.intent.transact([{ op: 'put', path: 'hypervisors/hv1', spec: { admission: 'approved' } }], admin);
  await until('both bound again', () => !zones().includes(undefined));
  expect(zones().filter((zone) => before.includes(zone))).toEqual([]);
  await until('back', () => core.fabric.connected('hypervisors/hv1'));
  await until('nothing of before is tracked', async () => (await tracked()).length === 0);
  await settled(core);
  const number = core.intent.get('hypervisors/hv1')!.id;
  expect(await core.plugin.drift(number)).toEqual({ missing: [], extra: [], different: [] });
  expect(differences(core)).toEqual([]);

  // And what is tracked from now on is where it belongs.
  await hv1.appctl('netdev-dummy/receive', 'vif1', frame);
  await until('a connection', async () => (await tracked()).length > 0);
  expect((await tracked()).filter((zone) => !zones().includes(zone))).toEqual([]);
}, 60_000);
