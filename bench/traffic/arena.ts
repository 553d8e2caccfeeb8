/**
 * Two hypervisors with the VMs of one network, whoever programs them: the web tier on the first, the db tier on the
 * second, and one VM more of the web tier on the second, so that there are pairs of one tier as well as of two.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab, LabHypervisor } from '../../src/sandbox/lab.ts';
import type { LabVm } from '../../src/sandbox/lab-vm.ts';
import { type CloudShape, type Place, place, places, tierGateway, tierGateway6 } from '../support/shape.ts';
import { type Endpoint, openEndpoint } from './endpoint.ts';
import { type Megaflows, parseMegaflows } from './megaflows.ts';

/** @param vms of each tier @param dualStack the VMs have IPv6 addresses as well */
export const trafficShape = (vms: number, dualStack = false): CloudShape => ({
  hypervisors: 2,
  networks: 1,
  ports: vms,
  rules: 10,
  spread: 2,
  routed: true,
  dualStack,
});

/** `ip`: the address it is spoken to by, of IPv6 where it has one. */
export type TrafficVm = { place: Place; ip: string; vm: LabVm; endpoint: Endpoint };

export type Arena = {
  /** Who programs it. */
  name: string;
  hypervisors: readonly [LabHypervisor, LabHypervisor];
  web: TrafficVm[];
  db: TrafficVm[];
  /** Of the web tier, on the hypervisor of the db tier. */
  neighbour: TrafficVm;
};

/** Those of the shape, and last the neighbour. */
export function trafficPlaces(shape: CloudShape): Place[] {
  return [...places(shape, 0).ordered, { ...place(shape, 0, 100), host: 1 }];
}

export async function addHypervisors(lab: Lab, prefix: string): Promise<Arena['hypervisors']> {
  return [await lab.addHypervisor(`${prefix}1`), await lab.addHypervisor(`${prefix}2`)];
}

/** Makes the VMs and plugs them, once there is an integration bridge. */
export async function addVms(
  lab: Lab,
  name: string,
  hypervisors: Arena['hypervisors'],
  shape: CloudShape,
): Promise<Arena> {
  const vms: TrafficVm[] = [];
  for (const p of trafficPlaces(shape)) {
    const hypervisor = hypervisors[p.host]!.name;
    const vm = await lab.addVm({
      name: `${hypervisor}-${p.ifaceId}`,
      hypervisor,
      mac: p.mac,
      address: `${p.ip}/24`,
      gateway: tierGateway[p.tier],
      ifaceId: p.ifaceId,
    });
    await vm.plug();
    if (p.ipv6 !== undefined) await giveIpv6(vm, p.ipv6, tierGateway6[p.tier]);
    vms.push({ place: p, ip: p.ipv6 ?? p.ip, vm, endpoint: await openEndpoint(vm, lab.directory) });
  }
  const neighbour = vms.pop()!;
  return {
    name,
    hypervisors,
    web: vms.filter(({ place: { tier } }) => tier === 'web'),
    db: vms.filter(({ place: { tier } }) => tier === 'db'),
    neighbour,
  };
}

/** The namespaces are made without IPv6. Whether somebody else has the address is not what is measured. */
async function giveIpv6(vm: LabVm, ip: string, gateway: string): Promise<void> {
  const script = [
    'for f in all default eth0; do echo 0 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done',
    `ip -6 addr add ${ip}/64 dev eth0 nodad`,
    `ip -6 route add default via ${gateway} dev eth0`,
  ];
  const { status, stderr } = await vm.exec('sh', ['-e'], { input: script.join('\n') });
  if (status !== 0) throw new Error(`IPv6 of ${vm.name}: ${stderr}`);
}

/** Both hypervisors know nothing of what went before: no megaflows, no connections. */
export async function forget({ hypervisors }: Arena): Promise<void> {
  for (const { appctl } of hypervisors) {
    await appctl('dpctl/flush-conntrack');
    await appctl('dpctl/del-flows');
  }
}

/**
 * Megaflows stay for a minute without packets, where it would be 10 s (ovs-vswitchd.conf.db(5), max-idle): on a machine that
 * is busy the first would have gone before the last connection is open.
 */
export async function keepMegaflows({ hypervisors }: Arena): Promise<void> {
  for (const { vsctl } of hypervisors) await vsctl('set', 'Open_vSwitch', '.', 'other_config:max-idle=60000');
}

export async function megaflows({ hypervisors }: Arena): Promise<[Megaflows, Megaflows]> {
  const [first, second] = await Promise.all(hypervisors.map(({ appctl }) => appctl('dpctl/dump-flows')));
  return [parseMegaflows(first!), parseMegaflows(second!)];
}

/**
 * So many connections from VMs of one tier to those of the other, every one to every one, over the ports in turn, kept
 * open; megaflows 2 s after the last.
 */
export async function connectTiers(
  arena: Arena,
  plan: { protocol: 'tcp' | 'udp'; from: 'web' | 'db'; vms: number; ports: readonly number[]; connections: number },
): Promise<{ flows: [Megaflows, Megaflows]; seconds: number }> {
  const clients = arena[plan.from].slice(0, plan.vms);
  const servers = arena[plan.from === 'web' ? 'db' : 'web'].slice(0, plan.vms);
  for (const { endpoint, ip } of servers)
    for (const port of plan.ports) {
      if (plan.protocol === 'tcp') await endpoint.call('listenTcp', { ip, port, set: 'server' });
      else await endpoint.call('listenUdp', { ip, port });
    }
  // What ended before is still saying so.
  await sleep(1_000);
  await forget(arena);
  const pairs = clients.flatMap((client) =>
    servers.flatMap(({ ip }) => plan.ports.map((port) => ({ client, ip, port }))),
  );
  const begin = performance.now();
  let left = plan.connections;
  for (const [i, { client, ip, port }] of pairs.entries()) {
    const count = Math.ceil(left / (pairs.length - i));
    left -= count;
    const connect = plan.protocol === 'tcp' ? 'connectTcp' : 'connectUdp';
    if (count > 0) await client.endpoint.call(connect, { ip, port, count, set: 'client' });
  }
  const seconds = (performance.now() - begin) / 1000;
  await sleep(2_000);
  const flows = await megaflows(arena);
  let open = 0;
  for (const { endpoint } of clients)
    open += (await endpoint.call('report', {})).filter(({ closed }) => !closed).length;
  if (open !== plan.connections) throw new Error(`${arena.name}: ${open} of ${plan.connections} connections are open`);
  for (const { endpoint } of [...clients, ...servers]) await endpoint.call('close', {});
  return { flows, seconds };
}
