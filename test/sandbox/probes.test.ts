import { expect, test } from 'vitest';
import { findDhcpClient } from '../../src/sandbox/dhcp-client.ts';
import { failOverBeforeEyes } from '../../src/sandbox/failover.ts';
import type { LabMachine } from '../../src/sandbox/lab-host.ts';
import type { LabVm } from '../../src/sandbox/lab-vm.ts';
import { takeLease } from '../../src/sandbox/lease.ts';
import { outside } from '../../src/sandbox/outside.ts';
import { runProbes } from '../../src/sandbox/probes.ts';
import { probeSummary, probeTable } from '../../src/sandbox/show.ts';
import { ipOf, macOf, type Probe, prefixLength, probes, servedPorts, vms } from '../../src/sandbox/story.ts';
import { mirrorPort, outsideProbes, publicAddress } from '../../src/sandbox/story-outside.ts';
import { type Lab, type LabHypervisor, openLabOrSkip } from '../support/lab.ts';
import { makeBridge } from './static-lab.ts';

const patience = { positive: 3_000, least: 1_000, most: 1_000 };
const plain = { good: String, bad: String, dim: String, bold: String };
const positive = ({ expected }: Probe): boolean => expected !== 'nothing';
const inWeb = (name: string): boolean => name.startsWith('acme/web');
// One tenant's: two with the same MACs on one learning switch would have nothing to expect. And of one tier: nothing routes here.
const ofAcme = probes.filter((probe: Probe) => inWeb(probe.from) && inWeb(probe.to));

test('where nothing is refused, every probe that should see nothing says so; where everything is, every other one', async (context) => {
  await using lab = await openLabOrSkip(context);
  const hypervisor = await lab.addHypervisor('hv1');
  await makeBridge(hypervisor);
  const built = new Map<string, LabVm>();
  for (const described of vms) {
    const { tenant, name } = described;
    const label = `${tenant}/${name}`;
    if (!inWeb(label)) continue;
    const [mac, address] = [macOf(described), `${ipOf(described)}/${prefixLength}`];
    const vm = await lab.addVm({ name, hypervisor: 'hv1', mac, address, ifaceId: name });
    await vm.plug();
    for (const port of servedPorts) await vm.serve(port, label);
    built.set(label, vm);
  }
  expect(ofAcme.filter(({ expected }) => expected === 'nothing').length).toBeGreaterThan(4);

  await hypervisor.ofctl('add-flow', 'actions=normal');
  const open = await runProbes(ofAcme, built, patience);
  expect(open.filter(({ ok }) => ok).map(({ probe }) => probe)).toEqual(
    ofAcme.filter(({ expected }) => expected !== 'nothing'),
  );
  expect(probeSummary(open)).toMatch(/NOT go as expected/);
  const table = probeTable(open, plain).split('\n');
  expect(table).toHaveLength(ofAcme.length + 1);
  expect(table.filter((line) => line.includes(' NOT '))).toHaveLength(open.filter(({ ok }) => !ok).length);

  await hypervisor.ofctl('del-flows');
  const closed = await runProbes(ofAcme, built, patience);
  expect(closed.filter(({ ok }) => ok).map(({ probe }) => probe)).toEqual(
    ofAcme.filter(({ expected }) => expected === 'nothing'),
  );
}, 60_000);

const ofAcmeOutside = outsideProbes.filter(({ from, to }) => ![from, to].some((end) => end.startsWith('umbrella')));

/**
 * One wire for all, inside and outside: the public address is web1's own, and everybody knows that the others are on the wire.
 */
async function everybodyOnOneWire(lab: Lab, hypervisor: LabHypervisor): Promise<Map<string, LabMachine>> {
  const machines = new Map<string, LabMachine>();
  const { address, prefixLength: length } = outside.client;
  const plug = async (label: string, mac: string, own: string, setUp: string[]): Promise<void> => {
    const name = label.replace('/', '-');
    const vm = await lab.addVm({ name, hypervisor: hypervisor.name, mac, address: own, ifaceId: name });
    await vm.plug();
    const { status, stderr } = await vm.exec('sh', ['-ec', setUp.join('\n')]);
    expect(status, stderr).toBe(0);
    machines.set(label, vm);
  };
  for (const described of vms) {
    const { tenant, name } = described;
    const label = `${tenant}/${name}`;
    if (!['acme/web1', 'acme/web2', 'acme/db1'].includes(label)) continue;
    const published = name === 'web1';
    await plug(label, macOf(described), `${ipOf(described)}/${prefixLength}`, [
      ...(published ? [`ip addr add ${publicAddress.acme}/32 dev eth0`] : []),
      `ip route add ${address}/32 dev eth0${published ? ` src ${publicAddress.acme}` : ''}`,
      `${published ? 'true' : `ip route add ${publicAddress.acme}/32 dev eth0`}`,
    ]);
    for (const port of servedPorts) await machines.get(label)!.serve(port, label);
  }
  const routes = [`${publicAddress.acme}/32`, '10.0.0.0/16'].map((to) => `ip route add ${to} dev eth0`);
  await plug('client', '02:00:00:00:09:10', `${address}/${length}`, routes);
  await machines.get('client')!.serve(mirrorPort, '$SOCAT_PEERADDR');
  return machines;
}

test('the same of the probes of what is outside; a lease that nobody gives and a gateway that nobody replaces are told', async (context) => {
  await using lab = await openLabOrSkip(context);
  const [hypervisor, other] = [await lab.addHypervisor('hv1'), await lab.addHypervisor('hv2')];
  await makeBridge(hypervisor);
  const machines = await everybodyOnOneWire(lab, hypervisor);
  expect(ofAcmeOutside.filter((probe) => !positive(probe)).length).toBeGreaterThan(3);

  await hypervisor.ofctl('add-flow', 'priority=1,actions=normal');
  const open = await runProbes(ofAcmeOutside, machines, patience);
  expect(open.filter(({ ok }) => ok).map(({ probe }) => probe)).toEqual(ofAcmeOutside.filter(positive));

  await hypervisor.ofctl('del-flows');
  const closed = await runProbes(ofAcmeOutside, machines, patience);
  const negative = ofAcmeOutside.filter((probe) => !positive(probe));
  expect(closed.filter(({ ok }) => ok).map(({ probe }) => probe)).toEqual(negative);

  const client = await findDhcpClient();
  if ('unavailable' in client) console.log(`no DHCP client: ${client.unavailable}`);
  else {
    const asked = await takeLease(machines.get('acme/web2')!, client, lab.directory, '10.0.1.12', 1_000);
    expect(asked).toMatchObject({ ok: false, wanted: '10.0.1.12' });
  }

  await hypervisor.ofctl('add-flow', 'priority=1,actions=normal');
  await hypervisor.ofctl('add-flow', 'priority=2,ip,actions=ct(commit,zone=1),normal');
  const gateways = [hypervisor, other];
  const failed = await failOverBeforeEyes(
    gateways,
    machines.get('acme/web1')!,
    outside.client.address,
    publicAddress.acme,
  );
  expect(failed).toMatchObject({ gateway: 'hv1', secondHasIt: false, ok: false });
  expect(failed.milliseconds).toBeGreaterThan(500);
}, 60_000);
