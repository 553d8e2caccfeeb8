import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { bridgeMade, get, journal, OUR_WRITES, quiet } from './hypervisor.ts';
import { admission, Recorder, until } from './recorder.ts';

const ROOT = '5d1ae5a4-8a0c-4a4b-9c53-0d3e7d0a5e11';

describe('sessions', () => {
  test('over a unix socket work the same', async (context) => {
    await openVswitchOrSkip(context);
    await using directory = ephemeralDirectory('kw-ch-');
    await using recorder = await Recorder.start({ listen: [`punix:${join(directory.path, 'sock')}`] });
    expect(recorder.manager).toBe(`unix:${join(directory.path, 'sock')}`);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    expect((await recorder.known()).peer).toBe('unix');
    recorder.server.admit(admission);
    await bridgeMade(vswitch);
    expect(await vswitch.vsctl('get-controller', 'br-int')).toBe('tcp:127.0.0.1:6653\n');
    expect(await get(vswitch, 'Manager', '.', 'max_backoff')).toBe('1000');
    expect(recorder.server.peerOf(admission.datapathId)).toBe('unix');
  });

  test('without a system-id are refused, with what to do', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await using vswitch = await startDummySwitch({ bridge: 'br-int' });
    await vswitch.vsctl('remove', 'Open_vSwitch', '.', 'external_ids', 'system-id');
    const before = journal(vswitch).length;
    await vswitch.vsctl('set-manager', recorder.manager);
    await until('a refusal', () => recorder.refused.length > 0);
    expect(recorder.refused[0]).toEqual({
      peer: 'tcp:127.0.0.1',
      reason: expect.stringMatching(/ovs-vsctl set .*system-id=/),
    });
    expect(journal(vswitch).slice(before)).not.toContain(OUR_WRITES);
    await vswitch.vsctl('set', 'Open_vSwitch', '.', 'external_ids:system-id=late');
    await recorder.known('late');
    expect(recorder.gone).toEqual([]);
  });

  test('with a system-id that is alive are refused, and the first stays', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using first = await startDummySwitch({ manager: recorder.manager });
    await bridgeMade(first);
    await using second = await startDummySwitch({ bridge: 'br-int' });
    const before = journal(second).length;
    await second.vsctl('set-manager', recorder.manager);
    await until('a refusal', () => recorder.refused.length > 0);
    expect(recorder.refused[0]!.reason).toMatch(/system-id hv1 has a live session from tcp:127.0.0.1/);
    await first.addPort('vif1', 'vm-1');
    await until('the first to be heard', () => recorder.bound.join() === 'vm-1@vif1');
    expect(recorder.gone).toEqual([]);
    expect(journal(second).slice(before)).not.toContain(OUR_WRITES);
  });

  test('that are dead and do not know it make room for the one that is alive', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start({ probeInterval: 300 });
    const dead = connect(Number(recorder.manager.split(':')[2]), '127.0.0.1');
    dead.on('error', () => {
      // It is cut off: that is the point.
    });
    const rows = { [ROOT]: { initial: { external_ids: ['map', [['system-id', 'hv1']]] } } };
    dead.write(JSON.stringify({ id: 1, result: { Open_vSwitch: rows }, error: null }));
    dead.resume();
    await recorder.known();
    await using _ = await startDummySwitch({ manager: recorder.manager });
    await until('the living one', () => recorder.chassis.some(({ hostname }) => hostname === 'localhost'));
    expect(recorder.gone[0]).toEqual({ systemId: 'hv1', reason: expect.stringMatching(/no answer to a probe/) });
    dead.destroy();
  });

  test('that change their system-id are taken for another hypervisor', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await recorder.known();
    await vswitch.vsctl('set', 'Open_vSwitch', '.', 'external_ids:system-id=hv2');
    await recorder.known('hv2');
    expect(recorder.gone).toEqual([{ systemId: 'hv1', reason: expect.stringMatching(/changed from hv1 to hv2/) }]);
  });

  test('that break off are told, and all is told anew when they are back', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await bridgeMade(vswitch);
    await vswitch.addPort('vif1', 'vm-1');
    await until('the interface', () => recorder.bound.length === 1);
    await vswitch.kill('ovsdb-server');
    await until('the loss', () => recorder.gone.length === 1);
    expect(recorder.server.peerOf(admission.datapathId)).toBeUndefined();
    const told = recorder.interfaces.length;
    await vswitch.restart('ovsdb-server');
    await until('the interfaces again', () => recorder.interfaces.length > told);
    expect(recorder.bound).toEqual(['vm-1@vif1']);
  });

  test('of a dismissed hypervisor end, and it comes back as unknown', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    recorder.server.setTunnels(1, [{ peer: 2, remoteIp: '192.0.2.2' }]);
    await until('the tunnel', () => recorder.ofports.size === 1);
    await quiet(vswitch);
    recorder.server.dismiss(1);
    await until('the end', () => recorder.gone.length === 1);
    expect(recorder.gone[0]).toEqual({ systemId: 'hv1', reason: 'dismissed' });
    const told = recorder.chassis.length;
    await until('it to come back', () => recorder.chassis.length > told);
    const before = journal(vswitch).length;
    await vswitch.vsctl('set', 'Bridge', 'br-int', 'fail_mode=standalone');
    await sleep(200);
    expect(await get(vswitch, 'Bridge', 'br-int', 'fail_mode')).toBe('standalone');
    expect(journal(vswitch).slice(before)).not.toContain(OUR_WRITES);
    expect(recorder.server.peerOf(admission.datapathId)).toBeUndefined();

    // What was wanted of it then is forgotten: nobody has said yet what is wanted now.
    await vswitch.vsctl('del-port', 'kw2');
    recorder.server.admit(admission);
    await until('secure', async () => (await get(vswitch, 'Bridge', 'br-int', 'fail_mode')) === 'secure');
    await quiet(vswitch);
    expect(await vswitch.vsctl('list-ports', 'br-int')).toBe('');
  });
});
