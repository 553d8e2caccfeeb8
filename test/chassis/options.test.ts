import { existsSync, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bridgeMappingsOf, bridgeNameOf, datapathTypeOf, encapIpOf } from '../../plugins/openvswitch/chassis/facts.ts';
import { datapathIdText } from '../../plugins/openvswitch/chassis/integration-bridge.ts';
import { parseListenTarget } from '../../plugins/openvswitch/chassis/listen.ts';
import { planManagers } from '../../plugins/openvswitch/chassis/managers.ts';
import { watchedTables } from '../../plugins/openvswitch/chassis/schema.ts';
import { plainAddress, trusts } from '../../plugins/openvswitch/chassis/trust.ts';
import { tunnelName } from '../../plugins/openvswitch/chassis/tunnel-ports.ts';
import { DatabaseCache } from '../../plugins/openvswitch/ovsdb/cache.ts';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { attempt } from '../support/open-vswitch.ts';
import { Recorder } from './recorder.ts';

describe('plain tcp', () => {
  const trusted = trusts({ trustedNetworks: ['10.7.0.0/16', '2001:db8:5::/48', '192.0.2.9/32'], insecure: false });
  test.each([
    '127.0.0.1',
    '127.8.9.1',
    '::1',
    '::ffff:127.0.0.1',
    '10.7.255.1',
    '::ffff:10.7.0.1',
    '192.0.2.9',
    '2001:db8:5:1::1',
  ])('is accepted from %s', (address) => expect(trusted(address)).toBe(true));
  test.each([
    '10.8.0.1',
    '192.0.2.8',
    '2001:db8:6::1',
    '::',
    '::ffff:10.8.0.1',
    '128.0.0.1',
    'fe80::1%eth0',
    '',
    'nonsense',
  ])('is refused from %s', (address) => expect(trusted(address)).toBe(false));
  test('is accepted from anywhere where that is asked for', () => {
    expect(trusts({ trustedNetworks: [], insecure: true })('203.0.113.1')).toBe(true);
  });
  test.each(['10.0.0.0', '10.0.0.0/33', '10.0.0/8', '2001:db8::/129', '10.0.0.0/8/8', 'all', '10.0.0.0/-1'])(
    'trustedNetworks may not name %s',
    (prefix) => expect(() => trusts({ trustedNetworks: [prefix], insecure: false })).toThrow(prefix),
  );
  test('addresses are told without the dress a dual-stack socket puts on them', () => {
    expect(['::ffff:10.0.0.1', 'fe80::1%eth0', '::1', '10.0.0.1'].map(plainAddress)).toEqual([
      '10.0.0.1',
      'fe80::1',
      '::1',
      '10.0.0.1',
    ]);
  });
});

describe('listen', () => {
  test.each([
    ['ptcp:6640', { kind: 'tcp', port: 6640, address: '0.0.0.0' }],
    ['ptcp:0:127.0.0.1', { kind: 'tcp', port: 0, address: '127.0.0.1' }],
    ['ptcp:6640:[2001:db8::1]', { kind: 'tcp', port: 6640, address: '2001:db8::1' }],
    ['punix:/run/keyway/ovsdb.sock', { kind: 'unix', path: '/run/keyway/ovsdb.sock' }],
  ])('%s', (text, target) => expect(parseListenTarget(text)).toEqual(target));
  test.each([
    'ptcp:',
    'ptcp:65536',
    'ptcp:6640:host',
    'ptcp:6640:::1',
    'tcp:1.2.3.4:6640',
    'punix:',
    'ptcp:6640:[10.0.0.1]',
    '',
  ])('"%s" is refused', (text) => expect(() => parseListenTarget(text)).toThrow('neither ptcp:'));
  test('TLS is refused, and said to be to come', () => {
    expect(() => parseListenTarget('pssl:6640')).toThrow(/TLS is not available in this version/);
    expect(() => new Recorder({ listen: ['pssl:6640'] })).toThrow(/TLS is not available in this version/);
  });
  test('on a port that is taken fails, names it, and gives back what it had', async () => {
    await using first = await Recorder.start();
    const port = first.manager.split(':')[2];
    const second = new Recorder({ listen: ['ptcp:0:127.0.0.1', `ptcp:${port}:127.0.0.1`] });
    await expect(second.server.start()).rejects.toThrow(`cannot listen on ptcp:${port}:127.0.0.1`);
  });
  test('on a socket replaces a dead one, and nothing else', async () => {
    await using directory = ephemeralDirectory('kw-ch-');
    const path = join(directory.path, 'sock');
    const listen = [`punix:${path}`];
    writeFileSync(path, 'precious');
    await expect(new Recorder({ listen }).server.start()).rejects.toThrow(`cannot listen on punix:${path}`);
    expect(readFileSync(path, 'utf8')).toBe('precious');
    rmSync(path);
    // A process that is killed leaves its socket behind.
    const killed = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    await attempt(process.execPath, ['-e', killed]);
    expect(lstatSync(path).isSocket()).toBe(true);
    {
      await using _ = await Recorder.start({ listen });
      await expect(new Recorder({ listen }).server.start()).rejects.toThrow(/EADDRINUSE/);
    }
    expect(existsSync(path)).toBe(false);
  });
  test('on every address names those of the machine', async () => {
    await using recorder = await Recorder.start({ listen: ['ptcp:0'] });
    expect(recorder.managers.at(-1)).toMatch(/^tcp:127\.0\.0\.1:\d+$/);
    expect(recorder.managers.every((manager) => /^tcp:[\d.]+:[1-9]\d*$/.test(manager))).toBe(true);
  });
});

describe('external_ids', () => {
  const ids = (entries: Record<string, string>): Map<string, string> => new Map(Object.entries(entries));
  test('of ours come before those of OVN', () => {
    expect(encapIpOf(ids({ 'ovn-encap-ip': '10.0.0.1,10.0.0.2' }))).toBe('10.0.0.1');
    expect(encapIpOf(ids({ 'ovn-encap-ip': '10.0.0.1', 'keyway-encap-ip': '2001:db8::1' }))).toBe('2001:db8::1');
    expect(encapIpOf(ids({ 'keyway-encap-ip': 'eth0' }))).toBeUndefined();
    expect(datapathTypeOf(ids({ 'ovn-bridge-datapath-type': 'netdev' }))).toBe('netdev');
    expect(datapathTypeOf(ids({ 'ovn-bridge-datapath-type': 'netdev', 'keyway-datapath-type': 'system' }))).toBe(
      'system',
    );
    expect(datapathTypeOf(ids({}))).toBe('system');
    expect(bridgeNameOf(ids({}))).toBe('br-int');
    expect(bridgeNameOf(ids({ 'keyway-bridge': 'xapi0' }))).toBe('xapi0');
  });
  test('map physical networks to bridges', () => {
    expect(
      bridgeMappingsOf(ids({ 'ovn-bridge-mappings': 'a:br-a', 'keyway-bridge-mappings': ' b : br-b,c:br:c,,:x,y:' })),
    ).toEqual({
      b: 'br-b',
      c: 'br:c',
    });
    const hostile = bridgeMappingsOf(ids({ 'keyway-bridge-mappings': '__proto__:br-a' }));
    expect(Object.entries(hostile)).toEqual([['__proto__', 'br-a']]);
    expect(bridgeMappingsOf(ids({}))).toEqual({});
  });
});

describe('managers', () => {
  const rowUuid = (at: number): string => `00000000-0000-0000-0000-00000000000${at}`;
  const plan = (targets: string[], address = '10.0.0.1'): string[] => {
    const cache = new DatabaseCache(watchedTables);
    const managers = targets.map((target, at) => [rowUuid(at), { initial: { target } }] as const);
    const root = { initial: { manager_options: ['set', managers.map(([one]) => ['uuid', one])] } };
    cache.apply({ Manager: Object.fromEntries(managers), Open_vSwitch: { [rowUuid(9)]: root } }, 'update2');
    const operations = planManagers(cache, cache.row('Open_vSwitch', rowUuid(9))!, {
      kind: 'tcp',
      address,
      port: 6640,
    });
    return operations.map((operation) => JSON.stringify(operation));
  };
  const wish = (at: number): string =>
    JSON.stringify({
      op: 'update',
      table: 'Manager',
      where: [['_uuid', '==', ['uuid', rowUuid(at)]]],
      row: { max_backoff: 1000, inactivity_probe: 60000 },
    });
  test('that lead to us are told, others not', () => {
    expect(plan(['ptcp:6640:127.0.0.1', 'tcp:10.0.0.1:6640', 'tcp:10.0.0.2:6640'])).toEqual([wish(1)]);
    expect(plan(['tcp:10.0.0.1', 'tcp:10.0.0.1:6641'])).toEqual([wish(0)]);
    expect(plan(['tcp:[2001:db8::1]:6640'], '2001:db8::1')).toEqual([wish(0)]);
  });
  test('by a name are told where there is no other that could be meant', () => {
    expect(plan(['tcp:controller.example:6640', 'ptcp:6640'])).toEqual([wish(0)]);
    expect(plan(['tcp:controller.example:6640', 'tcp:other.example:6640'])).toEqual([]);
  });
});

test('names and numbers have the form Open vSwitch wants', () => {
  expect(datapathIdText(1n)).toBe('0000000000000001');
  expect(datapathIdText(2n ** 64n - 1n)).toBe('ffffffffffffffff');
  expect([1, 255, 2 ** 32 - 1].map(tunnelName)).toEqual(['kw1', 'kwff', 'kwffffffff']);
});
