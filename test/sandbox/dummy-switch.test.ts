import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';

test('a dummy switch takes flows and ports, and forgets its flows when ovs-vswitchd is killed', async (context) => {
  await openVswitchOrSkip(context);
  await using vswitch = await startDummySwitch({ systemId: 'hv9', encapIp: '192.0.2.9' });
  expect(await vswitch.vsctl('get', 'Open_vSwitch', '.', 'external_ids:system-id')).toBe('hv9\n');
  expect(await vswitch.addPort('vif1', 'vm-1')).toBeGreaterThan(0);
  await vswitch.ofctl('add-flow', 'table=3,reg0=5,actions=drop');
  expect(await vswitch.ofctl('dump-flows', 'table=3')).toContain('reg0=0x5');
  await vswitch.restart('ovs-vswitchd');
  expect(await vswitch.ofctl('dump-flows', 'table=3')).not.toContain('reg0');
  await vswitch.restart('ovsdb-server');
  expect(await vswitch.vsctl('get', 'Interface', 'vif1', 'external_ids:iface-id')).toBe('vm-1\n');
});

test('nothing of a dummy switch is left when it is disposed of', async (context) => {
  await openVswitchOrSkip(context);
  const vswitch = await startDummySwitch();
  await vswitch[Symbol.asyncDispose]();
  expect(existsSync(vswitch.directory)).toBe(false);
});
