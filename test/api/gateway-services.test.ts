/** The stream gateway hosts follow: who may, how it ends, and the program's own client against the real API. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Listening, listen } from '../../src/api/listen.ts';
import { ConfigurationStream } from '../../src/gateway-host/configuration/stream.ts';
import { type EphemeralDirectory, ephemeralDirectory, until } from '../../src/sandbox/ephemeral.ts';
import { Follower, Refusal } from './follower.ts';
import { type Harness, harness } from './support.ts';

let h: Harness;
let listening: Listening;
let files: EphemeralDirectory;
let token: { id: string; secret: string };
const followers: Follower[] = [];

beforeEach(async () => {
  h = await harness();
  files = ephemeralDirectory('keyway-stream-');
  listening = await listen(h.app, [{ kind: 'tcp', host: '127.0.0.1', port: 0 }]);
  await h.ask('admin', 'PUT', 'hypervisors/gw1', { admission: 'approved', gateway: true });
  await h.ask('admin', 'PUT', 'hypervisors/gw2', { admission: 'approved', gateway: true });
  const made = await h.ask('admin', 'POST', 'tokens', { role: 'gateway-host', hypervisor: 'gw1' });
  token = { id: made.body.token.id, secret: made.body.secret };
});
afterEach(async () => {
  for (const follower of followers.splice(0)) follower.close();
  await listening.close(1_000);
  await h.close();
  await files[Symbol.asyncDispose]();
});

function follow(name: string, secret: string | undefined): Follower {
  const follower = new Follower(
    `${listening.urls[0]!.replace('http', 'ws')}/v1/gateway-hosts/${name}/services`,
    secret,
  );
  followers.push(follower);
  return follower;
}

async function refusal(name: string, secret: string | undefined): Promise<number> {
  const error = await follow(name, secret).opened.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Refusal)) throw new Error(`not refused: ${String(error)}`);
  return error.status;
}

test('is for the program of that gateway host, and for admins', async () => {
  for (const secret of [token.secret, h.secrets.admin]) {
    const follower = follow('gw1', secret);
    expect(await follower.until(({ type }) => type === 'begin')).toMatchObject({ name: 'gw1' });
    await follower.until(({ type }) => type === 'end');
  }
  expect(await refusal('gw2', token.secret)).toBe(403);
  expect(await refusal('gw1', undefined)).toBe(401);
  for (const who of ['orchestrator', 'acme'] as const) expect(await refusal('gw1', h.secrets[who])).toBe(403);
  expect(await refusal('gw9', h.secrets.admin)).toBe(404);
  const answer = await h.ask('admin', 'GET', 'gateway-hosts/gw1/services');
  expect([answer.status, answer.body.code]).toEqual([400, 'request.invalid']);
});

test('the token opens nothing else', async () => {
  for (const path of ['tenants', 'hypervisors', 'hypervisors/gw1', 'events', 'tokens', 'audit', 'offerings']) {
    const answer = await h.app.inject({ url: `/v1/${path}`, headers: { authorization: `Bearer ${token.secret}` } });
    expect(answer.statusCode, path).toBe(403);
  }
});

test('ends at once when the token is revoked, and when the controller stops', async () => {
  const revoked = follow('gw1', token.secret);
  await revoked.until(({ type }) => type === 'end');
  await h.ask('admin', 'DELETE', `tokens/${token.id}`);
  expect((await revoked.closed).code).toBe(4401);
  const stopped = follow('gw1', h.secrets.admin);
  await stopped.until(({ type }) => type === 'end');
  await listening.close(1_000);
  expect((await stopped.closed).code).toBe(1001);
});

test('the program connects again, and says why it cannot', async () => {
  const lines: { reason?: string }[] = [];
  const tokenFile = join(files.path, 'token');
  writeFileSync(tokenFile, 'kw_wrong\n');
  let synced = 0;
  const stream = new ConfigurationStream({
    // The first of them is nobody.
    controllers: ['http://127.0.0.1:9', listening.urls[0]!],
    hypervisor: 'gw1',
    tokenFile,
    onMessage() {},
    onSynced: () => {
      synced++;
    },
    onLost() {},
    log: pino({ level: 'warn' }, { write: (line: string) => lines.push(JSON.parse(line) as { reason?: string }) }),
  });
  stream.start();
  try {
    await until('a reason', () => lines.some(({ reason }) => reason?.includes('401') === true), 10_000);
    expect(lines.some(({ reason }) => reason?.includes('ECONNREFUSED') === true)).toBe(true);
    // A new token takes no restart.
    writeFileSync(tokenFile, token.secret);
    await until('it is up to date', () => synced === 1, 20_000);
    for (const client of h.app.websocketServer.clients) client.terminate();
    await until('it is up to date again', () => synced === 2, 20_000);
  } finally {
    stream.close();
  }
});
