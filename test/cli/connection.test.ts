/** Which controller is asked, with which token, and what is said when nobody answers. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Double } from './double.ts';
import { type RunOptions, cli as run } from './support.ts';

let double: Double;
let folder: string;
beforeEach(async () => {
  double = await Double.start();
  folder = await mkdtemp(join(tmpdir(), 'keyway-cli-'));
});
afterEach(async () => {
  await double.stop();
  await rm(folder, { recursive: true });
});

const cli = (argv: readonly string[], env: RunOptions['env'] = {}) =>
  run(argv, { env: { XDG_CONFIG_HOME: folder, ...env } });
const authorization = () => double.last('GET').headers.authorization;

test('flags go before the environment, that before the profile', async () => {
  const files = Object.fromEntries(['flag', 'env', 'profile'].map((name) => [name, join(folder, name)]));
  for (const [name, path] of Object.entries(files)) await writeFile(path, `${name}-token\n`);
  expect(
    await cli(['profile', 'set', 'lab', '--url', double.url, '--token-file', files.profile!, '--tenant', 'acme']),
  ).toMatchObject({ status: 0, stderr: '' });
  double.put('tenants/acme/networks/shop');

  expect((await cli(['network', 'list', '-o', 'name'])).stdout).toBe('acme/shop\n');
  expect(authorization()).toBe('Bearer profile-token');
  await cli(['network', 'list'], { KEYWAY_TOKEN_FILE: files.env });
  expect(authorization()).toBe('Bearer env-token');
  await cli(['network', 'list'], { KEYWAY_TOKEN: 'direct', KEYWAY_TOKEN_FILE: files.env });
  expect(authorization()).toBe('Bearer direct');
  await cli(['network', 'list', '--token-file', files.flag!], { KEYWAY_TOKEN: 'direct' });
  expect(authorization()).toBe('Bearer flag-token');
  expect((await cli(['network', 'list'], { KEYWAY_TENANT: '' })).stderr).toContain('Which tenant?');
  await cli(['network', 'list'], { KEYWAY_TENANT: 'globex' });
  expect(double.last('GET').path).toBe('/v1/tenants/globex/networks');
});

test("a profile's token goes to the profile's controller only", async () => {
  const file = join(folder, 'token');
  await writeFile(file, 'secret');
  await cli(['profile', 'set', 'lab', '--url', 'http://127.0.0.1:1', '--token-file', file]);
  await cli(['tenant', 'list', '--url', double.url]);
  expect(authorization()).toBeUndefined();
  await cli(['tenant', 'list'], { KEYWAY_URL: double.url });
  expect(authorization()).toBeUndefined();
});

test('profiles: set, use, list, delete; comments of the file stay, and nobody else reads it', async () => {
  const config = join(folder, 'keyway', 'config.yaml');
  await cli(['profile', 'set', 'lab', '--url', double.url]);
  await writeFile(config, `# mine\n${await readFile(config, 'utf8')}`);
  await cli(['profile', 'set', 'far', '--url', 'https://keyway.example', '--network', 'shop']);
  expect((await stat(config)).mode & 0o777).toBe(0o600);
  expect(await readFile(config, 'utf8')).toContain('# mine');
  expect((await cli(['profile', 'list'])).stdout).toMatch(
    /^\* +lab .*\n +far +https:\/\/keyway\.example +- +- +shop$/m,
  );
  expect((await cli(['profile', 'use', 'fra'])).stderr).toContain('Did you mean far?');
  expect(await cli(['profile', 'use', 'far'])).toMatchObject({ status: 0 });
  expect(JSON.parse((await cli(['profile', 'list', '-o', 'json'])).stdout)).toMatchObject({ current: 'far' });
  expect(await cli(['profile', 'delete', 'far'])).toMatchObject({ status: 0 });
  expect(JSON.parse((await cli(['profile', 'list', '-o', 'json'])).stdout)).toMatchObject({
    current: null,
    profiles: { lab: {} },
  });
  expect(await cli(['tenant', 'list', '--profile', 'lab'])).toMatchObject({ status: 0 });
  expect(await cli(['tenant', 'list'], { KEYWAY_PROFILE: 'gone' })).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('There is no profile gone'),
  });
});

test.each([
  ['profiles: [1]\n', 'profiles is not a mapping'],
  ['profiles: {lab: {url: 5}}\n', 'url of profile lab is not a text'],
  ['a: b: c\n', 'Mend the file'],
])('a broken configuration file is named: %j', async (text, message) => {
  await cli(['profile', 'set', 'lab', '--url', double.url]);
  await writeFile(join(folder, 'keyway', 'config.yaml'), text);
  const { status, stderr } = await cli(['tenant', 'list']);
  expect(status).toBe(2);
  expect(stderr).toContain(message);
  expect(stderr).toContain(join(folder, 'keyway', 'config.yaml'));
});

test('a Unix socket', async () => {
  const path = join(folder, 'api.sock');
  const other = await Double.start(path);
  try {
    other.put('tenants/acme');
    for (const url of [`unix:${path}`, `unix://${path}`]) {
      expect((await cli(['tenant', 'list', '-o', 'name', '--url', url])).stdout).toBe('acme\n');
    }
  } finally {
    await other.stop();
  }
  expect(await cli(['tenant', 'list', '--url', `unix:${path}`])).toMatchObject({
    status: 4,
    stderr: expect.stringContaining('there is no such socket'),
  });
});

test('nobody there', async () => {
  const closed = double.url;
  await double.stop();
  const { status, stderr } = await cli(['tenant', 'list', '--url', closed]);
  expect(status).toBe(4);
  expect(stderr).toContain(`No controller at ${closed}: connection refused`);
  expect(stderr).toMatch(/Next: Start one \(keyway serve .*--url URL, KEYWAY_URL/);
  double = await Double.start();
});

test('somebody who does not answer, and somebody else', async () => {
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const sockets: import('node:net').Socket[] = [];
  silent.on('connection', (socket) => sockets.push(socket));
  const late = await cli(['tenant', 'list', '--url', url, '--timeout', '100ms']);
  expect(late).toMatchObject({ status: 4, stderr: expect.stringContaining('no answer within 0.1 s') });
  for (const socket of sockets) socket.destroy();
  silent.close();

  const web = createHttpServer((_, response) =>
    response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>Not found</h1>'),
  );
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const other = await cli(['tenant', 'list', '--url', `http://127.0.0.1:${(web.address() as AddressInfo).port}`]);
  expect(other).toMatchObject({
    status: 4,
    stderr: expect.stringContaining('what answers there is not Keyway (404 text/html)'),
  });
  web.close();
});

test.each([
  [['--url', 'keyway.example:8080'], 'is no URL of a controller'],
  [['--url', 'ftp://keyway.example'], 'is no URL of a controller'],
  [['--url', 'unix:relative'], 'a Unix socket is written as unix:/PATH'],
  [['--token-file', '/nonexistent/token'], 'The token file /nonexistent/token (--token-file) cannot be read'],
])('%j is refused before anything is sent', async (flags, message) => {
  expect(await cli(['tenant', 'list', ...flags])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining(message),
  });
});

test('a token with a line break in it is not sent', async () => {
  const sent = await cli(['tenant', 'list', '--url', double.url], { KEYWAY_TOKEN: 'a\r\nhost: b' });
  expect(sent).toMatchObject({ status: 2, stderr: expect.stringContaining('characters in it that no token has') });
  expect(double.asked).toEqual([]);
});

test('refused for want of a token', async () => {
  double.refuse('GET /v1/tenants', 'auth.missing', 'No token');
  const { status, stderr } = await cli(['tenant', 'list', '--url', double.url]);
  expect(status).toBe(3);
  expect(stderr).toContain('Next: Give a token: --token-file FILE, KEYWAY_TOKEN');
});
