/** Real IPv6 packets, with Linux's own Neighbour Discovery against the flows, and without the controller. */
import { expect, test } from 'vitest';
import type { LabVm } from '../support/lab.ts';
import { icmp6Frame } from './frames.ts';
import { gateway6Of, giveIpv6, ip6Of, macOf, openRoutedCloud } from './routed-cloud.ts';

const refused = { patience: 1_200 };
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** One connection over IPv6 to the port: the line that was answered, '' for none. */
async function tcp6(vm: LabVm, ip: string, port: number): Promise<string> {
  const address = `TCP6:[${ip}]:${port},connect-timeout=2`;
  return (await vm.exec('socat', ['-u', '-T', '2', address, 'STDOUT'])).stdout.trim();
}

/** Answers connections to port 5432 over IPv6 with the line. */
function serve6(vm: LabVm, answer: string): void {
  const serving = vm.exec('socat', ['TCP6-LISTEN:5432,reuseaddr,fork', `SYSTEM:echo ${answer}`], { timeout: 60_000 });
  // It ends with the lab, which it is told as an error.
  void Promise.allSettled([serving]);
}

test('tiers are routed over IPv6; ND, duplicate address detection and gateways are answered by flows alone', {
  timeout: 120_000,
}, async (context) => {
  await using cloud = await openRoutedCloud(context);
  const { acme, umbrella, lab } = cloud;
  await lab.killController();
  for (const name of ['web1', 'web2', 'db1', 'db2'] as const) await giveIpv6(acme[name], name);
  for (const name of ['web1', 'db1'] as const) await giveIpv6(umbrella[name], name);
  const states = async (vm: LabVm): Promise<string> => (await vm.exec('ip', ['-6', 'addr', 'show', 'eth0'])).stdout;
  await expect.poll(() => states(acme.web1), { timeout: 5_000 }).not.toContain('tentative');
  expect(await states(acme.web1)).not.toContain('dadfailed');

  for (const name of ['db1', 'db2'] as const) {
    serve6(acme[name], `acme ${name}`);
    expect(await acme.web1.ping(ip6Of(name)), `web1 to ${name}`).toBe(true);
    await expect.poll(() => tcp6(acme.web1, ip6Of(name), 5432), { timeout: 5_000 }).toBe(`acme ${name}`);
    // The other way, and within the tier, nobody ordered it.
    expect(await acme[name].ping(ip6Of('web1'), refused)).toBe(false);
  }
  expect(await acme.web1.ping(ip6Of('web2'), refused)).toBe(false);
  // The same addresses at another tenant.
  serve6(umbrella.db1, 'umbrella');
  await expect.poll(() => tcp6(umbrella.web1, ip6Of('db1'), 5432), { timeout: 5_000 }).toBe('umbrella');
  expect(await tcp6(acme.web1, ip6Of('db1'), 5432)).toBe('acme db1');

  // The router is one, and says so: Linux keeps the flag of RFC 4861 7.2.5.
  const router = async (vm: LabVm, ip: string) =>
    (await vm.exec('ip', ['-6', 'neigh', 'show', ip, 'dev', 'eth0'])).stdout;
  expect(await router(acme.web1, gateway6Of('web'))).toMatch(/lladdr 0a:\S+ router/);
  expect(await acme.web1.ping(gateway6Of('web'))).toBe(true);
  expect(await acme.web1.ping(gateway6Of('db'))).toBe(true);
  const hops = await acme.web1.exec('ping', ['-6', '-n', '-c', '1', '-W', '2', ip6Of('db1')]);
  expect(hops.stdout).toContain('ttl=63');

  // An address of a neighbour fails detection; its own does not.
  await acme.web1.exec('ip', ['-6', 'addr', 'add', `${ip6Of('web2')}/64`, 'dev', 'eth0']);
  await expect.poll(() => states(acme.web1), { timeout: 5_000 }).toContain('dadfailed');
  await acme.web1.exec('ip', ['-6', 'addr', 'del', `${ip6Of('web2')}/64`, 'dev', 'eth0']);

  // What only a router says, and what claims to be somebody else, arrives nowhere.
  const heard = await Promise.all([acme.db1, acme.web2, umbrella.db1].map((vm) => vm.capture({ filter: 'icmp6' })));
  const linkLocal = /inet6 (fe80:\S+)\//.exec(await states(acme.web1))?.[1] ?? '';
  const gatewayMac = /lladdr (\S+)/.exec(await router(acme.web1, gateway6Of('web')))?.[1] ?? '';
  const frame = { ethSrc: macOf('web1'), source: ip6Of('web1'), destination: ip6Of('db1'), ethDst: gatewayMac };
  const all = { ethDst: '33:33:00:00:00:01', destination: 'ff02::1' };
  const advert = Buffer.alloc(12, 0x40);
  for (const bad of [
    { ...frame, ...all, source: linkLocal, type: 134, body: advert },
    { ...frame, type: 134, body: advert },
    { ...frame, ethDst: macOf('web2'), destination: ip6Of('web2'), type: 136, body: Buffer.alloc(20) },
    { ...frame, type: 137, body: Buffer.alloc(36) },
    { ...frame, source: ip6Of('web2'), type: 128, body: Buffer.from('11110001', 'hex') },
    { ...frame, ethSrc: macOf('web2'), type: 128, body: Buffer.from('22220001', 'hex') },
    { ...frame, source: linkLocal, type: 128, body: Buffer.from('33330001', 'hex') },
  ])
    await acme.web1.sendFrame(icmp6Frame(bad));
  // One that may pass, sent last.
  await acme.web1.sendFrame(icmp6Frame({ ...frame, type: 128, body: Buffer.from('44440001', 'hex') }));
  await pause(700);
  const lines = (await Promise.all(heard.map((h) => h.stop()))).flat();
  // What VMs and switch say to each other of neighbours besides is their own affair.
  const of = (l: string): string => /ICMP6, (.*?),/.exec(l)?.[1] ?? l;
  expect(lines.filter((l) => !l.includes('neighbor')).map(of)).toEqual(['echo request', 'echo reply']);
  expect(lines.filter((l) => l.includes('neighbor advertisement, tgt is ::'))).toEqual([]);
});
