/** Metadata in three dialects, and who may have it. */
import { request } from 'node:http';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { answerMetadata, metadataServer } from '../../src/gateway-host/metadata/server.ts';
import { MetadataTokens } from '../../src/gateway-host/metadata/tokens.ts';
import { Rates } from '../../src/gateway-host/rates.ts';
import { db1, mac, network, servedWith, web1 } from './arbitrary.ts';

const rich = {
  ...web1,
  userData: Buffer.from('#cloud-config\n').toString('base64'),
  metadata: { role: 'front', 'public-keys': 'ssh-ed25519 A one\nssh-ed25519 B two' },
  publicAddress: '203.0.113.9',
};

const served = servedWith([rich, db1]);
const port = served.byMac(network.key, mac(web1.mac))!;
const other = served.byMac(network.key, mac(db1.mac))!;
let now = 1_000_000_000;
const tokens = new MetadataTokens(() => now);

function ask(url: string, { method = 'GET', headers = {}, from = port } = {}) {
  const { status, body } = answerMetadata(from, { method, url, headers }, tokens);
  return { status, text: String(body) };
}

const text = (url: string) => {
  const answer = ask(url);
  expect(answer.status, url).toBe(200);
  return answer.text;
};

test("EC2's tree", () => {
  for (const version of ['latest', '2009-04-04', '2021-03-23']) {
    const at = (path: string) => text(`/${version}/meta-data/${path}`);
    expect(at('instance-id')).toBe('i-web1-uid');
    expect(at('local-hostname')).toBe('web1.shop.internal');
    expect(at('local-ipv4')).toBe('10.0.1.10');
    expect(at('public-ipv4')).toBe('203.0.113.9');
    expect(at(`network/interfaces/macs/${web1.mac}/local-ipv4s`)).toBe('10.0.1.10\n10.0.1.11');
    expect(at(`network/interfaces/macs/${web1.mac}/subnet-ipv4-cidr-block`)).toBe('10.0.1.0/24');
    expect(at('public-keys/1/openssh-key')).toBe('ssh-ed25519 B two');
    expect(at('tags/instance/')).toBe('role');
    expect(text(`/${version}/user-data`)).toBe('#cloud-config\n');
  }
  expect(text('/latest/meta-data/').split('\n')).toEqual(
    expect.arrayContaining(['instance-id', 'placement/', 'network/']),
  );
  expect(text('/').split('\n')).toEqual(expect.arrayContaining(['latest/', 'openstack/']));
});

test("OpenStack's", () => {
  expect(text('/openstack').split('\n')).toContain('latest/');
  expect(JSON.parse(text('/openstack/latest/meta_data.json'))).toMatchObject({
    ...{ uuid: 'web1-uid', name: 'web1', hostname: 'web1.shop.internal', project_id: 'acme', meta: { role: 'front' } },
    public_keys: { key0: 'ssh-ed25519 A one', key1: 'ssh-ed25519 B two' },
  });
  expect(text('/openstack/latest/user_data')).toBe('#cloud-config\n');
  expect(JSON.parse(text('/openstack/2018-08-27/network_data.json')).links[0].ethernet_mac_address).toBe(web1.mac);
});

test("CloudStack's", () => {
  expect(text('/latest/vm-id')).toBe('web1-uid');
  expect(text('/latest/local-ipv4')).toBe('10.0.1.10');
  expect(text('/latest/public-keys')).toBe('ssh-ed25519 A one\nssh-ed25519 B two');
});

test('what is not there is not found, whatever it is called', () => {
  for (const url of [
    '/latest/meta-data/constructor',
    '/__proto__',
    '/latest/meta-data/local-ipv4/x',
    '/latest/../etc',
    '/latest/x',
  ])
    expect(ask(url).status, url).toBe(404);
  expect(ask('/latest/%zz').status).toBe(400);
  expect(ask('/latest/user-data', { from: other }).status).toBe(404);
});

test('nobody else, nobody through a proxy, and nothing by another method', () => {
  expect(answerMetadata(undefined, { method: 'GET', url: '/latest/', headers: {} }, tokens).status).toBe(404);
  for (const name of ['x-forwarded-for', 'forwarded'])
    expect(ask('/latest/', { headers: { [name]: '10.0.3.20' } }).status).toBe(403);
  expect(ask('/latest/user-data', { method: 'POST' }).status).toBe(405);
});

test("tokens are the port's own, for as long as was asked", () => {
  const token = ask('/latest/api/token', { method: 'PUT', headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '60' } });
  expect(token.status).toBe(200);
  const headers = { 'x-aws-ec2-metadata-token': token.text };
  expect(ask('/latest/meta-data/mac', { headers }).text).toBe(web1.mac);
  expect(ask('/latest/meta-data/mac', { headers, from: other }).status).toBe(401);
  expect(
    ask('/latest/meta-data/mac', { headers: { 'x-aws-ec2-metadata-token': `${token.text.slice(0, -2)}AA` } }).status,
  ).toBe(401);
  now += 61_000;
  expect(ask('/latest/meta-data/mac', { headers }).status).toBe(401);
  for (const life of ['0', '21601', 'x', '-1', undefined])
    expect(
      ask('/latest/api/token', { method: 'PUT', headers: { 'x-aws-ec2-metadata-token-ttl-seconds': life } }).status,
    ).toBe(400);
  expect(ask('/latest/api/token').status).toBe(405);
});

test('over a socket that somebody else has opened', async () => {
  const listening = createServer();
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const address = listening.address() as { port: number };
  let known = true;
  const server = metadataServer({ tokens, portOf: () => (known ? port : undefined), rates: new Rates(10, 2) });
  server.listen(listening);
  const get = () =>
    new Promise<string>((resolve, reject) => {
      request({ host: '127.0.0.1', port: address.port, path: '/latest/meta-data/mac', agent: false }, (response) => {
        response.setEncoding('utf8').on('data', resolve);
      })
        .on('error', reject)
        .end();
    });
  for (const text of [web1.mac, web1.mac, 'Too many requests.\n']) expect(await get()).toBe(text);
  known = false;
  await expect(get()).rejects.toThrow(/hang up|ECONNRESET/);
  server.close();
  listening.close();
});
