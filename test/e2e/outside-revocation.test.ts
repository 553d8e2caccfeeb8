/**
 * A NAT rule that is deleted or changed cuts its connections at once, in both directions and also where only one end speaks;
 * those of every other rule go on, the other tenant's with the same addresses among them. A description cuts nothing.
 */
import { expect } from 'vitest';
import { outside } from '../../src/sandbox/outside.ts';
import {
  clear,
  networkOf,
  type Resource,
  sharedOutsideCloud,
  type Tenant,
  tenants,
  trackedAt,
} from './outside-cloud.ts';
import { openStreams, serveStreams } from './streams.ts';

const run = sharedOutsideCloud();
const { client } = outside;
const second = 1_000;
const each = 4;
/** Answers every datagram with the port it came to. */
const answering = `
for (const port of process.argv.slice(1).map(Number)) {
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', (_, from) => socket.send(String(port), from.port, from.address));
  socket.bind(port);
}
setTimeout(() => process.exit(0), 8000);
`;
/** Sends from one port all the time, and says whose answers came, in their order. */
const asking = `
const [address, port] = process.argv.slice(1);
const socket = require('node:dgram').createSocket('udp4');
const heard = [];
socket.on('message', (said) => { if (heard.at(-1) !== String(said)) heard.push(String(said)); });
socket.bind(5555, () => setInterval(() => socket.send('x', Number(port), address), 50));
setTimeout(() => { console.log(heard.join()); process.exit(0); }, 5000);
`;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const nat = (tenant: Tenant, name: string, spec: object): Resource => ({
  path: `${networkOf(tenant)}/nat-rules/${name}`,
  spec,
});
const gone = (name: string): Resource => ({ path: `${networkOf('acme')}/nat-rules/${name}`, delete: true });
const forward = { type: 'port-forward', publicIp: 'front', port: 'web2' };
const talk = { ...forward, protocol: 'tcp', publicPorts: '7001', privatePorts: '7101' };
const say = { ...forward, protocol: 'udp', publicPorts: '7002', privatePorts: '7102' };

function ordersOf(tenant: Tenant): Resource[] {
  const network = networkOf(tenant);
  const open = (port: string, protocol: string, ports: string[]): Resource => ({
    path: `${network}/rules/${port}-${protocol}`,
    spec: { action: 'allow', priority: 100, from: { any: true }, to: { port }, protocol, ports },
  });
  return [
    { path: `${network}/public-ips/front`, spec: {} },
    { path: `${network}/public-ips/mail`, spec: {} },
    nat(tenant, 'out', { type: 'source', publicIp: 'front' }),
    nat(tenant, 'talk', talk),
    nat(tenant, 'say', say),
    nat(tenant, 'mail', { type: 'static', publicIp: 'mail', port: 'web1' }),
    open('web2', 'tcp', ['7101', '7103']),
    open('web2', 'udp', ['7102']),
    open('web1', 'tcp', ['7201']),
    open('web1', 'udp', ['7202']),
  ];
}

run('rules that go or change take their connections along, and no others', async (cloud) => {
  const { lab, vms, apply, client: outsider, gateways } = cloud;
  await apply(tenants.flatMap(ordersOf));
  const addressOf = async (tenant: Tenant, name: string): Promise<string> =>
    ((await lab.admin('GET', `/v1/${networkOf(tenant)}/public-ips/${name}`)) as { address: string }).address;
  const servers = {
    outsider: await serveStreams(lab, outsider, ['tcp:7301', 'udp:7302']),
    acme2: await serveStreams(lab, vms.acme.web2, ['tcp:7101', 'udp:7102']),
    acme1: await serveStreams(lab, vms.acme.web1, ['tcp:7201', 'udp:7202']),
    umbrella2: await serveStreams(lab, vms.umbrella.web2, ['tcp:7101', 'udp:7102']),
  };
  await vms.acme.web2.serve(7103, 'changed');
  const fronts = { acme: await addressOf('acme', 'front'), umbrella: await addressOf('umbrella', 'front') };
  const mail = await addressOf('acme', 'mail');
  const out = { tcp: [7301], udp: [7302], each, pings: 0 };
  const opened = await Promise.all([
    openStreams(lab, vms.acme.web2, client.address, out),
    openStreams(lab, vms.umbrella.web2, client.address, out),
    openStreams(lab, outsider, fronts.acme, { tcp: [7001], udp: [7002], each, pings: 0 }),
    openStreams(lab, outsider, fronts.umbrella, { tcp: [7001], udp: [7002], each, pings: 0 }),
    openStreams(lab, outsider, mail, { tcp: [7201], udp: [7202], each, pings: 0 }),
  ]);

  /** When the change was asked for; what it cuts is silent a second later. */
  const asked: Record<string, number> = {};
  const cut = async (what: string, ...resources: Resource[]): Promise<void> => {
    await pause(700);
    asked[what] = Date.now();
    await apply(resources);
  };
  await cut('nothing', nat('acme', 'talk', { ...talk, description: 'the same' }));
  // First, as a server that goes on sending would otherwise have a way out of its own.
  await cut('out', nat('acme', 'out', { type: 'source', publicIp: 'front', tiers: ['db'] }));
  await cut('say', gone('say'));

  /** Labels of connections through the forwarded port: the rule's id, and its epoch above. */
  const labels = async (): Promise<bigint[]> => {
    const entries = (await Promise.all(gateways.map((g) => trackedAt(g, fronts.acme)))).flat();
    const forwarded = entries.filter(
      ({ text }) => text.startsWith('tcp,') && / ?dport=7001\b/.test(text.replace(/,/g, ' ')),
    );
    return [...new Set(forwarded.map(({ label }) => BigInt(label)))];
  };
  const before = await labels();
  expect(before).toHaveLength(1);
  await cut('talk', nat('acme', 'talk', { ...talk, privatePorts: '7103' }));
  expect(await outsider.tcp(fronts.acme, 7001)).toEqual({ answer: 'changed' });
  const after = (await labels()).filter((label) => label !== before[0]);
  expect(after.map((label) => label & 0xffff_ffffn)).toEqual([before[0]! & 0xffff_ffffn]);

  await cut('mail', gone('mail'));
  await pause(second);
  // To the public address it has, and from it, there is nothing left.
  expect(await outsider.tcp(mail, 7201, { patience: second })).toEqual({ failure: 'timeout' });

  const ended = Date.now();
  const arrived = await Promise.all(opened.map((streams) => streams.stop()));
  const [acmeOut, umbrellaOut, acmeIn, umbrellaIn, acmeMail] = arrived;
  const served = {
    outsider: await servers.outsider.stop(),
    acme2: await servers.acme2.stop(),
    acme1: await servers.acme1.stop(),
    umbrella2: await servers.umbrella2.stop(),
  };
  const of = <T extends { kind: string }>(list: T[] | undefined, kind: string): T[] => {
    const found = (list ?? []).filter((one) => one.kind === kind);
    expect(found.length).toBeGreaterThanOrEqual(each);
    return found;
  };
  const isCut = (what: string, list: { received: number; last: number }[]): void => {
    const wrong = list.filter(({ received, last }) => received === 0 || last > asked[what]! + second);
    expect(wrong, `${what}, asked at ${asked[what]}`).toEqual([]);
    // Not before, either.
    expect(Math.max(...list.map(({ last }) => last)), what).toBeGreaterThan(asked[what]! - 500);
  };
  const goesOn = (list: { last: number; longestGap: number; broken?: string | undefined }[]): void => {
    const wrong = list.filter((s) => s.broken !== undefined || s.last < ended - 500 || s.longestGap > second);
    expect(wrong, `ended at ${ended}`).toEqual([]);
  };
  isCut('say', of(acmeIn, 'udp'));
  isCut('talk', [...of(acmeIn, 'tcp'), ...of(served.acme2, 'tcp')]);
  isCut('out', acmeOut!);
  isCut('mail', [...acmeMail!, ...of(served.acme1, 'tcp')]);
  goesOn(umbrellaOut!);
  goesOn(umbrellaIn!);
  goesOn(of(served.umbrella2, 'tcp'));
});

run('who goes on sending from the same port gets what the rule says now', async (cloud) => {
  const { lab, vms, apply, client: outsider } = cloud;
  await clear(cloud);
  await apply(tenants.flatMap(ordersOf));
  const ends = Promise.all(tenants.map((t) => vms[t].web2.exec(process.execPath, ['-e', answering, '7102', '7104'])));
  const addresses = await Promise.all(
    tenants.map(async (tenant) => {
      const path = `/v1/${networkOf(tenant)}/public-ips/front`;
      await apply([
        {
          path: `${networkOf(tenant)}/rules/other`,
          spec: {
            action: 'allow',
            priority: 100,
            from: { any: true },
            to: { port: 'web2' },
            protocol: 'udp',
            ports: ['7104'],
          },
        },
      ]);
      return ((await lab.admin('GET', path)) as { address: string }).address;
    }),
  );
  const asked = outsider.exec(process.execPath, ['-e', asking, addresses[0]!, '7002']);
  await pause(2_000);
  await apply([nat('acme', 'say', { ...say, privatePorts: '7104' })]);
  expect((await asked).stdout.trim()).toBe('7102,7104');
  await ends;
});
