/** Which port bundle and bundle_load take follows BFD on the tunnels, in the switch's own eyes: there is no controller here. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../../plugins/openvswitch/local-client.ts';
import { watchLocalDatabase } from '../../plugins/openvswitch/local-database.ts';
import { formatFlow } from '../../plugins/openvswitch/openflow/text.ts';
import { PathGuard } from '../../src/gateway-host/path-guard.ts';
import { bundleNone, type Flow } from '../../src/pipeline/flow.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { pingThrough } from '../../src/sandbox/pings.ts';
import { type Lab, type LabHypervisor, type LabVm, openLabOrSkip } from '../support/lab.ts';
import { key, makeBridge } from './static-lab.ts';

/** By bundle, and by bundle_load. */
const [byBundle, byLoad] = ['10.0.1.12', '10.0.1.13'] as const;
const number = (ip: string): number => ip.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);

const tunnel = (to: LabHypervisor): string => `gre-${to.name}`;

async function addTunnel(from: LabHypervisor, to: LabHypervisor): Promise<void> {
  const bfd = ['bfd:enable=true', 'bfd:min_rx=100', 'bfd:min_tx=100'];
  const options = ['type=gre', 'options:key=flow', `options:remote_ip=${to.encapIp}`, ...bfd];
  await from.vsctl('add-port', 'br-int', tunnel(to), '--', 'set', 'Interface', tunnel(to), ...options);
}

async function ofport(hypervisor: LabHypervisor, name: string): Promise<number> {
  return Number(await hypervisor.vsctl('get', 'Interface', name, 'ofport'));
}

async function vif(hypervisor: LabHypervisor, ifaceId: string): Promise<number> {
  const of = [`external_ids:iface-id=${ifaceId}`];
  return Number(await hypervisor.vsctl('--bare', '--columns=ofport', 'find', 'Interface', ...of));
}

async function program(hypervisor: LabHypervisor, flows: Omit<Flow, 'cookie'>[]): Promise<void> {
  for (const flow of flows) await hypervisor.ofctl('add-flow', formatFlow({ cookie: 0n, ...flow }));
}

async function programEnd(gateway: LabHypervisor, hv: LabHypervisor, ifaceId: string): Promise<void> {
  const [back, vm] = [await ofport(gateway, tunnel(hv)), await vif(gateway, ifaceId)];
  await program(gateway, [
    {
      table: 0,
      priority: 1,
      match: { in_port: vm },
      actions: [
        { type: 'setField', field: 'tun_id', value: key },
        { type: 'output', port: back },
      ],
    },
    { table: 0, priority: 1, match: { in_port: back }, actions: [{ type: 'output', port: vm }] },
  ]);
}

/** What comes from the VM goes to the first of these ports that is live; what is for byLoad, by way of a register. */
async function programStart(hv: LabHypervisor, gateways: LabHypervisor[]): Promise<void> {
  const vm = await vif(hv, 'iface-vm');
  const members = await Promise.all(gateways.map((gateway) => ofport(hv, tunnel(gateway))));
  const alive = { field: 'reg3', offset: 8, bits: 16 } as const;
  const none = { reg3: { value: bundleNone * 256, mask: 0xffff00 } };
  await program(hv, [
    {
      table: 0,
      priority: 1,
      match: { in_port: vm },
      actions: [
        { type: 'setField', field: 'tun_id', value: key },
        { type: 'bundle', members },
      ],
    },
    {
      table: 0,
      priority: 2,
      match: { in_port: vm, eth_type: 0x0800, ipv4_dst: number(byLoad) },
      actions: [{ type: 'bundleLoad', target: alive, members: [members[0]!] }],
      goto: 1,
    },
    {
      table: 1,
      priority: 2,
      match: none,
      actions: [
        { type: 'setField', field: 'tun_id', value: key },
        { type: 'output', port: members[1]! },
      ],
    },
    {
      table: 1,
      priority: 1,
      match: {},
      actions: [
        { type: 'setField', field: 'tun_id', value: key },
        { type: 'outputReg', source: alive },
      ],
    },
    ...members.map((port) => ({
      table: 0,
      priority: 1,
      match: { in_port: port },
      actions: [{ type: 'output' as const, port: vm }],
    })),
  ]);
}

type Three = {
  hv: LabHypervisor;
  gw1: LabHypervisor;
  gw2: LabHypervisor;
  vm: LabVm;
  /** Packets that the machine behind this gateway has got. */
  arrivals(gateway: LabHypervisor): Promise<number>;
  isUp(gateway: LabHypervisor): Promise<boolean>;
};

/** A VM, and the same address behind each of two others, the first of which it takes. */
async function buildThree(lab: Lab): Promise<Three> {
  const [hv, gw1, gw2] = (await Promise.all(['hv', 'gw1', 'gw2'].map((name) => lab.addHypervisor(name)))) as [
    LabHypervisor,
    LabHypervisor,
    LabHypervisor,
  ];
  const vm = await lab.addVm({
    ...{ name: 'vm', hypervisor: 'hv', mac: '02:00:00:00:00:11', address: '10.0.1.11/24', ifaceId: 'iface-vm' },
  });
  const ends = await Promise.all(
    [gw1, gw2].map(({ name }) =>
      lab.addVm({
        ...{ name: `end-${name}`, hypervisor: name, ifaceId: `iface-${name}` },
        ...{ mac: '02:00:00:00:00:12', address: `${byBundle}/24` },
      }),
    ),
  );
  await Promise.all([hv, gw1, gw2].map(makeBridge));
  await Promise.all([addTunnel(gw1, hv), addTunnel(gw2, hv)]);
  for (const gateway of [gw1, gw2]) await addTunnel(hv, gateway);
  for (const machine of [vm, ...ends]) await machine.plug();
  for (const end of ends) await end.exec('ip', ['address', 'add', `${byLoad}/24`, 'dev', 'eth0']);
  await programStart(hv, [gw1, gw2]);
  await Promise.all([gw1, gw2].map((gateway) => programEnd(gateway, hv, `iface-${gateway.name}`)));
  const isUp = async (gateway: LabHypervisor): Promise<boolean> =>
    (await hv.vsctl('get', 'Interface', tunnel(gateway), 'bfd_status')).includes('state=up');
  for (const gateway of [gw1, gw2]) await until(`BFD to ${gateway.name}`, () => isUp(gateway));
  // A session begins with an interval of a second (RFC 5880 section 6.8.3), and agrees on what is configured once it is up.
  const isFast = async (gateway: LabHypervisor): Promise<boolean> =>
    /RX Interval: Approx 100ms/.test(await hv.appctl('bfd/show', tunnel(gateway)));
  for (const gateway of [gw1, gw2]) await until(`fast BFD to ${gateway.name}`, () => isFast(gateway));
  for (const ip of [byBundle, byLoad]) expect(await vm.ping(ip)).toBe(true);
  return {
    ...{ hv, gw1, gw2, vm, isUp },
    async arrivals({ name }) {
      const end = ends.find((machine) => machine.name === `end-${name}`)!;
      const { stdout } = await end.exec('ip', ['-j', '-s', 'link', 'show', 'eth0']);
      return (JSON.parse(stdout) as [{ stats64: { rx: { packets: number } } }])[0].stats64.rx.packets;
    },
  };
}

test('one of two ends is killed: what went there goes to the other within half a second, and back once it lives', async (context) => {
  await using lab = await openLabOrSkip(context);
  const { hv, gw1, gw2, vm, arrivals, isUp } = await buildThree(lab);
  const before = await arrivals(gw2);
  let killed: Promise<void> | undefined;
  const kill = (): Promise<void> => {
    killed ??= gw1.kill('ovs-vswitchd', 'SIGKILL');
    return killed;
  };
  const losses = await Promise.all([byBundle, byLoad].map((ip) => pingThrough(vm, ip, kill)));
  console.log(`lost: ${JSON.stringify(losses)}`);
  for (const { lost, interval } of losses) {
    expect(lost).toBeGreaterThan(0);
    expect(lost * interval).toBeLessThanOrEqual(2_000);
  }
  expect(await arrivals(gw2)).toBeGreaterThan(before + 100);

  await gw1.start('ovs-vswitchd');
  await programEnd(gw1, hv, 'iface-gw1');
  await until('BFD again', () => isUp(gw1));
  const home = await arrivals(gw1);
  await Promise.all([byBundle, byLoad].map((ip) => vm.ping(ip)));
  expect(await arrivals(gw1)).toBeGreaterThanOrEqual(home + 2);

  // With both gone nobody gets anything, and nothing is sent anywhere else.
  await Promise.all([gw1, gw2].map((gateway) => gateway.kill('ovs-vswitchd', 'SIGKILL')));
  await until('both ends to be known as dead', async () => !(await isUp(gw1)) && !(await isUp(gw2)));
  const traced = await hv.appctl(
    'ofproto/trace',
    'br-int',
    `in_port=${await vif(hv, 'iface-vm')},dl_type=0x0800,nw_dst=${byBundle}`,
  );
  expect(traced).toContain('Datapath actions: drop');
});

test('one that comes back without flows is not taken before it has them, where its program watches', async (context) => {
  await using lab = await openLabOrSkip(context);
  const { hv, gw1, gw2, vm, arrivals, isUp } = await buildThree(lab);
  await gw1.vsctl('set', 'Port', tunnel(hv), 'external_ids:owner=keyway', 'external_ids:keyway-peer=1');
  using _ = guarded(gw1);
  const canary: Flow = { table: tables.Canary.id, priority: 0, cookie: 1n, match: {}, actions: [] };
  await program(gw1, [canary]);
  const column = async (name: string): Promise<string> =>
    (await gw1.vsctl('get', 'Interface', tunnel(hv), name)).trim();
  await until('the path to be told as good', async () => !(await column('bfd')).includes('cpath_down'));
  const [wasAtFirst, wasAtSecond] = [await arrivals(gw1), await arrivals(gw2)];
  const killed = once(() => gw1.kill('ovs-vswitchd', 'SIGKILL'));
  const [whenKilled] = await Promise.all([pingThrough(vm, byBundle, killed), pingThrough(vm, byLoad, killed)]);
  expect(whenKilled.lost * whenKilled.interval).toBeLessThanOrEqual(2_000);
  await until('it to be written down', async () => (await column('bfd')).includes('cpath_down="true"'));

  const started = once(async () => {
    await gw1.start('ovs-vswitchd');
    await until('BFD with a path that is down', async () => {
      const status = await hv.vsctl('get', 'Interface', tunnel(gw1), 'bfd_status');
      return status.includes('state=up') && status.includes('remote_diagnostic="Concatenated Path Down"');
    });
  });
  const losses = await Promise.all([byBundle, byLoad].map((ip) => pingThrough(vm, ip, started)));
  // The last request may be under way when they end.
  for (const { lost } of losses) expect(lost).toBeLessThanOrEqual(2);
  expect(await arrivals(gw2)).toBeGreaterThan(wasAtSecond + 100);

  const programmed = once(async () => {
    await programEnd(gw1, hv, 'iface-gw1');
    await program(gw1, [canary]);
    await until('the path to be good', async () => !(await column('bfd')).includes('cpath_down'));
  });
  const home = await Promise.all([byBundle, byLoad].map((ip) => pingThrough(vm, ip, programmed)));
  console.log(`lost while it had no flows: ${JSON.stringify(losses)}; when it had: ${JSON.stringify(home)}`);
  for (const { lost, interval } of home) expect(lost * interval).toBeLessThanOrEqual(100);
  expect(await isUp(gw1)).toBe(true);
  expect(await arrivals(gw1)).toBeGreaterThan(wasAtFirst + 100);
});

/** What the program on the gateway host does about it. */
function guarded({ directory }: LabHypervisor): Disposable {
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const database = watchLocalDatabase(join(directory, 'db.sock'), () => {}, log);
  const guard: PathGuard = new PathGuard({ database: () => database, packets: () => client, onGood: () => {}, log });
  const client = connect(join(directory, 'br-int.mgmt'), {
    ...{ controllerId: 1, log, onPacketIn: () => {} },
    onConnected: () => guard.connected(),
    onDisconnected: () => guard.disconnected(),
  });
  return {
    [Symbol.dispose]() {
      guard.close();
      client.close();
      database.close();
    },
  };
}

function once(work: () => Promise<unknown>): () => Promise<unknown> {
  let running: Promise<unknown> | undefined;
  return () => {
    running ??= work();
    return running;
  };
}
