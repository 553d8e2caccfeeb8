/**
 * One of two gateways goes, with no controller running: switches take the other by themselves, long before anybody's neighbour
 * entry ages; TCP connections go on, new ones are made; and back again. How many pings are lost is told here and held against
 * what is promised in bench/outside.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { outside } from '../../src/sandbox/outside.ts';
import { pingThrough } from '../../src/sandbox/pings.ts';
import type { LabHypervisor } from '../support/lab.ts';
import {
  networkOf,
  type OutsideCloud,
  type Resource,
  sharedOutsideCloud,
  tenants,
  trackedAt,
} from './outside-cloud.ts';
import { openStreams, serveStreams } from './streams.ts';

const run = sharedOutsideCloud();
const { client } = outside;
const mirror = 8000;

/** Milliseconds, on a machine that is busy with other tests. */
const patience = 2_000;

type Addresses = Record<(typeof tenants)[number], string>;
let at: Addresses;

/** Each tenant's one address: source NAT, and two forwarded ports. */
async function order({ apply, lab, client: outsider }: OutsideCloud): Promise<Addresses> {
  await outsider.serve(mirror, '$SOCAT_PEERADDR');
  await apply(
    tenants.flatMap((t): Resource[] => {
      const network = networkOf(t);
      const forward = { type: 'port-forward', publicIp: 'front', port: 'web2', protocol: 'tcp' };
      const rule = { action: 'allow', priority: 100, from: { any: true }, to: { port: 'web2' }, protocol: 'tcp' };
      return [
        { path: `${network}/public-ips/front`, spec: {} },
        { path: `${network}/nat-rules/out`, spec: { type: 'source', publicIp: 'front' } },
        { path: `${network}/nat-rules/in`, spec: { ...forward, publicPorts: '80', privatePorts: '8080' } },
        { path: `${network}/nat-rules/talk`, spec: { ...forward, publicPorts: '7001', privatePorts: '7101' } },
        { path: `${network}/rules/in`, spec: { ...rule, ports: ['8080', '7101'] } },
      ];
    }),
  );
  const of = async (t: string) =>
    ((await lab.admin('GET', `/v1/tenants/${t}/networks/shop/public-ips/front`)) as { address: string }).address;
  return { acme: await of('acme'), umbrella: await of('umbrella') };
}

/** The gateway that has the NAT state of acme's connections, and the other one. */
async function roles({ gateways, vms }: OutsideCloud): Promise<{ first: LabHypervisor; second: LabHypervisor }> {
  for (const gateway of gateways) await gateway.appctl('dpctl/flush-conntrack');
  expect(await vms.acme.web1.tcp(client.address, mirror)).toEqual({ answer: at.acme });
  const [one, other] = gateways;
  const known = await Promise.all(gateways.map(async (g) => (await trackedAt(g, at.acme)).length > 0));
  expect(known.filter(Boolean)).toHaveLength(1);
  return known[0] === true ? { first: one, second: other } : { first: other, second: one };
}

/**
 * A session begins with an interval of a second (RFC 5880 section 6.8.3), and agrees on what is configured once it is up: a
 * gateway that dies before is noticed later.
 */
async function bfdSettled({ lab, gateways }: OutsideCloud): Promise<void> {
  const fast = async (hypervisor: LabHypervisor, least: number): Promise<boolean> => {
    const sessions = (await hypervisor.appctl('bfd/show')).split(/^---- /m).slice(1);
    const ready = sessions.filter((s) => /Forwarding: true/.test(s) && /RX Interval: Approx 100ms/.test(s));
    return ready.length >= least;
  };
  for (const hypervisor of lab.hypervisors) {
    const least = gateways.some(({ name }) => name === hypervisor.name) ? 1 : gateways.length;
    await until(`fast BFD of ${hypervisor.name}`, () => fast(hypervisor, least), 20_000);
  }
}

/** New connections of both tenants, out and in. */
async function expectOpen({ vms, client: outsider }: OutsideCloud): Promise<void> {
  for (const t of tenants) {
    const [out, into] = await Promise.all([vms[t].web1.tcp(client.address, mirror), outsider.tcp(at[t], 80)]);
    expect([out, into]).toEqual([{ answer: at[t] }, { answer: `${t}-web2` }]);
  }
}

/** Pings of both tenants, and TCP connections in both directions, while the change is made. */
async function through(cloud: OutsideCloud, change: () => Promise<unknown>): Promise<void> {
  const { lab, vms, client: outsider } = cloud;
  const servers = await Promise.all([
    serveStreams(lab, outsider, ['tcp:7001']),
    ...tenants.map((t) => serveStreams(lab, vms[t].web2, ['tcp:7101'])),
  ]);
  const tcp = { tcp: [7001], each: 10, pings: 0 };
  const streams = await Promise.all([
    ...tenants.map((t) => openStreams(lab, vms[t].web1, client.address, tcp)),
    ...tenants.map((t) => openStreams(lab, outsider, at[t], tcp)),
  ]);
  let changed: Promise<unknown> | undefined;
  const once = () => {
    changed ??= change();
    return changed;
  };
  const losses = await Promise.all(tenants.map((t) => pingThrough(vms[t].web1, client.address, once)));
  console.log(`lost: ${JSON.stringify(losses)}`);
  await expectOpen(cloud);
  const ended = Date.now();
  const all = (await Promise.all(streams.map((s) => s.stop()))).flat();
  await Promise.all(servers.map((s) => s.stop()));
  for (const { lost, interval } of losses) expect(lost * interval).toBeLessThanOrEqual(patience);
  const stopped = all.filter((s) => s.broken !== undefined || s.last < ended - 500);
  expect(stopped, `${stopped.length} of ${all.length}, ended at ${ended}`).toEqual([]);
}

run(
  'the switch of the gateway in charge is killed, and comes back with no controller: nobody takes it before it has flows',
  async (cloud) => {
    at = await order(cloud);
    for (const t of tenants) await cloud.vms[t].web2.serve(8080, `${t}-web2`);
    await expectOpen(cloud);
    const { first, second } = await roles(cloud);
    await bfdSettled(cloud);
    await cloud.lab.killController();
    await through(cloud, async () => {
      await first.kill('ovs-vswitchd');
      await first.start('ovs-vswitchd');
      // Long enough for BFD to be up again, which begins at an interval of a second.
      await sleep(4_000);
    });
    expect(await first.ofctl('dump-flows')).not.toContain('cookie');
    expect((await trackedAt(second, at.acme)).length).toBeGreaterThan(0);
    await through(cloud, () => cloud.lab.startController());
    await expect.poll(async () => (await roles(cloud)).first.name, { timeout: 10_000 }).toBe(first.name);
    await expectOpen(cloud);
  },
);

run('all wires of the gateway in charge are cut, and joined again', async (cloud) => {
  const { first, second } = await roles(cloud);
  await bfdSettled(cloud);
  await cloud.lab.killController();
  await through(cloud, () => first.setLinks('down'));
  expect((await trackedAt(second, at.acme)).length).toBeGreaterThan(0);
  await through(cloud, () => first.setLinks('up'));
  expect((await roles(cloud)).first.name).toBe(first.name);
  await cloud.lab.startController();
  await expectOpen(cloud);
});
