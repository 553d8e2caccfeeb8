import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Listening, listen, type TlsFiles } from '../../src/api/listen.ts';
import type { ListenAddress } from '../../src/config.ts';
import { Follower } from './follower.ts';
import { type Harness, harness } from './support.ts';

/** Makes the certificate of the TLS test, which is skipped without it. */
const hasOpenssl = spawnSync('openssl', ['version'], { stdio: 'ignore' }).status === 0;

let h: Harness;
let directory: string;
let open: Listening | undefined;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyway-listen-'));
});
afterEach(async () => {
  await open?.close(500);
  open = undefined;
  await h.close();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const tcp: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 };

async function start(addresses: ListenAddress[], tls?: TlsFiles): Promise<string[]> {
  h = await harness();
  open = await listen(h.app, addresses, tls);
  return open.urls;
}

type Answer = { status: number; headers: http.IncomingHttpHeaders; text: string };

function request(options: https.RequestOptions, body?: string, url = 'http://localhost'): Promise<Answer> {
  const { request: send } = url.startsWith('https') ? https : http;
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${h.secrets.admin}`,
      'content-type': 'application/json',
      ...options.headers,
    };
    const all = { method: 'GET', path: '/healthz', agent: false, ...options, headers };
    const sent = send(url, all, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(parts).toString() }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Writes bytes to a connection and reads until it is closed. */
function raw(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => {
      text += part;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}

describe('listening', () => {
  test('on several addresses serves the same API', async () => {
    const path = join(directory, 'api.sock');
    const urls = await start([tcp, { kind: 'unix', path }, tcp]);
    expect(urls).toEqual([
      expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      `unix:${path}`,
      expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    ]);
    const put = { method: 'PUT', path: '/v1/tenants/acme' };
    expect((await request(put, '{}', urls[0])).status).toBe(201);
    expect((await request({ path: '/v1/tenants/acme', socketPath: path })).status).toBe(200);
    expect((await request({ path: '/v1/tenants/acme' }, undefined, urls[2])).status).toBe(200);
    const { text } = await request({ path: '/metrics', socketPath: path, headers: { authorization: '' } });
    expect(text).toContain('keyway_http_request_duration_seconds');
  });

  test('on a unix socket is for the owner only, and leaves no file behind', async () => {
    const path = join(directory, 'private.sock');
    const before = process.umask(0);
    try {
      await start([{ kind: 'unix', path }]);
    } finally {
      process.umask(before);
    }
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await open?.close();
    expect(() => statSync(path)).toThrow(/ENOENT/);
    // The umask is as it was.
    writeFileSync(join(directory, 'file'), '');
    expect(statSync(join(directory, 'file')).mode & 0o777).toBe(0o666 & ~before);
  });

  test('on a unix socket serves event streams too', async () => {
    const path = join(directory, 'events.sock');
    await start([{ kind: 'unix', path }]);
    const follower = new Follower(`ws+unix://${path}:/v1/events`, h.secrets.admin);
    await follower.synced();
    follower.close();
  });

  test('takes over a socket whose owner is gone, and no other', async () => {
    const path = join(directory, 'stale.sock');
    // A process that dies without a word leaves its socket behind.
    const child = `const s = require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    expect(() => execFileSync(process.execPath, ['-e', child], { stdio: 'ignore' })).toThrow();
    expect(statSync(path).isSocket()).toBe(true);
    await start([{ kind: 'unix', path }]);
    expect((await request({ socketPath: path })).status).toBe(200);
    await expect(listen(h.app, [{ kind: 'unix', path }])).rejects.toThrow(/another program/);
    expect((await request({ socketPath: path })).status).toBe(200);
    writeFileSync(join(directory, 'plain'), 'precious');
    const file = { kind: 'unix', path: join(directory, 'plain') } as const;
    await expect(listen(h.app, [file])).rejects.toThrow(/not a socket/);
  });

  test('says which address it cannot have, and leaves none open', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    const path = join(directory, 'half.sock');
    h = await harness();
    try {
      const addresses: ListenAddress[] = [
        { kind: 'unix', path },
        { ...tcp, port },
      ];
      await expect(listen(h.app, addresses)).rejects.toThrow(`Cannot listen on 127.0.0.1:${port}`);
      expect(() => statSync(path)).toThrow(/ENOENT/);
    } finally {
      other.close();
    }
  });

  test.skipIf(!hasOpenssl)('over TLS (with a certificate made by openssl)', async () => {
    const files = { certificateFile: join(directory, 'cert.pem'), keyFile: join(directory, 'key.pem') };
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '1',
        '-subj',
        '/CN=localhost',
        '-keyout',
        files.keyFile,
        '-out',
        files.certificateFile,
      ],
      { stdio: 'ignore' },
    );
    const [url] = await start([tcp], files);
    expect(url).toMatch(/^https:/);
    expect((await request({ path: '/v1/tenants', rejectUnauthorized: false }, undefined, url)).status).toBe(200);
    await expect(request({}, undefined, url)).rejects.toThrow(/self-signed/);
    const follower = new Follower(`${url!.replace('https', 'wss')}/v1/events`, h.secrets.admin, {
      rejectUnauthorized: false,
    });
    await follower.synced();
    follower.close();
  });
});

describe('on the wire', () => {
  test('a body of 5 MB is refused as soon as its length is known', async () => {
    const [url] = await start([tcp]);
    const revision = h.store.revision;
    const answer = await request(
      { method: 'PUT', path: '/v1/tenants/x' },
      JSON.stringify({ description: 'x'.repeat(5_000_000) }),
      url,
    );
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.text).code).toBe('request.too-large');
    const announced = await raw(
      url!,
      `PUT /v1/tenants/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${h.secrets.admin}\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\nConnection: close\r\n\r\n{`,
    );
    expect(announced).toMatch(/^HTTP\/1\.1 413 /);
    expect(h.store.revision).toBe(revision);
  });

  test('a body of 5 MB in chunks of unknown number is refused once it is too large', async () => {
    const [url] = await start([tcp]);
    const answer = await new Promise<Answer>((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${h.secrets.admin}`,
        'content-type': 'application/json',
        'transfer-encoding': 'chunked',
      };
      const sent = http.request(`${url}/v1/tenants/x`, { method: 'PUT', headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      });
      sent.on('error', reject);
      sent.write('{"description":"');
      for (let i = 0; i < 50; i++) sent.write('x'.repeat(100_000));
      sent.end('"}');
    });
    expect(answer.status).toBe(413);
  });

  test('what is no HTTP is told so', async () => {
    const [url] = await start([tcp]);
    const answer = await raw(url!, 'EHLO keyway\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"request\.malformed"/);
    const headers = await raw(url!, `GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(headers).toMatch(/^HTTP\/1\.1 413 [\s\S]*"code":"request\.too-large"/);
    expect((await request({}, undefined, url)).status).toBe(200);
  });
});

describe('closing', () => {
  test('lets an answer under way finish, and takes nothing new', async () => {
    const [url] = await start([tcp]);
    h.fleet.add('hv1', { automatic: false });
    const waiting = request({ method: 'PUT', path: '/v1/tenants/acme?wait=programmed&timeout=10s' }, '{}', url);
    while (h.intent.get('tenants/acme') === undefined) await new Promise(setImmediate);
    const closing = open!.close();
    await expect(request({}, undefined, url)).rejects.toThrow(/ECONNREFUSED/);
    h.fleet.acknowledge('hv1');
    expect((await waiting).status).toBe(201);
    await closing;
  });

  test('cuts what does not finish in time', async () => {
    const [url] = await start([tcp]);
    h.fleet.add('hv1', { automatic: false });
    const waiting = request({ method: 'PUT', path: '/v1/tenants/acme?wait=programmed&timeout=5m' }, '{}', url);
    waiting.catch(() => {});
    while (h.intent.get('tenants/acme') === undefined) await new Promise(setImmediate);
    const started = Date.now();
    await open!.close(100);
    expect(Date.now() - started).toBeLessThan(3_000);
    await expect(waiting).rejects.toThrow();
    h.fleet.acknowledge('hv1');
  });
});
