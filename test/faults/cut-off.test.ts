/** The management network is cut under traffic: nothing closes, nothing answers; packets go on and orders catch up. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ipOf, openCloud } from '../e2e/cloud.ts';
import { inSync } from './cloud-state.ts';
import { flowTable, touched } from './flow-table.ts';
import { startPing } from './traffic.ts';

/** KEYWAY_FAULTS=long: until both ends have given their sessions up. */
const long = process.env.KEYWAY_FAULTS === 'long';
const outage = long ? 150_000 : 2_500;

test(`management network cut for ${outage / 1000} s while orders change`, async (context) => {
  await using cloud = await openCloud(context);
  const { lab, hv1, hv2, acme } = cloud;
  await inSync(lab, [hv1, hv2]);
  const before = flowTable(await hv2.ofctl('dump-flows'));
  const ping = await startPing(lab, acme.web1, ipOf('web2'));
  await hv2.setManagementLink('down');
  await lab.admin('PUT', '/v1/tenants/acme/networks/shop/rules/late', {
    action: 'allow',
    priority: 7,
    from: { tier: 'web' },
    to: { port: 'web2' },
    protocol: 'tcp',
    ports: ['8080'],
  });
  await sleep(outage);
  // hv1 has it, hv2 cannot.
  await inSync(lab, [hv1]);
  expect(touched(before, flowTable(await hv2.ofctl('dump-flows')))).toEqual([]);
  await hv2.setManagementLink('up');
  const up = performance.now();
  const came = async () => touched(before, flowTable(await hv2.ofctl('dump-flows')));
  await expect.poll(async () => (await came()).length, { timeout: 90_000, interval: 20 }).toBeGreaterThan(0);
  const back = performance.now() - up;
  await inSync(lab, [hv1, hv2]);
  for (const what of await came()) expect(what).toMatch(/^came: (.*tp_dst=8080|table=85 )/);
  console.log(
    `management network cut for ${outage / 1000} s: orders caught up ${Math.round(back)} ms after it was back`,
  );
  // One of some hundreds was seen to go where other work had both cores, and none otherwise: no gap is what is held here.
  expect((await ping.stop()).lost.length).toBeLessThanOrEqual(1);
}, 400_000);
