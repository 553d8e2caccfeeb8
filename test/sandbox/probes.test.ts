import { expect, test } from 'vitest';
import type { LabVm } from '../../src/sandbox/lab-vm.ts';
import { runProbes } from '../../src/sandbox/probes.ts';
import { probeSummary, probeTable } from '../../src/sandbox/show.ts';
import { ipOf, macOf, type Probe, prefixLength, probes, servedPorts, vms } from '../../src/sandbox/story.ts';
import { openLabOrSkip } from '../support/lab.ts';
import { makeBridge } from './static-lab.ts';

const patience = { positive: 3_000, least: 1_000, most: 1_000 };
const plain = { good: String, bad: String, dim: String, bold: String };
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
