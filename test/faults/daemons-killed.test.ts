/** The daemons of a hypervisor die and are started at once, as their supervisor would: how long its VMs are cut off. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Cloud, ipOf, openCloud } from '../e2e/cloud.ts';
import { inSync } from './cloud-state.ts';
import { type FlowTable, flowTable, touched } from './flow-table.ts';
import { type PingReport, pingInterval, startPing, startPush } from './traffic.ts';

/** Milliseconds. Far more than it takes on an idle machine: the figures are in the output. */
const generous = 10_000;

const web2 = '/v1/tenants/acme/networks/shop/ports/web2';

/** Kills and starts again on hv2, while web1 on hv1 pings web2 there and downloads from it. */
async function whileInUse(cloud: Cloud, what: string, killAndStart: () => Promise<void>): Promise<PingReport> {
  const { lab, hv1, hv2, acme } = cloud;
  const flows = async () => [...flowTable(await hv2.ofctl('dump-flows')).keys()].sort();
  const binding = async () => ((await lab.admin('GET', web2)) as { binding: unknown }).binding;
  const [before, bound] = [await flows(), await binding()];
  const neighbour = flowTable(await hv1.ofctl('dump-flows'));
  const ping = await startPing(lab, acme.web1, ipOf('web2'));
  const push = await startPush(lab, acme.web2, acme.web1, ipOf('web2'), 80);
  const killed = performance.now();
  await killAndStart();
  const up = performance.now();
  await expect.poll(flows, { timeout: generous, interval: 10 }).toEqual(before);
  const back = performance.now();
  await inSync(lab, [hv1, hv2]);
  await sleep(1_000);
  const [pings, pushed] = [await ping.stop(), await push.stop()];
  const cutOff = pings.longestRun * pingInterval;
  console.log(
    `${what}: ${pings.lost.length} pings lost, cut off for ${cutOff} ms (${Math.round(cutOff / 10)} of 100 per ` +
      `second); daemons up after ${Math.round(up - killed)} ms, flows complete after ${Math.round(back - killed)} ms; ` +
      `the download ${pushed.broken ?? `stood still for ${Math.round(pushed.longestGap)} ms`}`,
  );
  expect(cutOff).toBeLessThan(generous);
  expect(pushed).toMatchObject({ inOrder: true });
  expect(pushed.broken).toBeUndefined();
  expect(pushed.longestGap).toBeLessThan(generous);
  // Nobody moved: the port is what it was, zone included, and the other hypervisor has nothing to learn.
  expect(await binding()).toEqual(bound);
  expect(await flows()).toEqual(before);
  expect(touched(neighbour, flowTable(await hv1.ofctl('dump-flows')))).toEqual([]);
  return pings;
}

test('ovs-vswitchd, ovsdb-server, and both at once', async (context) => {
  await using cloud = await openCloud(context);
  const { lab, hv1, hv2 } = cloud;
  await inSync(lab, [hv1, hv2]);

  const switchKilled = await whileInUse(cloud, 'ovs-vswitchd killed', async () => {
    await hv2.kill('ovs-vswitchd');
    await hv2.start('ovs-vswitchd');
  });
  // It carries the packets, so that this measures what it says.
  expect(switchKilled.lost.length).toBeGreaterThan(0);

  // Without its database Open vSwitch's userspace datapath stands still, with a controller or without: bridge_run() waits
  // for the database's lock before it looks at packets. Flows are what we answer for.
  let before: FlowTable = new Map();
  await whileInUse(cloud, 'ovsdb-server killed', async () => {
    before = flowTable(await hv2.ofctl('dump-flows'));
    await hv2.kill('ovsdb-server');
    await sleep(500);
    await hv2.start('ovsdb-server');
    // It calls in again, and what changes on the hypervisor is seen and answered.
    await hv2.vsctl('set', 'Bridge', 'br-int', 'fail_mode=standalone');
    await hv2.vsctl('wait-until', 'Bridge', 'br-int', 'fail_mode=secure');
  });
  expect(touched(before, flowTable(await hv2.ofctl('dump-flows')))).toEqual([]);

  await whileInUse(cloud, 'both killed', async () => {
    await Promise.all([hv2.kill('ovs-vswitchd'), hv2.kill('ovsdb-server')]);
    await hv2.start('ovsdb-server');
    await hv2.start('ovs-vswitchd');
  });
}, 90_000);
