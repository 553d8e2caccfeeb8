/** Real packets between the tiers of a network: routed where they start, and without the controller. */
import { expect, test } from 'vitest';
import { pingFrame } from '../support/lab.ts';
import { gatewayOf, ipOf, macOf, openRoutedCloud } from './routed-cloud.ts';

const refused = { patience: 1_200 };
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Of an IPv4 echo request in Ethernet. */
function echoRequest(frame: Buffer): { ttl: number; identifier: number } | undefined {
  if (frame.readUInt16BE(12) !== 0x0800 || frame[23] !== 1 || frame[34] !== 8) return undefined;
  return { ttl: frame.readUInt8(22), identifier: frame.readUInt16BE(38) };
}

test('tiers are routed on both hypervisors, gateways answer, and none of it needs the controller', {
  timeout: 120_000,
}, async (context) => {
  await using cloud = await openRoutedCloud(context);
  const { acme, umbrella, lab } = cloud;
  await lab.killController();

  await acme.db1.serve(5432, 'acme db1');
  await acme.db2.serve(5432, 'acme db2');
  await umbrella.db1.serve(5432, 'umbrella db1');
  for (const [name, vm] of [
    ['db1', acme.db1],
    ['db2', acme.db2],
  ] as const) {
    expect(await acme.web1.ping(ipOf(name)), `web1 to ${name}`).toBe(true);
    expect(await acme.web1.tcp(ipOf(name), 5432)).toEqual({ answer: `acme ${name}` });
    // The other way, nobody ordered it.
    expect(await vm.tcp(ipOf('web1'), 80, refused)).toEqual({ failure: 'timeout' });
  }
  expect(await acme.web1.tcp(ipOf('db1'), 80, refused)).toEqual({ failure: 'timeout' });
  // The same addresses at another tenant.
  expect(await umbrella.web1.tcp(ipOf('db1'), 5432)).toEqual({ answer: 'umbrella db1' });

  // One router on the way, and what has no time to live left is not forwarded.
  const arrived = await acme.db1.capture();
  const frame = { ethSrc: macOf('web1'), ipSrc: ipOf('web1'), ipDst: ipOf('db1') };
  const router = /lladdr (\S+)/.exec((await acme.web1.exec('ip', ['neigh', 'show', gatewayOf('web')])).stdout)?.[1];
  expect(router).toMatch(/^0a:/);
  await acme.web1.sendFrame(pingFrame({ ...frame, ethDst: router!, identifier: 0x1111, ttl: 1 }));
  await acme.web1.sendFrame(pingFrame({ ...frame, ethDst: router!, identifier: 0x2222, ttl: 2 }));
  // To the receiver's MAC: that is no neighbour, and not the router.
  await acme.web1.sendFrame(pingFrame({ ...frame, ethDst: macOf('db1'), identifier: 0x3333 }));
  await acme.web1.sendFrame(pingFrame({ ...frame, ethDst: router!, identifier: 0x4444, ttl: 64 }));
  await pause(500);
  const requests = (await arrived.frames()).map(({ hex }) => echoRequest(Buffer.from(hex, 'hex')));
  expect(requests.filter((r) => r !== undefined)).toEqual([
    { ttl: 1, identifier: 0x2222 },
    { ttl: 63, identifier: 0x4444 },
  ]);

  // No VM is a DHCP server, whatever the rules say of UDP.
  const datagrams = await acme.db1.capture({ filter: `udp and src host ${ipOf('web1')}` });
  for (const port of [67, 68])
    await acme.web1.exec('socat', ['-u', 'STDIN', `UDP4-SENDTO:${ipOf('db1')}:68,sourceport=${port}`], { input: 'x' });
  await pause(500);
  const sources = (await datagrams.stop()).map((l) => /\.(\d+) > /.exec(l)?.[1]);
  expect(sources).toEqual(['68']);

  // Every gateway of the network, from any tier; no rule is asked.
  for (const vm of [acme.web1, acme.db1])
    for (const tier of ['web', 'db'] as const) expect(await vm.ping(gatewayOf(tier))).toBe(true);
  const path = await acme.web1.exec('ping', ['-n', '-c', '1', '-t', '1', '-W', '2', gatewayOf('db')]);
  expect(path.stdout).toContain('ttl=64');
});
