/** doctor, recompute, backup, compact and restore against the real API on a real store, with fake switches. */
import { spawnSync } from 'node:child_process';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createApp } from '../../src/api/app.ts';
import { Audit } from '../../src/auth/audit.ts';
import { Tokens } from '../../src/auth/tokens.ts';
import { loadConfig } from '../../src/config.ts';
import { Intent } from '../../src/intent/intent.ts';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { openLevelStore } from '../../src/store/level.ts';
import { type FakeCloud, openFakeCloud, quiet } from '../support/fake-cloud.ts';
import { bareEnv, type Ran, type RunOptions, cli as run } from './support.ts';

let cloud: FakeCloud;
let directory: string;
let env: Record<string, string>;
let open: AsyncDisposableStack;

beforeEach(async () => {
  open = new AsyncDisposableStack();
  const place = open.use(ephemeralDirectory('kw-upkeep-'));
  directory = place.path;
  cloud = open.use(
    await openFakeCloud(
      { hypervisors: 3, networks: 2, ports: 6, rules: 1 },
      await openLevelStore(`${directory}/store`),
    ),
  );
  const { core, store } = cloud;
  const tokens = await Tokens.load(store);
  const log = pino({ level: 'silent' });
  const audit = await Audit.load(store);
  const app = await createApp({ ...core, store, tokens, audit, config: loadConfig(undefined), log });
  open.defer(() => app.close());
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  env = { KEYWAY_URL: url, KEYWAY_TOKEN: (await tokens.create({ role: 'admin' })).secret };
});
afterEach(() => open.disposeAsync());

const cli = (line: string, options: RunOptions = {}): Promise<Ran> =>
  run(line.split(' '), { ...options, env: { ...env, ...options.env } });

describe('doctor', () => {
  test('prints a table, worst first, and says by its status whether something fails', async () => {
    const well = await cli('doctor');
    expect(well).toMatchObject({ status: 0, stderr: '' });
    expect(well.stdout).toMatch(/^STATE +CHECK +OBJECT +FOUND +WHAT TO DO\n/);
    expect(well.stdout).toMatch(/^ok +hypervisor\.connection +3 hypervisors +OVSDB and OpenFlow sessions are up/m);
    cloud.fake.connect('stranger', '192.0.2.99');
    await quiet(cloud.core);
    expect(await cli('doctor --quick')).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^STATE.*\nwarn +hypervisor\.approval +hypervisors\/stranger/),
    });
    cloud.fake.events.disconnected(2, 'cut');
    const ill = await cli('doctor', { columns: 100 });
    expect(ill.status).toBe(1);
    const plain = stripVTControlCharacters(ill.stdout);
    expect(plain).toMatch(/^STATE.*\nfail +hypervisor\.connection/);
    for (const line of plain.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    const { checks, worst } = JSON.parse((await cli('doctor -o json')).stdout) as { checks: object[]; worst: string };
    expect(worst).toBe('fail');
    expect(checks[0]).toMatchObject({ state: 'fail', object: 'hypervisors/hv2' });
  });
});

describe('recompute', () => {
  test('tells that nothing differs, what does, and sends it again', async () => {
    expect(await cli('recompute --dry-run')).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+ units of \d+ subjects compiled anew in [\d.]+ s, .*: nothing differs\.\n$/),
    });
    const units = cloud.fake.units.get(1)!;
    const [unit, flows] = [...units][3]!;
    units.delete(unit);
    const told = await cli('recompute --dry-run');
    expect(told.status).toBe(1);
    expect(told.stdout).toMatch(
      new RegExp(`^UNIT.*\n${unit} +southbound +is missing there +hv1 +-\n\n.*1 differs\\.\n$`),
    );
    expect(units.has(unit)).toBe(false);
    expect(await cli('recompute')).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/1 differs, and sent again/),
    });
    await quiet(cloud.core);
    expect(units.get(unit)).toEqual(flows);
    expect((await cli('recompute --dry-run')).status).toBe(0);
  });
});

describe('backup and restore', () => {
  const program = fileURLToPath(new URL('../../src/keyway.mjs', import.meta.url));
  const restore = (...args: string[]) =>
    spawnSync(process.execPath, [program, 'restore', ...args], {
      env: { ...bareEnv, HOME: process.env.HOME, PATH: process.env.PATH },
      encoding: 'utf8',
    });

  test('a file of mode 0600 that stands for the store: the controller started on it is the same', async () => {
    const file = `${directory}/keyway.backup`;
    const made = await cli(`backup ${file}`);
    const { revision } = cloud.store;
    expect(made).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(`${file}: revision ${revision}, \\d+ entries`),
    });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await cloud.core.intent.transact([{ op: 'delete', path: cloud.port(0, 0) }], { restrictedAllowed: true });

    const restored = restore(file, '--data-dir', `${directory}/again`);
    expect(restored).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining(`revision ${revision}`) });
    const store = await openLevelStore(`${directory}/again/store`);
    const intent = await Intent.open(store);
    expect(store.revision).toBe(revision);
    expect(intent.getAs('port', cloud.port(0, 0))?.spec.ifaceId).toBe('if-0-0');
    expect((await Tokens.load(store)).authenticate(env.KEYWAY_TOKEN!)?.role).toBe('admin');
    await store.close();

    expect(restore(file, '--data-dir', `${directory}/again`)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('is not empty'),
    });
    const cut = `${directory}/cut.backup`;
    await writeFile(cut, (await readFile(file)).subarray(0, -10));
    expect(restore(cut, '--data-dir', `${directory}/other`)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('cut off'),
    });
    expect(await readdir(`${directory}/other`)).toEqual([]);
    expect(restore(file)).toMatchObject({ status: 2, stderr: expect.stringContaining('--data-dir DIR') });
    expect(restore('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('--data-dir') });
  });

  test('to standard output, and over a file that was there', async () => {
    const { stdout, status } = await cli('backup -');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\{"keyway":.*\n(\{"key":.*\n)+\{"entries":\d+,"sha256":"[0-9a-f]{64}"\}\n$/);
    const file = `${directory}/keyway.backup`;
    await writeFile(file, 'before', { mode: 0o644 });
    expect((await cli(`backup ${file} -o json`)).status).toBe(0);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, 'utf8')).toMatch(/^\{"keyway":/);
  });

  test('what cannot be written, or may not be had, leaves nothing', async () => {
    expect(await cli(`backup ${directory}/none/keyway.backup`)).toMatchObject({ status: 2, stdout: '' });
    const tokens = await Tokens.load(cloud.store);
    const { secret } = await tokens.create({ role: 'operator' });
    // Made behind the API's back: it knows none of it.
    expect(await cli(`backup ${directory}/x`, { env: { KEYWAY_TOKEN: secret } })).toMatchObject({ status: 3 });
    expect((await readdir(directory)).sort()).toEqual(['store']);
  });

  test.each([
    ['cut off', (text: string) => text.slice(0, -20)],
    ['changed on the way', (text: string) => text.replace('"key":"', '"key":"x')],
    ['nothing', () => ''],
  ])('one that comes %s is not kept', async (_, change) => {
    const whole = (await cli('backup -')).stdout;
    const server: Server = createServer((_request, response) => response.end(change(whole)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const file = `${directory}/bad.backup`;
      const answer = await cli(`backup ${file}`, { env: { KEYWAY_URL: url } });
      expect(answer).toMatchObject({ status: 4, stderr: expect.stringContaining('not whole') });
      expect((await readdir(directory)).sort()).toEqual(['store']);
    } finally {
      server.close();
    }
  });
});

test('compact tells how far the log reaches and what the disk has back', async () => {
  const values = Array.from({ length: 500 }, (_, n): [string, string] => [`x/${n}`, JSON.stringify('y'.repeat(4_000))]);
  await cloud.store.commit({ put: new Map(values) });
  await cloud.store.commit({ delete: values.map(([key]) => key) });
  const answer = await cli('compact --changes 1000');
  expect(answer).toMatchObject({ status: 0, stderr: '' });
  expect(answer.stdout).toMatch(
    /^Revision: +\d+\nChanges kept since: +0\nOn the disk: +[\d.]+ MB before, [\d.]+ MB now\n$/,
  );
  expect(await cli('compact --changes 10')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('1000 or more'),
  });
});
