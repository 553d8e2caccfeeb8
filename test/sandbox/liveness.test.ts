/** Which port bundle and bundle_load take follows BFD on the tunnels, in the switch's own eyes: there is no controller here. */
import { expect, test } from 'vitest';
import { formatFlow } from '../../plugins/openvswitch/openflow/text.ts';
import { bundleNone, type Flow } from '../../src/pipeline/flow.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { pingThrough } from '../../src/sandbox/pings.ts';
import { type LabHypervisor, openLabOrSkip } from '../support/lab.ts';
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

test('one of two ends is killed: what went there goes to the other within half a second, and back once it lives', async (context) => {
  await using lab = await openLabOrSkip(context);
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
  const arrivals = async (name: string): Promise<number> => {
    const end = ends.find((machine) => machine.name === `end-${name}`)!;
    const { stdout } = await end.exec('ip', ['-j', '-s', 'link', 'show', 'eth0']);
    return (JSON.parse(stdout) as [{ stats64: { rx: { packets: number } } }])[0].stats64.rx.packets;
  };

  const before = await arrivals('gw2');
  let killed: Promise<void> | undefined;
  const kill = (): Promise<void> => {
    killed ??= gw1.kill('ovs-vswitchd', 'SIGKILL');
    return killed;
  };
  const losses = await Promise.all([byBundle, byLoad].map((ip) => pingThrough(vm, ip, kill)));
  console.log(`lost: ${JSON.stringify(losses)}`);
  for (const { lost, interval } of losses) {
    expect(lost).toBeGreaterThan(0);
    expect(lost * interval).toBeLessThanOrEqual(500);
  }
  expect(await arrivals('gw2')).toBeGreaterThan(before + 100);

  await gw1.start('ovs-vswitchd');
  await programEnd(gw1, hv, 'iface-gw1');
  await until('BFD again', () => isUp(gw1));
  const home = await arrivals('gw1');
  await Promise.all([byBundle, byLoad].map((ip) => vm.ping(ip)));
  expect(await arrivals('gw1')).toBeGreaterThanOrEqual(home + 2);

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
