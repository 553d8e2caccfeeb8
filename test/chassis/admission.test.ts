import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { bridgeMade, get, journal, quiet } from './hypervisor.ts';
import { admission, Recorder, until } from './recorder.ts';

describe('before it is admitted', () => {
  test('a hypervisor is read, and not one byte is written to its database', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await using vswitch = await startDummySwitch({ encapIp: '192.0.2.1' });
    await vswitch.addPort('vif1', 'vm-1');
    await vswitch.vsctl('set', 'Open_vSwitch', '.', 'external_ids:ovn-bridge-mappings=public:br-ex,dc:br-dc');
    await vswitch.vsctl('set-manager', recorder.manager);
    const before = journal(vswitch);
    expect(await recorder.known()).toEqual({
      systemId: 'hv1',
      hostname: 'localhost',
      peer: 'tcp:127.0.0.1',
      ovsVersion: '',
      encapIp: '192.0.2.1',
      bridgeMappings: { public: 'br-ex', dc: 'br-dc' },
      datapathType: 'dummy',
    });
    recorder.server.setTunnels(1, [{ peer: 2, remoteIp: '192.0.2.2' }]);
    recorder.server.admit({ ...admission, systemId: 'somebody-else', hypervisor: 7 });
    await sleep(200);
    expect(journal(vswitch)).toBe(before);
    expect(recorder.interfaces).toEqual([]);
    expect(recorder.tunnels).toEqual([]);
    expect(recorder.server.peerOf(admission.datapathId)).toBeUndefined();
    recorder.server.admit(admission);
    await until('a write', () => journal(vswitch) !== before);
    await until('the interface', () => recorder.bound.length === 1);
  });

  test('facts are told again when they change', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    expect((await recorder.known()).encapIp).toBeUndefined();
    await vswitch.vsctl('set', 'Open_vSwitch', '.', 'external_ids:ovn-encap-ip=192.0.2.7', 'ovs_version=3.1.0');
    await until('new facts', () => recorder.chassis.at(-1)?.encapIp === '192.0.2.7');
    expect(recorder.chassis.at(-1)).toMatchObject({ ovsVersion: '3.1.0', systemId: 'hv1' });
    const told = recorder.chassis.length;
    await vswitch.vsctl('set', 'Open_vSwitch', '.', 'external_ids:unrelated=1');
    await vswitch.vsctl('add-br', 'br-other');
    expect(recorder.chassis).toHaveLength(told);
  });
});

describe('once it is admitted', () => {
  test('the integration bridge is made, with its controller, and the manager is told to call again soon', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await bridgeMade(vswitch);
    await vswitch.vsctl('wait-until', 'Bridge', 'br-int', 'datapath_id="4b57000000000001"');
    expect(await get(vswitch, 'Bridge', 'br-int', 'datapath_type')).toBe('dummy');
    expect(await get(vswitch, 'Bridge', 'br-int', 'fail_mode')).toBe('secure');
    expect(await get(vswitch, 'Bridge', 'br-int', 'protocols')).toBe('[OpenFlow15]');
    expect(await get(vswitch, 'Bridge', 'br-int', 'other_config')).toBe(
      '{datapath-id="4b57000000000001", disable-in-band="true"}',
    );
    expect(await get(vswitch, 'Bridge', 'br-int', 'external_ids')).toBe('{owner=keyway}');
    const controller = await get(vswitch, 'Bridge', 'br-int', 'controller');
    const columns = ['target', 'max_backoff', 'inactivity_probe', 'connection_mode', 'external_ids'];
    const values = await Promise.all(
      columns.map((column) => get(vswitch, 'Controller', controller.slice(1, -1), column)),
    );
    expect(values).toEqual(['"tcp:127.0.0.1:6653"', '1000', '60000', 'out-of-band', '{owner=keyway}']);
    expect(await get(vswitch, 'Manager', '.', 'max_backoff')).toBe('1000');
    expect(await get(vswitch, 'Manager', '.', 'inactivity_probe')).toBe('60000');
    expect(recorder.server.peerOf(admission.datapathId)).toBe('127.0.0.1');
    expect(recorder.server.peerOf(2n)).toBeUndefined();
    await until('lists, empty as they are', () => recorder.interfaces.length > 0 && recorder.tunnels.length > 0);
    expect([recorder.bound, recorder.ofports]).toEqual([[], new Map()]);
    expect(recorder.complaints()).toEqual([]);
  });

  test('a bridge that exists is adopted whole, under the name it has, and others are left alone', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await using vswitch = await startDummySwitch({ bridge: 'xapi0' });
    await vswitch.vsctl('set', 'Open_vSwitch', '.', 'external_ids:keyway-bridge=xapi0', 'external_ids:site=north');
    await vswitch.vsctl('add-br', 'br-ex', '--', 'set-controller', 'br-ex', 'tcp:192.0.2.9:6653');
    await vswitch.vsctl('set', 'Bridge', 'xapi0', 'fail_mode=standalone', 'external_ids:mine=yes');
    await vswitch.vsctl('set', 'Bridge', 'xapi0', 'other_config={mac-aging-time="7",datapath-id="0000000000000009"}');
    await vswitch.vsctl('set-controller', 'xapi0', 'tcp:192.0.2.8:6653', 'ptcp:6654:127.0.0.1');
    await vswitch.addPort('vif1', 'vm-1');
    const port = await get(vswitch, 'Interface', 'vif1', '_uuid');
    const untouched = (): Promise<string> => vswitch.vsctl('list', 'Bridge', 'br-ex');
    const before = [await untouched(), await get(vswitch, 'Bridge', 'xapi0', '_uuid')];
    recorder.server.admit(admission);
    await vswitch.vsctl('set-manager', recorder.manager);
    await until('the controller', async () =>
      (await vswitch.vsctl('get-controller', 'xapi0')).includes('127.0.0.1:6653'),
    );
    await until('the interface', () => recorder.bound.join() === 'vm-1@vif1');
    expect(await vswitch.vsctl('get-controller', 'xapi0')).toBe('tcp:127.0.0.1:6653\n');
    expect(await get(vswitch, 'Bridge', 'xapi0', 'other_config')).toBe(
      '{datapath-id="4b57000000000001", disable-in-band="true", mac-aging-time="7"}',
    );
    expect(await get(vswitch, 'Bridge', 'xapi0', 'external_ids')).toBe('{mine=yes}');
    expect(await get(vswitch, 'Bridge', 'xapi0', 'fail_mode')).toBe('secure');
    expect(await get(vswitch, 'Open_vSwitch', '.', 'external_ids:site')).toBe('north');
    expect(await get(vswitch, 'Interface', 'vif1', '_uuid')).toBe(port);
    expect([await untouched(), await get(vswitch, 'Bridge', 'xapi0', '_uuid')]).toEqual(before);
    expect(await vswitch.vsctl('list-br')).toBe('br-ex\nxapi0\n');
  });

  test('what is changed by hand is set right again', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await bridgeMade(vswitch);
    const controller = async (): Promise<string> => (await get(vswitch, 'Bridge', 'br-int', 'controller')).slice(1, -1);
    const drifts: [column: string, right: string, command: string[]][] = [
      ['fail_mode', 'secure', ['set', 'Bridge', 'br-int', 'fail_mode=standalone']],
      ['fail_mode', 'secure', ['clear', 'Bridge', 'br-int', 'fail_mode']],
      ['protocols', '[OpenFlow15]', ['set', 'Bridge', 'br-int', 'protocols=OpenFlow13,OpenFlow15']],
      ['other_config:disable-in-band', '"true"', ['remove', 'Bridge', 'br-int', 'other_config', 'disable-in-band']],
      [
        'other_config:datapath-id',
        '"4b57000000000001"',
        ['set', 'Bridge', 'br-int', 'other_config:datapath-id=000000000000000a'],
      ],
    ];
    for (const [column, right, command] of drifts) {
      await vswitch.vsctl(...command);
      await until(`${command.join(' ')} to be mended`, async () =>
        get(vswitch, 'Bridge', 'br-int', column).then(
          (value) => value === right,
          () => false,
        ),
      );
    }
    const first = await controller();
    await vswitch.vsctl(
      'set',
      'Controller',
      first,
      'target="tcp:192.0.2.66:6653"',
      'max_backoff=8000',
      'connection_mode=in-band',
    );
    await until(
      'the target',
      async () => (await get(vswitch, 'Controller', first, 'target')) === '"tcp:127.0.0.1:6653"',
    );
    expect(await get(vswitch, 'Controller', first, 'max_backoff')).toBe('1000');
    expect(await get(vswitch, 'Controller', first, 'connection_mode')).toBe('out-of-band');
    await vswitch.vsctl('set-controller', 'br-int', 'tcp:192.0.2.66:6653', 'tcp:127.0.0.1:6653');
    await until(
      'one controller',
      async () => (await vswitch.vsctl('get-controller', 'br-int')) === 'tcp:127.0.0.1:6653\n',
    );
    await vswitch.vsctl('del-controller', 'br-int');
    await until(
      'a controller',
      async () => (await vswitch.vsctl('get-controller', 'br-int')) === 'tcp:127.0.0.1:6653\n',
    );
    const bridge = await get(vswitch, 'Bridge', 'br-int', '_uuid');
    await vswitch.vsctl('del-br', 'br-int');
    await bridgeMade(vswitch);
    expect(await get(vswitch, 'Bridge', 'br-int', '_uuid')).not.toBe(bridge);
    expect(recorder.gone).toEqual([]);
    expect(recorder.complaints()).toEqual([]);
  });

  test('a controller that comes back and finds all well writes nothing', async (context) => {
    await openVswitchOrSkip(context);
    const first = await Recorder.start();
    const listen = [`ptcp:${first.manager.split(':')[2]}:127.0.0.1`];
    const tunnels = [{ peer: 2, remoteIp: '192.0.2.2' }];
    first.server.admit(admission);
    first.server.setTunnels(1, tunnels);
    await using vswitch = await startDummySwitch({ manager: first.manager });
    await until('the tunnel', () => first.ofports.size === 1);
    const before = await quiet(vswitch);
    await first.server.stop();
    expect(first.gone).toEqual([{ systemId: 'hv1', reason: 'the controller stops' }]);
    await using second = await Recorder.start({ listen });
    second.server.admit(admission);
    await second.known();
    second.server.setTunnels(1, tunnels);
    await until('the tunnel', () => second.ofports.size === 1);
    expect(await quiet(vswitch)).toBe(before);
  });

  test('a name that something else has is complained of, and taken when it is free', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ bridge: 'br-ex' });
    await vswitch.vsctl('add-port', 'br-ex', 'br-int', '--', 'set', 'Interface', 'br-int', 'type=dummy');
    await vswitch.vsctl('set-manager', recorder.manager);
    await until('a complaint', () => recorder.complaints().some((text) => text.includes('does not take a change')));
    expect(await vswitch.vsctl('list-br')).toBe('br-ex\n');
    expect(recorder.server.peerOf(admission.datapathId)).toBeUndefined();
    await vswitch.vsctl('del-port', 'br-ex', 'br-int');
    await bridgeMade(vswitch);
  });
});
