/** The event stream: followed, taken up again, refused. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { Problem } from '../../src/problems.ts';
import { Double } from './double.ts';
import { cli, type Ran } from './support.ts';

let double: Double;
let sockets: WebSocketServer;
let streams: { since: string | null; socket: WebSocket; authorization: string | undefined }[];
let refuse: Problem | undefined;

beforeEach(async () => {
  double = await Double.start();
  streams = [];
  refuse = undefined;
  sockets = new WebSocketServer({ noServer: true });
  double.server.on('upgrade', (request, socket, head) => {
    if (refuse) {
      const body = JSON.stringify(refuse);
      socket.end(
        `HTTP/1.1 ${refuse.status} No\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
      return;
    }
    sockets.handleUpgrade(request, socket, head, (stream) => {
      const since = new URL(request.url ?? '/', 'http://localhost').searchParams.get('since');
      streams.push({ since, socket: stream, authorization: request.headers.authorization });
    });
  });
});
afterEach(async () => {
  for (const { socket } of streams) socket.terminate();
  await double.stop();
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not happen within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A command that goes on until it is stopped. */
function follow(argv: string[]): { output: () => string; stop: () => Promise<Ran> } {
  const controller = new AbortController();
  let output = '';
  const ran = cli([...argv, '--url', double.url], {
    env: { KEYWAY_TOKEN: 'secret' },
    signal: controller.signal,
    onOutput: (text) => {
      output = text;
    },
  });
  return {
    output: () => output,
    stop: () => {
      controller.abort();
      return ran;
    },
  };
}

const send = (message: unknown) => streams.at(-1)!.socket.send(JSON.stringify(message));
const change = (revision: number, type: string, path: string, resource?: unknown) =>
  send({
    type: 'change',
    revision,
    at: '2026-01-02T03:04:05.678Z',
    changes: [{ kind: 'tenant', path, type, resource }],
  });

test('watch prints the list, then what changes in it', async () => {
  double.put('tenants/acme', { description: 'first' });
  double.put('tenants/other', { description: 'first' });
  const watch = follow(['tenant', 'list', '--watch', '--filter', 'name!=hidden']);
  await until(() => streams.length === 1);
  expect(streams[0]).toMatchObject({ since: '2', authorization: 'Bearer secret' });
  double.put('tenants/acme', { description: 'second' });
  change(3, 'replaced', 'tenants/acme');
  double.put('tenants/hidden', {});
  change(4, 'created', 'tenants/hidden');
  change(5, 'created', 'tenants/acme/networks/shop');
  double.put('tenants/new', { description: 'third' });
  change(6, 'created', 'tenants/new');
  await until(() => watch.output().includes('third'));
  change(7, 'deleted', 'tenants/other', { description: 'first' });
  await until(() => watch.output().includes('deleted'));
  const { status, stdout, stderr } = await watch.stop();
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/\s+/)),
  ).toEqual([
    ['NAME', 'STATE', 'DESCRIPTION'],
    ['acme', 'programmed', 'first'],
    ['other', 'programmed', 'first'],
    ['acme', 'programmed', 'second'],
    ['new', 'programmed', 'third'],
    ['other', 'deleted', 'first'],
  ]);
});

test('watch in JSON: a document on each line', async () => {
  double.put('tenants/acme');
  const watch = follow(['tenant', 'list', '--watch', '-o', 'json']);
  await until(() => streams.length === 1);
  double.put('tenants/acme', { description: 'new' });
  send({ type: 'status', path: 'tenants/acme', status: { state: 'programmed' } });
  await until(() => watch.output().includes('"type":"status"'));
  const lines = (await watch.stop()).stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; item: { path: string } });
  expect(lines.map(({ type, item }) => [type, item.path])).toEqual([
    ['listed', 'tenants/acme'],
    ['status', 'tenants/acme'],
  ]);
});

test('watch takes up a lost connection where it was, and prints only what changed meanwhile', async () => {
  double.put('tenants/acme');
  double.put('tenants/gone');
  const watch = follow(['tenant', 'list', '--watch', '-o', 'name']);
  await until(() => streams.length === 1);
  double.put('tenants/acme', { description: 'new' });
  double.resources.delete('tenants/gone');
  streams[0]!.socket.terminate();
  await until(() => streams.length === 2);
  expect(streams[1]!.since).toBe('3');
  const { stdout, stderr } = await watch.stop();
  expect(stdout).toBe('acme\ngone\ngone\nacme\n');
  expect(stderr).toContain('trying again');
});

test('events prints changes and status, from a revision on', async () => {
  const events = follow(['events', '--since', '41']);
  await until(() => streams.length === 1);
  expect(streams[0]!.since).toBe('41');
  change(42, 'created', 'tenants/acme/networks/shop/ports/web1');
  send({
    type: 'status',
    path: 'tenants/acme',
    status: {
      state: 'degraded',
      conditions: [{ type: 'Ready', status: 'False', reason: 'HypervisorUnreachable', message: 'hv1 is away' }],
    },
  });
  await until(() => events.output().includes('degraded'));
  streams[0]!.socket.terminate();
  await until(() => streams.length === 2);
  expect(streams[1]!.since).toBe('42');
  const { status, stdout, stderr } = await events.stop();
  expect(status).toBe(0);
  expect(stdout).toContain('2026-01-02T03:04:05Z  42  created  port acme/shop/web1\n');
  expect(stdout).toMatch(/status {2}tenant acme {2}degraded {2}Ready=False HypervisorUnreachable: hv1 is away\n/);
  expect(stderr).toContain('trying again');
});

test('a revision that is no longer kept is told; watch lists again instead', async () => {
  refuse = new Problem('events.compacted', 'Revision 1 is no longer kept');
  expect(await cli(['events', '--since', '1', '--url', double.url])).toMatchObject({
    status: 3,
    stderr: expect.stringContaining('events.compacted'),
  });
  double.put('tenants/acme');
  const watch = follow(['tenant', 'list', '--watch', '-o', 'name']);
  await until(() => double.asked.filter((one) => one.path === '/v1/tenants').length >= 2);
  refuse = undefined;
  await until(() => streams.length === 1);
  expect(await watch.stop()).toMatchObject({ status: 0, stdout: 'acme\n' });
});

test('refused and unreachable at the start', async () => {
  refuse = new Problem('auth.missing', 'No token');
  expect(await cli(['events', '--url', double.url])).toMatchObject({
    status: 3,
    stderr: expect.stringContaining('Next: Give a token'),
  });
  expect(await cli(['events', '--since', 'x', '--url', double.url])).toMatchObject({ status: 2 });
  const closed = double.url;
  await double.stop();
  expect(await cli(['events', '--url', closed])).toMatchObject({
    status: 4,
    stderr: expect.stringContaining('No controller at'),
  });
  double = await Double.start();
});
