/** The disk is full, really: writes are refused whole, packets and flows go on, and so do writes once there is room. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { ipOf, openCloud } from '../e2e/cloud.ts';
import type { Lab } from '../support/lab.ts';
import { inSync } from './cloud-state.ts';
import { flowTable, touched } from './flow-table.ts';
import { startPing } from './traffic.ts';

const spare = 'tenants/acme/networks/spare';
const late = 'tenants/acme/networks/shop/ports/late';

/** Puts the controller's store on a file system of its own, 16 MB large. */
async function moveStore(lab: Lab): Promise<string> {
  const store = join(lab.directory, 'controller', 'store');
  const script = `set -e
    cp -a "$1" "$1.before"
    mount -t tmpfs -o size=16m,mode=700 tmpfs "$1"
    cp -a "$1.before/." "$1"`;
  const { status, stderr } = await lab.exec('sh', ['-c', script, 'sh', store]);
  if (status !== 0) throw new Error(stderr);
  return store;
}

test('a full disk under writes', async (context) => {
  await using cloud = await openCloud(context);
  const { lab, hv1, hv2, acme } = cloud;
  await lab.killController('SIGTERM');
  const store = await moveStore(lab);
  await lab.startController();
  await inSync(lab, [hv1, hv2]);
  await cloud.apply([
    // A network without ports: what is written there changes no flow.
    { path: spare, spec: { offering: 'basic', cidr: '10.9.0.0/16' } },
    { path: late, spec: { tier: 'web', mac: '02:00:00:00:01:19', ips: ['10.0.1.19'], ifaceId: 'late' } },
  ]);
  const lateVm = await lab.addVm({
    name: 'late',
    hypervisor: 'hv1',
    mac: '02:00:00:00:01:19',
    address: '10.0.1.19/24',
    ifaceId: 'late',
  });

  const hypervisors = [hv1, hv2];
  const dump = () => Promise.all(hypervisors.map(async (hv) => flowTable(await hv.ofctl('dump-flows'))));
  let before = await dump();
  const ping = await startPing(lab, acme.web1, ipOf('web2'));

  const accepted = new Set<string>();
  const refused = new Set<string>();
  let next = 0;
  /** Eight at a time, as an orchestrator would; one in four is an apply of three at once. */
  const write = async (): Promise<void> => {
    const outcomes = Array.from({ length: 8 }, async (_, i) => {
      const rules = Array.from({ length: i % 4 === 0 ? 3 : 1 }, () => `${spare}/rules/r${++next}`);
      const spec = {
        action: 'allow',
        priority: 1,
        from: { any: true },
        to: { any: true },
        protocol: 'tcp',
        ports: ['1'],
      };
      const answer =
        rules.length === 1
          ? await lab.api('PUT', `/v1/${rules[0]}`, spec)
          : await lab.api('POST', '/v1/apply', { resources: rules.map((path) => ({ path, spec })) });
      const good = answer.status === 200 || answer.status === 201;
      if (!good)
        expect({ status: answer.status, code: (answer.body as { code: string }).code }).toEqual({
          status: 503,
          code: 'store.unavailable',
        });
      for (const rule of rules) (good ? accepted : refused).add(rule);
    });
    await Promise.all(outcomes);
  };
  /** What is there of what was asked for, all or nothing. */
  const judge = async (): Promise<void> => {
    const answer = (await lab.admin('GET', `/v1/${spare}/rules?limit=1000`)) as { items: { name: string }[] };
    const there = new Set(answer.items.map(({ name }) => `${spare}/rules/${name}`));
    expect([...accepted].filter((rule) => !there.has(rule))).toEqual([]);
    expect([...refused].filter((rule) => there.has(rule))).toEqual([]);
  };

  await write();
  expect(refused.size).toBe(0);
  for (let round = 0; round < 2; round++) {
    const full = await lab.exec('sh', [
      '-c',
      'dd if=/dev/zero of="$1/fill" bs=4k 2>&1; df "$1" | tail -1',
      'sh',
      store,
    ]);
    expect(full.stdout).toContain('No space left');
    const refusedBefore = refused.size;
    const deadline = performance.now() + 10_000;
    while (refused.size < refusedBefore + 30 && performance.now() < deadline) await write();
    expect(refused.size).toBeGreaterThanOrEqual(refusedBefore + 30);
    await judge();
    // Nobody but the store is concerned: the API reads, the switches are connected.
    await inSync(lab, hypervisors);
    // A VM that comes now waits: the conntrack zone its flows would use cannot be made durable.
    if (round === 0) {
      await lateVm.plug();
      await sleep(500);
      expect(((await lab.admin('GET', `/v1/${late}`)) as { binding: unknown }).binding).toBeNull();
    }
    const back = performance.now();
    await lab.exec('rm', [join(store, 'fill')]);
    const acceptedBefore = accepted.size;
    await until(
      'writes to be taken again',
      async () => {
        await write();
        return accepted.size > acceptedBefore;
      },
      10_000,
      50,
    );
    console.log(
      `disk full: ${refused.size} refused; writes again ${Math.round(performance.now() - back)} ms after there was room`,
    );
    await judge();
    if (round === 0) {
      await lab.portReady(late);
      expect(await lateVm.ping(ipOf('web2'))).toBe(true);
      const after = await dump();
      for (const [i, was] of before.entries())
        expect(touched(was, after[i]!).filter((what) => !what.startsWith('came: '))).toEqual([]);
      before = after;
    }
    // What was refused may have reached the log all the same; it must not come back.
    await lab.killController();
    await lab.startController();
    await inSync(lab, hypervisors);
    await judge();
  }
  await sleep(200);
  const after = await dump();
  for (const [i, was] of before.entries()) expect(touched(was, after[i]!)).toEqual([]);
  // One of some hundreds was seen to go where other work had both cores, and none otherwise: no gap is what is held here.
  expect((await ping.stop()).lost.length).toBeLessThanOrEqual(1);
}, 90_000);
