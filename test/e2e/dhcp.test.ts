/**
 * What gateway hosts serve, asked by clients of other people: leases, names, metadata. Two tenants with the same addresses,
 * and all of it once more with no controller.
 */
import type { TestContext } from 'vitest';
import { expect } from 'vitest';
import { askForLease, type DhcpClient, findDhcpClient, type Lease } from '../../src/sandbox/dhcp-client.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { startGatewayHost } from '../../src/sandbox/lab-gateway-host.ts';
import type { LabVm } from '../support/lab.ts';
import { type Command, toolOrSkip } from '../support/network-tools.ts';
import { ipOf, networkOf, type OutsideCloud, sharedOutsideCloud, type Tenant, tenants } from './outside-cloud.ts';

const test = sharedOutsideCloud();

const services = '169.254.169.254';

async function clientOrSkip(context: Pick<TestContext, 'skip'>): Promise<DhcpClient> {
  const client = await findDhcpClient();
  return 'unavailable' in client ? context.skip(`no dhclient: ${client.unavailable}`) : client;
}

/** What a client of this VM is given, which then goes without giving it back. */
async function leaseOf({ lab }: OutsideCloud, vm: LabVm, client: DhcpClient): Promise<Lease> {
  const holder = askForLease(client, vm, lab.directory);
  try {
    await until(`a lease for ${vm.name}`, () => holder.lease()?.ip_address !== undefined, 10_000, 20);
    return holder.lease()!;
  } finally {
    await holder.stop();
    // The client took its address away.
    const [program, ...args] = [
      'sh',
      '-ec',
      `ip addr replace ${vm.address} dev eth0; ip route replace default via ${vm.gateway}`,
    ];
    await vm.exec(program!, args);
  }
}

/** Answers of dig, one a line, and its status. */
async function dig(vm: LabVm, command: Command, ...args: string[]): Promise<{ status: string; answers: string[] }> {
  const { stdout } = await vm.exec(command[0], [
    ...command.slice(1),
    ...[`@${services}`, '+noall', '+comments', '+answer', '+tries=2', '+time=3', ...args],
  ]);
  return {
    status: /status: (\w+)/.exec(stdout)?.[1] ?? `none: ${stdout}`,
    answers: [...stdout.matchAll(/^(?!;)\S+\s+\d+\s+IN\s+(\S+)\s+(\S+)$/gm)].map(([, type, data]) => `${type} ${data}`),
  };
}

async function curl(vm: LabVm, path: string, ...args: string[]): Promise<{ status: number; body: string }> {
  const { stdout, stderr } = await vm.exec('curl', [
    ...['-sS', '--noproxy', '*', '--max-time', '5', '-w', '\n%{http_code}', ...args, `http://${services}${path}`],
  ]);
  const at = stdout.lastIndexOf('\n');
  if (at < 0) throw new Error(`curl: ${stderr}`);
  return { status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at) };
}

/** The cloud goes on without its controller meanwhile. */
async function withoutController({ lab }: OutsideCloud, body: () => Promise<void>): Promise<void> {
  await lab.killController();
  try {
    await body();
  } finally {
    await lab.startController();
  }
}

test('a lease is the address of the port, whoever else has the same one', async (cloud, context) => {
  const client = await clientOrSkip(context);
  for (const tenant of tenants) {
    const lease = await leaseOf(cloud, cloud.vms[tenant].web1, client);
    expect(lease).toMatchObject({
      ip_address: ipOf('web1'),
      subnet_mask: '255.255.255.0',
      routers: '10.0.1.1',
      dhcp_server_identifier: '10.0.1.1',
      domain_name: 'shop.internal',
      domain_name_servers: services,
      host_name: 'web1',
      interface_mtu: '1458',
      dhcp_lease_time: '86400',
      rfc3442_classless_static_routes: '0 10 0 1 1 32 169 254 169 254 10 0 1 1',
    });
  }
});

test('a lease is renewed, and a new one given, with the controller dead', async (cloud, context) => {
  const client = await clientOrSkip(context);
  const busybox = await toolOrSkip('busybox', context);
  const vm = cloud.vms.umbrella.web1;
  const told = `${cloud.lab.directory}/udhcpc`;
  const script = `#!/bin/sh\necho "$1 $ip $lease" >>${told}\n`;
  await cloud.lab.exec('sh', ['-c', `cat >${told}.sh; chmod 755 ${told}.sh`], { input: script });
  const args = ['udhcpc', '-f', '-i', 'eth0', '-s', `${told}.sh`, '-p', `${told}.pid`, '-t', '5', '-T', '1'];
  const running = vm.exec(busybox[0], [...busybox.slice(1), ...args], { timeout: 60_000 });
  const lines = async () => (await cloud.lab.exec('sh', ['-c', `cat ${told} || true`])).stdout.trim().split('\n');
  try {
    await until('a lease', async () => (await lines()).some((line) => line.startsWith('bound')), 10_000, 50);
    await withoutController(cloud, async () => {
      await vm.exec('sh', ['-c', `kill -USR1 $(cat ${told}.pid)`]);
      await until('a renewal', async () => (await lines()).some((line) => line.startsWith('renew')), 10_000, 50);
      const lease = await leaseOf(cloud, cloud.vms.acme.web2, client);
      expect(lease.ip_address).toBe(ipOf('web2'));
    });
    expect(await lines()).toContain(`renew ${ipOf('web1')} 86400`);
  } finally {
    await vm.exec('sh', ['-c', `kill $(cat ${told}.pid)`]);
    await running;
  }
});

test('a client that asks for another address is told its own', async (cloud, context) => {
  const busybox = await toolOrSkip('busybox', context);
  const { web1 } = cloud.vms.acme;
  const ask = ['udhcpc', '-f', '-n', '-q', '-i', 'eth0', '-s', '/bin/true', '-t', '2', '-T', '1', '-r', '10.0.1.77'];
  const { stderr } = await web1.exec(busybox[0], [...busybox.slice(1), ...ask], { timeout: 20_000 });
  expect(stderr).toContain(`lease of ${ipOf('web1')} obtained from 10.0.1.1`);
  expect(stderr).not.toContain('10.0.1.77 obtained');
});

test('names of a network are known in it, and nowhere else', async (cloud, context) => {
  const command = await toolOrSkip('dig', context);
  await cloud.apply([
    {
      path: `${networkOf('acme')}/ports/only-acme`,
      spec: { tier: 'db', ips: ['10.0.2.99'], hostname: 'Ledger'.toLowerCase() },
    },
  ]);
  const ask = async (tenant: Tenant, ...args: string[]) => dig(cloud.vms[tenant].web1, command, ...args);
  await until('the name', async () => (await ask('acme', 'ledger.shop.internal')).answers.length > 0, 15_000, 100);
  const check = async () => {
    for (const tenant of tenants) {
      expect(await ask(tenant, 'web2.shop.internal')).toEqual({ status: 'NOERROR', answers: [`A ${ipOf('web2')}`] });
      expect(await ask(tenant, '+tcp', 'db1.shop.internal')).toEqual({
        status: 'NOERROR',
        answers: [`A ${ipOf('db1')}`],
      });
      expect(await ask(tenant, '-x', ipOf('db1'))).toEqual({ status: 'NOERROR', answers: ['PTR db1.shop.internal.'] });
      expect(await ask(tenant, 'nobody.shop.internal')).toEqual({ status: 'NXDOMAIN', answers: [] });
      expect(await ask(tenant, 'web2.shop.internal', 'AAAA')).toEqual({ status: 'NOERROR', answers: [] });
    }
    expect(await ask('acme', 'ledger.shop.internal')).toEqual({ status: 'NOERROR', answers: ['A 10.0.2.99'] });
    expect(await ask('umbrella', 'ledger.shop.internal')).toEqual({ status: 'NXDOMAIN', answers: [] });
    expect(await ask('umbrella', '-x', '10.0.2.99')).toEqual({ status: 'NXDOMAIN', answers: [] });
  };
  await check();
  await withoutController(cloud, check);
  await cloud.apply([{ path: `${networkOf('acme')}/ports/only-acme`, delete: true }]);
  await until('its end', async () => (await ask('acme', 'ledger.shop.internal')).status === 'NXDOMAIN', 15_000, 100);
});

/** A resolver of nobody's, which answers each name with one address. */
const resolver = `
const { createSocket } = require('node:dgram');
const { decode, encode } = require('dns-packet');
const socket = createSocket('udp4');
socket.on('message', (bytes, from) => {
  const { id, questions } = decode(bytes);
  const answers = [{ type: 'A', name: questions[0].name, ttl: 5, data: '198.51.100.77' }];
  const answer = encode({ type: 'response', id, flags: 0x8180, questions, answers });
  socket.send(answer, from.port, from.address, () => {
    if (questions[0].name === 'end.example.net') process.exit();
  });
});
socket.bind(53, process.argv[1]);
`;

test('other names are asked of the resolvers of the network, by the gateway host', async (cloud, context) => {
  const command = await toolOrSkip('dig', context);
  const at = '192.0.2.1';
  const args = ['30', process.execPath, '-e', resolver, at];
  const serving = cloud.lab.exec('timeout', args, { timeout: 40_000 });
  const path = networkOf('acme');
  await cloud.apply([{ path, spec: { offering: 'basic', cidr: '10.0.0.0/16', dnsServers: [at] } }]);
  const ask = (tenant: Tenant) => dig(cloud.vms[tenant].web1, command, 'www.example.net');
  await until('an answer', async () => (await ask('acme')).answers.length > 0, 15_000, 100);
  expect(await ask('acme')).toEqual({ status: 'NOERROR', answers: ['A 198.51.100.77'] });
  // Umbrella asks the gateway host's own resolvers, of which none answers here.
  expect((await ask('umbrella')).answers).toEqual([]);
  await dig(cloud.vms.acme.web1, command, 'end.example.net');
  await serving;
  await cloud.apply([{ path, spec: { offering: 'basic', cidr: '10.0.0.0/16' } }]);
});

test('each machine reads its own metadata, by its address alone', async (cloud) => {
  const userData = Buffer.from('#!/bin/sh\necho hello\n').toString('base64');
  for (const tenant of tenants) {
    const path = `${networkOf(tenant)}/ports/web1`;
    const {
      status: _,
      binding: __,
      ...spec
    } = (await cloud.lab.admin('GET', `/v1/${path}`)) as Record<string, unknown>;
    await cloud.lab.admin('PUT', `/v1/${path}?wait=programmed`, {
      ...spec,
      userData,
      metadata: { role: `of-${tenant}`, 'public-keys': 'ssh-ed25519 AAAA one' },
    });
  }
  const role = '/latest/meta-data/tags/instance/role';
  for (const tenant of tenants)
    await until('metadata', async () => (await curl(cloud.vms[tenant].web1, role)).status === 200, 15_000, 100);
  const check = async () => {
    for (const tenant of tenants) {
      const vm = cloud.vms[tenant].web1;
      expect(await curl(vm, role)).toEqual({ status: 200, body: `of-${tenant}` });
      expect(await curl(vm, '/latest/meta-data/local-ipv4')).toEqual({ status: 200, body: ipOf('web1') });
      expect(await curl(vm, '/latest/user-data')).toEqual({ status: 200, body: '#!/bin/sh\necho hello\n' });
      const { body } = await curl(vm, '/openstack/latest/meta_data.json');
      expect(JSON.parse(body)).toMatchObject({
        project_id: tenant,
        hostname: 'web1.shop.internal',
        meta: { role: `of-${tenant}` },
      });
      expect((await curl(vm, '/latest/public-keys')).body).toBe('ssh-ed25519 AAAA one');
      // No header makes anybody somebody else.
      expect((await curl(vm, '/latest/meta-data/', '-H', 'X-Forwarded-For: 10.0.1.12')).status).toBe(403);
    }
    const { acme, umbrella } = cloud.vms;
    const { body: token } = await curl(
      acme.web1,
      '/latest/api/token',
      '-X',
      'PUT',
      '-H',
      'X-aws-ec2-metadata-token-ttl-seconds: 60',
    );
    const withToken = ['-H', `X-aws-ec2-metadata-token: ${token}`];
    expect((await curl(acme.web1, '/latest/meta-data/mac', ...withToken)).status).toBe(200);
    expect((await curl(umbrella.web1, '/latest/meta-data/mac', ...withToken)).status).toBe(401);
  };
  await check();
  await withoutController(cloud, check);
});

test('a program that was killed serves again once it is started, without a controller', async (cloud, context) => {
  const client = await clientOrSkip(context);
  for (const program of cloud.programs) await program.kill('SIGKILL');
  for (const gateway of cloud.gateways) {
    const { stdout } = await gateway.exec('ip', ['-br', 'link']);
    expect(stdout).not.toContain('keyway-gw');
  }
  await withoutController(cloud, async () => {
    await Promise.all(cloud.gateways.map((gateway) => startGatewayHost(cloud.lab, gateway)));
    await Promise.all(
      cloud.gateways.map((gateway) => gateway.vsctl('wait-until', 'Interface', 'keyway-gw', 'ofport>0')),
    );
    const lease = await leaseOf(cloud, cloud.vms.acme.web1, client);
    expect(lease.ip_address).toBe(ipOf('web1'));
    await until(
      'metadata',
      async () =>
        (await curl(cloud.vms.acme.web1, '/latest/meta-data/local-ipv4').catch(() => ({ status: 0 }))).status === 200,
      20_000,
      200,
    );
  });
});

test('a program that is stopped leaves nothing behind', async (cloud) => {
  for (const program of cloud.programs) await program.kill('SIGTERM');
  for (const gateway of cloud.gateways) {
    expect((await gateway.exec('ip', ['-br', 'link'])).stdout).not.toContain('keyway-gw');
    expect(await gateway.vsctl('list-ports', 'br-int')).not.toContain('keyway-gw');
  }
});
