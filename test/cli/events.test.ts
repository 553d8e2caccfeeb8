/** The event stream: followed, taken up again, refused. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { Problem } from '../../src/problems.ts';
import { Double } from './double.ts';
import { cli, type Ran } from './support.ts';

let double: Double;
let sockets: WebSocketServer;
let streams: {
  since: string | null;
  query: Record<string, string>;
  socket: WebSocket;
  authorization: string | undefined;
}[];
let refuse: Problem | undefined;

beforeEach(async () => {
  double = await Double.start();
  streams = [];
  refuse = undefined;
  sockets = new WebSocketServer({ noServer: true });
  offerEvents(double);
});

/** Gives the double its event stream. */
function offerEvents(to: Double): void {
  to.server.on('upgrade', (request, socket, head) => {
    if (refuse) {
      const body = JSON.stringify(refuse);
      socket.end(
        `HTTP/1.1 ${refuse.status} No\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
      return;
    }
    sockets.handleUpgrade(request, socket, head, (stream) => {
      const query = Object.fromEntries(new URL(request.url ?? '/', 'http://localhost').searchParams);
      streams.push({ since: query.since ?? null, query, socket: stream, authorization: request.headers.authorization });
    });
  });
}

afterEach(async () => {
  for (const { socket } of streams) socket.terminate();
  await double.stop();
});

let last: unknown;

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`it did not happen within 10 s; ${JSON.stringify(last)}`);
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
  last = undefined;
  void ran.then((one) => {
    last = one;
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
const change = (revision: number, type: string, path: string, resource: unknown = {}) =>
  send({ type: 'change', revision, kind: 'tenant', path, change: type, resource });

test('watch prints the list, then what changes in it', async () => {
  double.put('tenants/acme', { description: 'first' });
  double.put('tenants/other', { description: 'first' });
  const watch = follow(['tenant', 'list', '--watch', '--filter', 'name!=hidden']);
  await until(() => streams.length === 1);
  expect(streams[0]).toMatchObject({ query: { since: '2', status: 'changes' }, authorization: 'Bearer secret' });
  double.put('tenants/acme', { description: 'second' });
  change(3, 'replaced', 'tenants/acme');
  double.put('tenants/hidden', {});
  change(4, 'created', 'tenants/hidden');
  change(5, 'created', 'tenants/acme/networks/shop');
  double.put('tenants/new', { description: 'third' });
  change(6, 'created', 'tenants/new');
  await until(() => watch.output().includes('third'));
  double.resources.delete('tenants/other');
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

test('what changed in status between the list and the stream is told', async () => {
  double.put('tenants/acme/networks/shop', { offering: 'basic' });
  double.put('tenants/acme/networks/shop/tiers/web', { cidr: '10.0.0.0/24' });
  const watch = follow(['tier', 'list', 'acme/shop', '--watch']);
  await until(() => streams.length === 1);
  expect(streams[0]!.query).toEqual({ since: '2', status: 'changes', path: 'tenants/acme/networks/shop' });
  double.resources.get('tenants/acme/networks/shop/tiers/web')!.body = { cidr: '10.0.0.0/24', gateway: '10.0.0.1' };
  send({ type: 'synced', revision: 2 });
  await until(() => watch.output().includes('10.0.0.1'));
  await watch.stop();
});

test.each([
  [4401, 3, 'auth.invalid'],
  [4410, 3, 'events.compacted'],
])('a stream that the controller ends with %i', async (code, status, problem) => {
  const events = follow(['events', 'acme/shop', '--status', 'all', '--since', '5']);
  await until(() => streams.length === 1);
  expect(streams[0]!.query).toEqual({ since: '5', status: 'all', path: 'tenants/acme/networks/shop' });
  streams[0]!.socket.close(code, problem);
  await until(() => last !== undefined);
  expect(await events.stop()).toMatchObject({ status, stderr: expect.stringContaining(problem) });
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
  // A commit may have been cut off in the middle: it is told again, and what was told is not.
  expect(streams[1]!.since).toBe('41');
  change(42, 'created', 'tenants/acme/networks/shop/ports/web1');
  change(42, 'created', 'tenants/acme/networks/shop/ports/web2');
  send({ type: 'status', path: 'tenants/old', status: null });
  await until(() => events.output().includes('gone'));
  const { status, stdout, stderr } = await events.stop();
  expect(status).toBe(0);
  expect(stdout.match(/ {2}42 {2}created {2}port acme\/shop\/\w+$/gm)).toEqual([
    '  42  created  port acme/shop/web1',
    '  42  created  port acme/shop/web2',
  ]);
  expect(stdout).toMatch(/status {2}tenant old {2}gone from every switch\n/);
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

test('over a Unix socket', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keyway-cli-'));
  const path = join(folder, 'api.sock');
  const local = await Double.start(path);
  try {
    offerEvents(local);
    const controller = new AbortController();
    let output = '';
    const events = cli(['events', '--url', `unix:${path}`], {
      signal: controller.signal,
      onOutput: (text) => {
        output = text;
      },
    });
    await until(() => streams.length === 1);
    change(1, 'created', 'tenants/acme');
    await until(() => output.includes('tenant acme'));
    controller.abort();
    expect(await events).toMatchObject({ status: 0, stderr: '' });
  } finally {
    for (const { socket } of streams) socket.terminate();
    await local.stop();
    await rm(folder, { recursive: true });
  }
});
