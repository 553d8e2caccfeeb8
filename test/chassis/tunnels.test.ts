import { describe, expect, test } from 'vitest';
import { tunnelName } from '../../plugins/openvswitch/chassis/tunnel-ports.ts';
import { type DummySwitch, openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { get, journal, OUR_WRITES, quiet } from './hypervisor.ts';
import { admission, Recorder, until } from './recorder.ts';

const ports = async (vswitch: DummySwitch): Promise<string> =>
  (await vswitch.vsctl('list-ports', 'br-int')).trim().split('\n').join(' ');

const options = (vswitch: DummySwitch, name: string): Promise<string> => get(vswitch, 'Interface', name, 'options');

const writes = (vswitch: DummySwitch): number => journal(vswitch).split(OUR_WRITES).length - 1;

describe('tunnels', () => {
  test('are made, changed and removed, all in one transaction, and their OpenFlow ports told', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ manager: recorder.manager, encapIp: '192.0.2.1' });
    await until('the first list', () => recorder.tunnels.length > 0);
    const peers = Array.from({ length: 40 }, (_, at) => ({ peer: at + 2, remoteIp: `192.0.2.${at + 2}` }));
    await quiet(vswitch);
    const before = writes(vswitch);
    recorder.server.setTunnels(1, peers);
    await until('the tunnels', () => recorder.ofports.size === 40);
    expect(writes(vswitch)).toBe(before + 1);
    expect(await options(vswitch, 'kw2')).toBe('{key=flow, remote_ip="192.0.2.2"}');
    expect(await get(vswitch, 'Interface', 'kw29', 'type')).toBe('gre');
    expect(await get(vswitch, 'Port', 'kw29', 'external_ids')).toBe('{keyway-peer="41", owner=keyway}');
    for (const peer of [2, 41]) {
      expect(await get(vswitch, 'Interface', tunnelName(peer), 'ofport')).toBe(String(recorder.ofports.get(peer)));
    }

    const moved = { peer: 3, remoteIp: '198.51.100.3' };
    const added = { peer: 0xabcdef01, remoteIp: '198.51.100.9' };
    recorder.server.setTunnels(1, [moved, ...peers.slice(2, 4), added]);
    await until('the change', () => recorder.ofports.size === 4 && recorder.ofports.has(added.peer));
    expect(await ports(vswitch)).toBe('kw3 kw4 kw5 kwabcdef01');
    expect(await options(vswitch, 'kw3')).toBe('{key=flow, remote_ip="198.51.100.3"}');
    expect(writes(vswitch)).toBe(before + 2);
    recorder.server.setTunnels(1, []);
    await until('none', () => recorder.ofports.size === 0);
    expect(await ports(vswitch)).toBe('');
    expect(recorder.bound).toEqual([]);
    expect(recorder.complaints()).toEqual([]);
  });

  test('are watched closely where a gateway is at an end, which costs no tunnel', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    recorder.server.setTunnels(1, [{ peer: 2, remoteIp: '192.0.2.2' }]);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await until('the tunnel', () => recorder.ofports.size === 1);
    const told = recorder.tunnels.length;
    const same = async (): Promise<string[]> =>
      Promise.all(['_uuid', 'ofport'].map((column) => get(vswitch, 'Interface', 'kw2', column)));
    const before = await same();
    for (const [fast, ms] of [
      [true, 100],
      [false, 1000],
      [true, 100],
    ] as const) {
      recorder.server.setTunnels(1, [{ peer: 2, remoteIp: '192.0.2.2', fast }]);
      const right = `{enable="true", min_rx="${ms}", min_tx="${ms}"}`;
      await until(right, async () => (await get(vswitch, 'Interface', 'kw2', 'bfd')) === right);
    }
    expect(await same()).toEqual(before);
    expect(recorder.tunnels.length).toBe(told);
  });

  test('carry our own address unless told not to, and follow it', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start({ tunnelLocalIp: undefined });
    recorder.server.admit(admission);
    recorder.server.setTunnels(1, [{ peer: 2, remoteIp: '192.0.2.2' }]);
    await using vswitch = await startDummySwitch({ manager: recorder.manager, encapIp: '192.0.2.1' });
    await until('the tunnel', () => recorder.ofports.size === 1);
    expect(await options(vswitch, 'kw2')).toBe('{key=flow, local_ip="192.0.2.1", remote_ip="192.0.2.2"}');
    await vswitch.vsctl('set', 'Open_vSwitch', '.', 'external_ids:keyway-encap-ip=192.0.2.77');
    const right = '{key=flow, local_ip="192.0.2.77", remote_ip="192.0.2.2"}';
    await until('the new address', async () => (await options(vswitch, 'kw2')) === right);
  });

  test('found on a hypervisor are kept until somebody has said which are wanted', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await using vswitch = await startDummySwitch();
    for (const peer of [2, 3]) {
      const set = [
        '--',
        'set',
        'Interface',
        `kw${peer}`,
        'type=gre',
        `options:remote_ip=192.0.2.${peer}`,
        'options:key=flow',
      ];
      const mark = ['--', 'set', 'Port', `kw${peer}`, 'external_ids:owner=keyway', `external_ids:keyway-peer=${peer}`];
      await vswitch.vsctl('add-port', 'br-int', `kw${peer}`, ...set, ...mark);
    }
    recorder.server.admit(admission);
    await vswitch.vsctl('set-manager', recorder.manager);
    await until('both to be told', () => recorder.ofports.size === 2);
    await quiet(vswitch);
    expect(await ports(vswitch)).toBe('kw2 kw3');
    expect(recorder.complaints()).toEqual([]);
    const kept = await get(vswitch, 'Interface', 'kw3', '_uuid');
    recorder.server.setTunnels(1, [{ peer: 3, remoteIp: '192.0.2.3' }]);
    await until('one to be told', () => recorder.ofports.size === 1);
    expect(await ports(vswitch)).toBe('kw3');
    expect(await get(vswitch, 'Interface', 'kw3', '_uuid')).toBe(kept);
  });

  test('changed by hand are set right again; ports that are not ours stay as they are', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    recorder.server.setTunnels(1, [
      { peer: 2, remoteIp: '192.0.2.2' },
      { peer: 3, remoteIp: '192.0.2.3' },
    ]);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await until('the tunnels', () => recorder.ofports.size === 2);
    const foreign = ['--', 'set', 'Interface', 'gre9', 'type=gre', 'options:remote_ip=192.0.2.99', 'options:key=9'];
    await vswitch.vsctl('add-br', 'br-ex', '--', 'add-port', 'br-ex', 'kw77');
    await vswitch.vsctl('add-port', 'br-int', 'gre9', ...foreign, '--', 'set', 'Port', 'gre9', 'external_ids:owner=me');
    await vswitch.vsctl('set', 'Port', 'kw77', 'external_ids:owner=keyway', 'external_ids:keyway-peer=119');
    const untouched = async (): Promise<string[]> =>
      Promise.all(['gre9', 'kw77'].map((name) => vswitch.vsctl('list', 'Port', name)));
    const before = await untouched();

    const right = '{key=flow, remote_ip="192.0.2.2"}';
    const wrongs = [
      ['set', 'Interface', 'kw2', 'options:remote_ip=192.0.2.66'],
      ['set', 'Interface', 'kw2', 'options:csum=true'],
      ['set', 'Interface', 'kw2', 'options:key=5'],
      ['remove', 'Interface', 'kw2', 'options', 'key'],
    ];
    for (const wrong of wrongs) {
      await vswitch.vsctl('--no-wait', ...wrong);
      await until(`${wrong.join(' ')} to be mended`, async () => (await options(vswitch, 'kw2')) === right);
    }
    const bfd = '{enable="true", min_rx="1000", min_tx="1000"}';
    expect(await get(vswitch, 'Interface', 'kw2', 'bfd')).toBe(bfd);
    await vswitch.vsctl('--no-wait', 'set', 'Interface', 'kw2', 'bfd:enable=false');
    await until('BFD', async () => (await get(vswitch, 'Interface', 'kw2', 'bfd')) === bfd);
    await vswitch.vsctl('--no-wait', 'set', 'Interface', 'kw2', 'type=vxlan');
    await until('the type', async () => (await get(vswitch, 'Interface', 'kw2', 'type')) === 'gre');
    await vswitch.vsctl('--no-wait', 'remove', 'Port', 'kw2', 'external_ids', 'owner');
    await until('the owner', async () => (await get(vswitch, 'Port', 'kw2', 'external_ids')).includes('owner=keyway'));
    await vswitch.vsctl('--no-wait', 'del-port', 'kw3');
    await until('the port', async () => (await ports(vswitch)) === 'gre9 kw2 kw3');
    await until('both to be told', () => recorder.ofports.size === 2);
    expect(await untouched()).toEqual(before);

    recorder.server.setTunnels(1, [{ peer: 0x77, remoteIp: '192.0.2.7' }]);
    await until('a complaint', () => recorder.complaints().some((text) => text.includes('exists that is not ours')));
    await until('the others to go', async () => (await ports(vswitch)) === 'gre9');
    expect(await untouched()).toEqual(before);
    await vswitch.vsctl('--no-wait', 'del-port', 'br-ex', 'kw77');
    await until('the name to be taken', () => recorder.ofports.has(0x77));
    await vswitch.vsctl('--no-wait', 'set', 'Port', 'gre9', 'external_ids:owner=keyway');
    await until('what says it is ours, and is not wanted, to go', async () => (await ports(vswitch)) === 'kw77');
  });

  test('are told of the bridge that is the integration bridge now', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    recorder.server.setTunnels(1, [{ peer: 2, remoteIp: '192.0.2.2' }]);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await until('the tunnel', () => recorder.ofports.size === 1);
    await vswitch.vsctl('--no-wait', 'set', 'Open_vSwitch', '.', 'external_ids:keyway-bridge=br-new');
    await until('none', () => recorder.ofports.size === 0);
    await vswitch.vsctl('--no-wait', 'del-br', 'br-int');
    await until('the tunnel on the new bridge', () => recorder.ofports.size === 1);
    expect(await vswitch.vsctl('list-ports', 'br-new')).toBe('kw2\n');
  });

  test('that Open vSwitch cannot make are in the log with its own words', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    recorder.server.setTunnels(1, [
      { peer: 2, remoteIp: '192.0.2.2' },
      { peer: 3, remoteIp: '192.0.2.2' },
    ]);
    await using _ = await startDummySwitch({ manager: recorder.manager });
    const complaint = () => recorder.logged.find(({ message }) => message.includes('an error on an interface'));
    await until('the error', () => complaint() !== undefined);
    expect(complaint()!.fields).toMatchObject({
      interface: expect.stringMatching(/^kw[23]$/),
      error: expect.any(String),
    });
    await until('the one that works', () => recorder.ofports.size === 1);
  });

  test('whose OpenFlow port is not told though there is one: Open vSwitch is asked to look again', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    recorder.server.setTunnels(1, [{ peer: 2, remoteIp: '192.0.2.2' }]);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await until('the tunnel', () => recorder.ofports.size === 1);
    await quiet(vswitch);
    const before = writes(vswitch);
    // What ovs-vswitchd leaves behind when a wrong configuration is put right while it still writes down what was wrong.
    await vswitch.vsctl('--no-wait', 'set', 'Interface', 'kw2', 'ofport=-1');
    await until('none', () => recorder.ofports.size === 0);
    await until('the tunnel again', () => recorder.ofports.size === 1);
    expect(writes(vswitch)).toBe(before + 1);
  });

  test('that lack their port for good: Open vSwitch is asked less and less often', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    recorder.server.setTunnels(1, [
      { peer: 2, remoteIp: '192.0.2.2' },
      { peer: 3, remoteIp: '192.0.2.2' },
    ]);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await until('the one that works', () => recorder.ofports.size === 1);
    await quiet(vswitch);
    const before = writes(vswitch);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    // After one second and after three.
    expect(writes(vswitch) - before).toBeGreaterThanOrEqual(1);
    expect(writes(vswitch) - before).toBeLessThanOrEqual(2);
  });
});
