/** Rates of ports, with real packets: what arrives is what was ordered, to a fifth. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type LabVm, openLabOrSkip } from '../support/lab.ts';

const network = 'tenants/acme/networks/shop';
const port = (name: string, last: number, qos?: object) => ({
  path: `${network}/ports/${name}`,
  spec: {
    tier: 'web',
    mac: `02:00:00:00:01:${last}`,
    ips: [`10.0.1.${last}`],
    ifaceId: name,
    ...(qos === undefined ? {} : { qos }),
  },
});

const orders = [
  { path: 'tenants/acme', spec: {} },
  { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
  { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
  port('web1', 11),
  port('web2', 12),
  ...['udp', 'icmp'].map((protocol) => ({
    path: `${network}/rules/${protocol}`,
    spec: { action: 'allow', priority: 100, from: { any: true }, to: { tier: 'web' }, protocol },
  })),
];

/** Sends 1,200 bytes at a time, `mbps` megabits a second for `seconds`. */
const sender = `
const [to, mbps, seconds] = process.argv.slice(1);
const socket = require('node:dgram').createSocket('udp4');
const bytes = Buffer.alloc(1200);
const start = performance.now();
let sent = 0;
const timer = setInterval(() => {
  const due = ((performance.now() - start) / 1000) * mbps * 1e6 / (1242 * 8);
  for (; sent < due; sent++) socket.send(bytes, 9, to);
  if (performance.now() - start > seconds * 1000) { clearInterval(timer); socket.close(); }
}, 2);
`;

async function received(vm: LabVm): Promise<number> {
  const { stdout } = await vm.exec('ip', ['-s', '-j', 'link', 'show', 'eth0']);
  const [link] = JSON.parse(stdout) as { stats64: { rx: { bytes: number } } }[];
  return link!.stats64.rx.bytes;
}

/** Megabits a second that arrive, once the burst is over. */
async function rate(from: LabVm, to: LabVm, ip: string): Promise<number> {
  const sending = from.exec(process.execPath, ['-e', sender, ip, '20', '3.5'], { timeout: 20_000 });
  await sleep(1_200);
  const [before, start] = [await received(to), performance.now()];
  await sleep(2_000);
  const [after, end] = [await received(to), performance.now()];
  const outcome = await sending;
  if (outcome.status !== 0) throw new Error(`${outcome.status} ${outcome.stderr}`);
  return ((after - before) * 8) / ((end - start) * 1000);
}

test('a port sends and receives at the rates ordered, and its packets carry the DSCP ordered', async (context) => {
  await using lab = await openLabOrSkip(context);
  await lab.startController();
  const hv1 = await lab.addHypervisor('hv1');
  await lab.join(hv1);
  await lab.admin('POST', '/v1/apply', { resources: orders, wait: 'programmed', timeout: '20s' });
  const vm = async (name: string, last: number): Promise<LabVm> => {
    const made = await lab.addVm({
      name,
      hypervisor: 'hv1',
      mac: `02:00:00:00:01:${last}`,
      address: `10.0.1.${last}/24`,
      ifaceId: name,
    });
    await made.plug();
    await lab.portReady(`${network}/ports/${name}`);
    return made;
  };
  const web1 = await vm('web1', 11);
  const web2 = await vm('web2', 12);
  const order = async (...ports: object[]): Promise<void> => {
    await lab.admin('POST', '/v1/apply', { resources: ports, wait: 'programmed', timeout: '20s' });
  };
  expect(await web1.ping('10.0.1.12')).toBe(true);
  expect(await rate(web1, web2, '10.0.1.12')).toBeGreaterThan(15);

  await order(port('web1', 11, { fromVm: { rateKbps: 4_000 }, dscp: 46 }));
  const fromVm = await rate(web1, web2, '10.0.1.12');
  expect(fromVm).toBeGreaterThan(3.2);
  expect(fromVm).toBeLessThan(4.8);
  const capture = await web2.capture();
  expect(await web1.ping('10.0.1.12')).toBe(true);
  const marked = (await capture.frames()).filter(({ hex }) => hex.slice(24, 28) === '0800');
  // DSCP is the upper six bits of the second byte of the IP header.
  expect(new Set(marked.map(({ hex }) => hex.slice(30, 32)))).toEqual(new Set(['b8']));

  await order(port('web1', 11), port('web2', 12, { toVm: { rateKbps: 8_000, burstKb: 800 } }));
  const toVm = await rate(web1, web2, '10.0.1.12');
  expect(toVm).toBeGreaterThan(6.4);
  expect(toVm).toBeLessThan(9.6);
  // The other way nothing was ordered.
  expect(await rate(web2, web1, '10.0.1.11')).toBeGreaterThan(15);

  await order(port('web2', 12));
  expect(await rate(web1, web2, '10.0.1.12')).toBeGreaterThan(15);
}, 120_000);
