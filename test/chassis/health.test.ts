/** What a hypervisor tells of its health when asked, on real Open vSwitch. */
import { describe, expect, test } from 'vitest';
import { gre } from '../../plugins/openvswitch/chassis/gre.ts';
import { openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { quiet } from './hypervisor.ts';
import { admission, Recorder, until } from './recorder.ts';

describe('health', () => {
  test('tells tunnels with their errors and BFD, MTUs of VMs, errors of interfaces', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ manager: recorder.manager, encapIp: '192.0.2.1' });
    recorder.server.setTunnels(1, [
      { peer: 2, remoteIp: '192.0.2.2' },
      { peer: 30, remoteIp: '192.0.2.30' },
    ]);
    await until('the tunnels', () => recorder.ofports.size === 2);
    const before = await recorder.server.health(1);
    expect(before.tunnels.map(({ peer, interface: name, error }) => ({ peer, name, error }))).toEqual(
      expect.arrayContaining([
        { peer: 2, name: 'kw2', error: undefined },
        { peer: 30, name: 'kw1e', error: undefined },
      ]),
    );
    expect(before.tunnels).toHaveLength(2);
    expect(before).toMatchObject({ vmMtu: undefined, errors: [], overhead: 42 });
    // Nobody answers there.
    await until('BFD to be told', async () =>
      (await recorder.server.health(1)).tunnels.every(({ bfd }) => bfd?.state === 'down'),
    );

    await vswitch.addPort('vm1', 'if-1');
    await vswitch.addPort('vm2', 'if-2');
    await vswitch.addPort('other');
    await vswitch.vsctl(
      'set',
      'Interface',
      'vm2',
      'mtu_request=1700',
      '--',
      'set',
      'Interface',
      'other',
      'mtu_request=9000',
    );
    await vswitch.vsctl('--no-wait', 'add-port', 'br-int', 'odd', '--', 'set', 'Interface', 'odd', 'type=nonsense');
    await until('the MTU and the error', async () => {
      const { vmMtu, errors } = await recorder.server.health(1);
      return vmMtu === 1700 && errors.length === 1;
    });
    const after = await recorder.server.health(1);
    expect(after.errors).toEqual([{ interface: 'odd', error: expect.stringContaining('odd') }]);
    expect(after.tunnels).toHaveLength(2);
  });

  test('tells what keeps a mapped bridge from being joined', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await vswitch.vsctl('add-br', 'br-ex', '--', 'set', 'Bridge', 'br-ex', 'datapath_type=dummy');
    await vswitch.vsctl('--no-wait', 'add-br', 'br-sys');
    const text = 'a:br-ex,b:br-none,c:br-int,d:br-sys';
    await vswitch.vsctl('--no-wait', 'set', 'Open_vSwitch', '.', `external_ids:keyway-bridge-mappings="${text}"`);
    await until('the mappings', async () => (await recorder.server.health(1)).mappings.length === 4);
    const { mappings } = await recorder.server.health(1);
    expect(mappings.map(({ physicalNetwork, hindrance }) => [physicalNetwork, hindrance])).toEqual([
      ['a', undefined],
      ['b', 'there is no such bridge'],
      ['c', 'that is the integration bridge itself'],
      ['d', "its datapath type is system, the integration bridge's is dummy"],
    ]);
  });

  test('asking writes nothing, and changes of BFD are no event', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ manager: recorder.manager, encapIp: '192.0.2.1' });
    recorder.server.setTunnels(1, [{ peer: 2, remoteIp: '192.0.2.2' }]);
    await until('the tunnel', () => recorder.ofports.size === 1);
    const told = () => recorder.chassis.length + recorder.interfaces.length + recorder.tunnels.length;
    await until('BFD to be told', async () => (await recorder.server.health(1)).tunnels[0]?.bfd !== undefined);
    const journal = await quiet(vswitch);
    const before = told();
    await vswitch.appctl('bfd/set-forwarding', 'kw2', 'true');
    await until('the change', async () =>
      (await vswitch.vsctl('get', 'Interface', 'kw2', 'bfd_status:forwarding')).includes('true'),
    );
    for (let i = 0; i < 20; i++) await recorder.server.health(1);
    expect((await quiet(vswitch)).split('"keyway:').length).toBe(journal.split('"keyway:').length);
    expect(told()).toBe(before);
  });

  test('of a hypervisor that is away, or not admitted, is a problem', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await expect(recorder.server.health(1)).rejects.toMatchObject({ code: 'hypervisor.not-connected' });
    {
      await using vswitch = await startDummySwitch({ manager: recorder.manager });
      await recorder.known();
      await expect(recorder.server.health(1)).rejects.toMatchObject({ code: 'hypervisor.not-connected' });
      recorder.server.admit(admission);
      expect((await recorder.server.health(1)).tunnels).toEqual([]);
      await vswitch.kill('ovsdb-server');
      await until('it to be gone', () => recorder.gone.length === 1);
    }
    await expect(recorder.server.health(1)).rejects.toMatchObject({ code: 'hypervisor.not-connected' });
  });
});

test('GRE with a key takes 42 bytes of an IPv4 underlay, and 62 of an IPv6 one', () => {
  expect([gre.overhead('192.0.2.1'), gre.overhead('2001:db8::1')]).toEqual([42, 62]);
});
