import { createHash } from 'node:crypto';
import { get, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Tokens } from '../../src/auth/tokens.ts';
import { Intent } from '../../src/intent/intent.ts';
import { ephemeralDirectory, until } from '../../src/sandbox/ephemeral.ts';
import { openLevelStore } from '../../src/store/level.ts';
import { restoreLevelStore } from '../../src/store/restore.ts';
import { version } from '../../src/version.ts';
import { type Harness, harness, problemOf, shop } from './support.ts';

let h: Harness;
beforeEach(async () => {
  h = await harness();
});
afterEach(() => h.close());

const deeds = async (): Promise<string[]> =>
  (await h.ask('admin', 'GET', 'audit')).body.items.map(({ action }: { action: string }) => action);

describe('recompute', () => {
  test('is a rehearsal as GET, and sends anew as POST, which the audit knows of', async () => {
    h.fleet.add('hv1');
    const told = await h.ask('operator', 'GET', 'recompute');
    expect(told).toMatchObject({ status: 200, body: { mended: false, different: [{ hypervisors: ['hv1'] }] } });
    expect(await deeds()).not.toContain('recompute');
    const mended = await h.ask('operator', 'POST', 'recompute');
    expect(mended).toMatchObject({ status: 200, body: { mended: true } });
    expect((await deeds())[0]).toBe('recompute');
  });

  test('takes no body and no query', async () => {
    expect(problemOf(await h.ask('admin', 'POST', 'recompute', { mend: true }), 'request.invalid').errors).toHaveLength(
      1,
    );
    problemOf(await h.ask('admin', 'POST', 'recompute?dryRun=true'), 'request.invalid');
    expect(await deeds()).not.toContain('recompute');
  });
});

test('doctor answers with checks, and quick when asked', async () => {
  const { body } = await h.ask('operator', 'GET', 'doctor');
  expect(body.checks[0]).toMatchObject({ check: 'drift', found: 'no drift' });
  expect((await h.ask('operator', 'GET', 'doctor?quick=true')).body.checks[0].found).toBe('not read back');
  problemOf(await h.ask('operator', 'GET', 'doctor?quick=perhaps'), 'request.invalid');
});

describe('backup', () => {
  test('is the whole store: what is restored from it answers as the original did', async () => {
    await using place = ephemeralDirectory('kw-backup-');
    await h.ask('admin', 'POST', 'apply', { resources: [...shop('acme'), ...shop('globex')] });
    await h.ask('admin', 'DELETE', 'tenants/globex/networks/shop/rules/web-to-db');
    const answer = await h.ask('admin', 'GET', 'backup');
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
      'content-disposition': `attachment; filename="keyway-${h.store.revision}.backup"`,
    });
    expect((await deeds())[0]).toBe('backup');
    const lines = answer.text.trimEnd().split('\n');
    expect(JSON.parse(lines[0]!)).toEqual({
      keyway: version,
      schema: 1,
      revision: h.store.revision,
      at: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    const body = answer.text.slice(0, answer.text.lastIndexOf('{"entries"'));
    expect(JSON.parse(lines.at(-1)!)).toEqual({
      entries: lines.length - 2,
      sha256: createHash('sha256').update(body).digest('hex'),
    });

    await restoreLevelStore(
      `${place.path}/store`,
      (async function* () {
        yield Buffer.from(answer.text);
      })(),
    );
    const store = await openLevelStore(`${place.path}/store`);
    const intent = await Intent.open(store);
    expect(store.revision).toBe(h.store.revision);
    const paths = [
      'tenants/acme',
      'tenants/globex/networks/shop',
      'tenants/acme/networks/shop/ports/web1',
      'offerings/gold',
    ];
    for (const path of paths) expect(intent.get(path), path).toEqual(h.intent.get(path));
    expect(intent.get('tenants/globex/networks/shop/rules/web-to-db')).toBeUndefined();
    expect((await Tokens.load(store)).authenticate(h.secrets.acme)).toMatchObject({ role: 'tenant', tenant: 'acme' });
    // Ids go on where they were: nothing that is in use is given out again.
    await intent.transact([{ op: 'put', path: 'tenants/new', spec: {} }], { restrictedAllowed: true });
    const ids = ['acme', 'globex', 'new'].map((name) => intent.getAs('tenant', `tenants/${name}`)!.id);
    expect(new Set(ids).size).toBe(3);
    await store.close();
  });

  test('is not answered to HEAD, and to nobody but admins', async () => {
    expect((await h.ask('admin', 'HEAD', 'backup')).status).toBeGreaterThanOrEqual(404);
    for (const who of ['operator', 'orchestrator', 'acme'] as const)
      problemOf(await h.ask(who, 'GET', 'backup'), 'auth.forbidden');
  });

  describe('over a socket', () => {
    let open: number;
    let url: string;
    beforeEach(async () => {
      open = 0;
      const snapshot = h.store.snapshot.bind(h.store);
      h.store.snapshot = async () => {
        const made = await snapshot();
        open++;
        return {
          revision: made.revision,
          entries: () => made.entries(),
          [Symbol.asyncDispose]: async () => {
            open--;
            await made[Symbol.asyncDispose]();
          },
        };
      };
      const large = new Map(Array.from({ length: 400 }, (_, n) => [`x/${n}`, JSON.stringify('x'.repeat(100_000))]));
      await h.store.commit({ put: large });
      url = await h.app.listen({ host: '127.0.0.1', port: 0 });
    });

    const ask = (): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${h.secrets.admin}` };
        get(`${url}/v1/backup`, { headers }, resolve).on('error', reject);
      });

    test('a client that takes it slowly holds little of it in memory; others are answered meanwhile', async () => {
      const response = await ask();
      response.pause();
      expect(open).toBe(1);
      const before = process.memoryUsage().rss;
      for (let i = 0; i < 20; i++) expect((await h.ask('admin', 'GET', 'tenants')).status).toBe(200);
      await h.store.commit({ delete: Array.from({ length: 400 }, (_, n) => `x/${n}`) });
      let bytes = 0;
      let last = '';
      for await (const piece of response) {
        bytes += (piece as Buffer).length;
        last = (last + (piece as Buffer).toString()).slice(-200);
        if (bytes < 1 << 20) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect(bytes).toBeGreaterThan(40_000_000);
      expect(last).toMatch(/\n\{"entries":\d+,"sha256":"[0-9a-f]{64}"\}\n$/);
      expect(open).toBe(0);
      expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000);
    });

    test('a client that goes away leaves no snapshot behind', async () => {
      const response = await ask();
      response.once('data', () => response.destroy());
      await new Promise((resolve) => response.once('close', resolve));
      await until('the snapshot to be given up', () => open === 0);
    });

    test('a store that closes on the way ends it without its last line', async () => {
      const response = await ask();
      let text = '';
      let failed = false;
      try {
        for await (const piece of response) {
          text = (text + (piece as Buffer).toString()).slice(-200);
          void h.store.close();
        }
      } catch {
        // The connection is cut.
        failed = true;
      }
      expect(failed).toBe(true);
      expect(text).not.toContain('sha256');
      await until('the snapshot to be given up', () => open === 0);
    });
  });
});

describe('compact', () => {
  test('cuts the log as far as is asked for; who is further behind is told', async () => {
    for (let n = 0; n < 1_200; n += 100)
      await Promise.all(Array.from({ length: 100 }, (_, i) => h.store.commit({ put: new Map([[`x/${n + i}`, '1']]) })));
    const before = h.store.revision;
    const answer = await h.ask('admin', 'POST', 'compact?changes=1000');
    expect(answer).toMatchObject({ status: 200, body: { revision: before + 1, oldest: before - 999 } });
    expect(h.store.oldest).toBe(before - 999);
    const behind = h.store.watch(1)[Symbol.asyncIterator]();
    await expect(behind.next()).rejects.toMatchObject({ code: 'events.compacted' });
    expect((await deeds())[0]).toBe('compact');
  });

  test('keeps what the configuration keeps unless told, and never less than a thousand', async () => {
    const { oldest } = h.store;
    expect((await h.ask('admin', 'POST', 'compact')).body).toMatchObject({ oldest });
    for (const changes of ['999', '-1', 'all'])
      problemOf(await h.ask('admin', 'POST', `compact?changes=${changes}`), 'request.invalid');
    problemOf(await h.ask('admin', 'POST', 'compact', { changes: 5 }), 'request.invalid');
    problemOf(await h.ask('operator', 'POST', 'compact'), 'auth.forbidden');
  });
});
