/** What the program on a gateway host writes of tunnels, on real Open vSwitch, and that the controller leaves it. */
import { beforeEach, expect, test } from 'vitest';
import { connect } from '../../plugins/openvswitch/local-client.ts';
import { watchLocalDatabase } from '../../plugins/openvswitch/local-database.ts';
import type { LocalFacts } from '../../src/drivers/local-switch.ts';
import { canary } from '../../src/pipeline/stages/canary.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { type DummySwitch, openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { PluginUnderTest } from './plugin-under-test.ts';

beforeEach(async (context) => {
  await openVswitchOrSkip(context);
});

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const bfd = async (ovs: DummySwitch, name: string): Promise<string> =>
  (await ovs.vsctl('get', 'Interface', name, 'bfd')).trim();
const up = '{enable="true", min_rx="100", min_tx="100"}';
const down = '{cpath_down="true", enable="true", min_rx="100", min_tx="100"}';

test('the path is told on all tunnels, also on those made later; away from gateway hosts the controller takes it back', async () => {
  await using under = await new PluginUnderTest().start();
  await using ovs = await startDummySwitch({ manager: under.managers[0]! });
  const tunnel = (peer: number) => ({ peer, remoteIp: `192.0.2.${peer}`, fast: true });
  under.plugin.setTunnels(1, [tunnel(2), tunnel(3)]);
  under.plugin.ready(1);
  await under.seen('connected');
  await until('both tunnels', () => under.all('tunnels').at(-1)?.[1].size === 2);
  let facts: LocalFacts | undefined;
  const database = watchLocalDatabase(
    ovs.databasePath,
    (now) => {
      facts = now;
    },
    silent,
  );
  await until('the facts', () => facts?.tunnels.size === 2);
  await ovs.vsctl('add-port', 'br-int', 'svc0', '--', 'set', 'Interface', 'svc0', 'type=dummy');
  await ovs.vsctl('set', 'Interface', 'svc0', 'external_ids:keyway-service=gateway-host');
  await until('the services', () => under.all('patches').at(-1)?.[1].size === 1);

  database.setPathDown(true);
  for (const name of ['kw2', 'kw3']) await until(`${name} down`, async () => (await bfd(ovs, name)) === down);
  under.plugin.setTunnels(1, [tunnel(2), tunnel(3), tunnel(4)]);
  await until('the new one down', async () => (await bfd(ovs, 'kw4').catch(() => '')) === down);
  // What else is changed there by hand is set right, and this stays.
  await ovs.vsctl('--no-wait', 'set', 'Interface', 'kw2', 'bfd:min_rx=7');
  await until('kw2 to be mended', async () => (await bfd(ovs, 'kw2')) === down);
  database.setPathDown(false);
  for (const name of ['kw2', 'kw3', 'kw4']) await until(`${name} up`, async () => (await bfd(ovs, name)) === up);
  database.setPathDown(true);
  await until('kw3 down again', async () => (await bfd(ovs, 'kw3')) === down);
  database.close();
  await ovs.vsctl('del-port', 'br-int', 'svc0');
  for (const name of ['kw2', 'kw3', 'kw4'])
    await until(`${name} to be taken back`, async () => (await bfd(ovs, name)) === up);
});

test('whether a switch is programmed its canary tells', async () => {
  await using under = await new PluginUnderTest().start();
  await using ovs = await startDummySwitch({ manager: under.managers[0]! });
  under.plugin.ready(1);
  await under.seen('connected');
  let connections = 0;
  const client = connect(ovs.managementPath(), {
    ...{ controllerId: 1, onPacketIn: () => {}, log: silent },
    onConnected: () => connections++,
  });
  await until('the connection', () => client.connected);
  expect(await client.programmed()).toBe(false);
  await under.program({ canary: [canary()] });
  expect(await client.programmed()).toBe(true);
  await ovs.kill('ovs-vswitchd');
  await expect(client.programmed()).rejects.toThrow();
  await ovs.restart('ovs-vswitchd');
  await until('the connection again', () => connections === 2);
  await until('it to be programmed again', () => client.programmed());
  client.close();
  await expect(client.programmed()).rejects.toThrow();
});
