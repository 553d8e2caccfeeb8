/** What ICMP has to do with translation: errors that belong to a connection, packets that are too big, and fragments. */
import { expect } from 'vitest';
import type { LabMachine } from '../../src/sandbox/lab-host.ts';
import { outside } from '../../src/sandbox/outside.ts';
import { networkOf, type Resource, sharedOutsideCloud, type Tenant, tenants } from './outside-cloud.ts';

const run = sharedOutsideCloud();
const { client } = outside;
/** As the VMs' own, so that what is let in arrives. */
const mtu = 1400;

function ordersOf(tenant: Tenant): Resource[] {
  const network = networkOf(tenant);
  return [
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16', mtu } },
    { path: `${network}/public-ips/front`, spec: {} },
    { path: `${network}/public-ips/mail`, spec: {} },
    { path: `${network}/nat-rules/out`, spec: { type: 'source', publicIp: 'front' } },
    { path: `${network}/nat-rules/mail`, spec: { type: 'static', publicIp: 'mail', port: 'web1' } },
    {
      path: `${network}/rules/in`,
      spec: { action: 'allow', priority: 100, from: { any: true }, to: { port: 'web1' }, protocol: 'any' },
    },
  ];
}

async function ping(from: LabMachine, to: string, ...options: string[]): Promise<string> {
  const { stdout, stderr } = await from.exec('ping', ['-n', '-c', '2', '-i', '0.3', '-W', '2', ...options, to]);
  return stdout + stderr;
}

/** A program that sends a datagram to a port where nobody listens, and says what it is told of it. */
const datagram = `
const socket = require('node:dgram').createSocket('udp4');
const end = (said) => { console.log(said); process.exit(0); };
socket.on('error', (error) => end(error.code));
socket.on('message', () => end('answered'));
socket.connect(9, process.argv[1], () => socket.send('x'));
setTimeout(end, 2000, 'silence');
`;

async function told(from: LabMachine, to: string): Promise<string> {
  return (await from.exec(process.execPath, ['-e', datagram, to])).stdout.trim();
}

run('ICMP errors find their sender through translation, both ways', async ({ lab, vms, apply, client: outsider }) => {
  await apply(tenants.flatMap(ordersOf));
  for (const tenant of tenants) {
    const { web1, web2 } = vms[tenant];
    const { address } = (await lab.admin('GET', `/v1/${networkOf(tenant)}/public-ips/mail`)) as { address: string };
    expect(await web2.ping(client.address)).toBe(true);
    expect(await outsider.ping(address)).toBe(true);
    // The first router on the way is the network's own; the second one is outside, and its error is translated back.
    expect(await ping(web2, client.address, '-t', '2')).toMatch(
      new RegExp(`From ${outside.flat.gateway}.*Time to live exceeded`),
    );
    // Nobody listens: the error is about the translated packet, and reaches who has sent the original.
    expect([await told(web1, client.address), await told(web2, client.address)]).toEqual([
      'ECONNREFUSED',
      'ECONNREFUSED',
    ]);
    // And from the VM outwards, about a packet that came in.
    expect(await told(outsider, address)).toBe('ECONNREFUSED');
  }
});

run('what is larger than the network is told to its sender outside, fragments arrive', async (cloud) => {
  const { lab, vms, client: outsider } = cloud;
  for (const tenant of tenants) {
    const { web1, web2 } = vms[tenant];
    const { address } = (await lab.admin('GET', `/v1/${networkOf(tenant)}/public-ips/mail`)) as { address: string };
    // By the address it wrote to.
    expect(await ping(outsider, address, '-M', 'do', '-s', '1440')).toMatch(
      /Frag(mentation)? needed.*mtu = 1400|message too long, mtu.1400/,
    );
    // The answers to the first of them are too big; after that the client knows.
    for (const [vm, to] of [
      [outsider, address],
      [web1, client.address],
      [web2, client.address],
    ] as const)
      expect(await ping(vm, to, '-c', '4', '-s', '3000')).toMatch(/ [34] received/);
  }
});
