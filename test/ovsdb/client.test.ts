import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DatabaseCache } from '../../plugins/openvswitch/ovsdb/cache.ts';
import { ConnectionClosedError, OvsdbError } from '../../plugins/openvswitch/ovsdb/errors.ts';
import { select } from '../../plugins/openvswitch/ovsdb/operations.ts';
import { mapOf, optional, scalar, setOf } from '../../plugins/openvswitch/ovsdb/schema.ts';
import { type Message, ScriptedServer } from './scripted-server.ts';
import { cut, flip, lengths } from './streams.ts';

const closed = (server: ScriptedServer): Promise<string> => server.connection.closed;

describe('requests', () => {
  test('are told apart by their ids, whatever order the answers have', async () => {
    const server = new ScriptedServer();
    const [one, two] = [server.connection.request('list_dbs', []), server.connection.request('get_schema', ['x'])];
    const [first, second] = [await server.next(), await server.next()];
    expect([first.method, second.method, second.params]).toEqual(['list_dbs', 'get_schema', ['x']]);
    server.send({ id: second.id, result: 2, error: null }, { id: first.id, result: 1, error: null });
    expect(await Promise.all([one, two])).toEqual([1, 2]);
  });

  test('fail with what the server says', async () => {
    const server = new ScriptedServer();
    const text = expect(server.connection.request('x', [])).rejects.toThrow(new OvsdbError('unknown method'));
    await server.reply(null, 'unknown method');
    await text;
    const object = expect(server.connection.request('x', [])).rejects.toMatchObject({ error: 'e', details: 'd' });
    await server.reply(null, { error: 'e', details: 'd' });
    await object;
    expect(server.connection.isClosed).toBe(false);
  });

  test('of a transaction that fails say which operation it was', async () => {
    const server = new ScriptedServer();
    const operations = [select('Bridge', []), select('Port', [])];
    const second = expect(server.connection.transact('db', operations)).rejects.toMatchObject({
      error: 'timed out',
      details: 'slow',
      operation: 1,
    });
    expect((await server.reply([{ rows: [] }, { error: 'timed out', details: 'slow' }, null])).params).toEqual([
      'db',
      ...operations,
    ]);
    await second;
    const commit = expect(server.connection.transact('db', operations)).rejects.toMatchObject({
      error: 'constraint violation',
      operation: undefined,
    });
    await server.reply([{ rows: [] }, { rows: [] }, { error: 'constraint violation' }]);
    await commit;
  });

  test('are all rejected when the session ends, and afterwards', async () => {
    const server = new ScriptedServer();
    const pending = [server.connection.request('a', []), server.connection.transact('b', [])];
    server.connection.close('enough');
    for (const one of pending) await expect(one).rejects.toThrow(ConnectionClosedError);
    await expect(server.connection.request('c', [])).rejects.toThrow('c: enough');
    expect(await closed(server)).toBe('enough');
    expect(server.connection.endedByPeer).toBe(false);
  });

  test('are bounded in number', async () => {
    const server = new ScriptedServer({ maxPending: 1 });
    const one = server.connection.request('a', []);
    await expect(server.connection.request('b', [])).rejects.toThrow(/1 requests wait/);
    await server.reply(1);
    expect(await one).toBe(1);
  });
});

describe('echo', () => {
  test('is answered with what it carried, and other requests of the server with an error', async () => {
    const server = new ScriptedServer();
    server.send({ method: 'echo', params: ['a', 1], id: 'e1' }, { method: 'reboot', params: [], id: 7 });
    expect(await server.next()).toEqual({ id: 'e1', result: ['a', 1], error: null });
    expect(await server.next()).toEqual({ id: 7, result: null, error: 'unknown method' });
  });

  test('probes a silent server, which lives if it answers and is given up if it does not', async () => {
    const server = new ScriptedServer({ probeInterval: 40 });
    for (let turn = 0; turn < 2; turn++) expect((await server.reply([])).method).toBe('echo');
    expect((await server.next()).method).toBe('echo');
    expect(await closed(server)).toMatch(/no answer to a probe/);
  });

  test('is not needed while the server talks', async () => {
    const server = new ScriptedServer({ probeInterval: 400 });
    for (let turn = 0; turn < 6; turn++) {
      server.send({ method: 'echo', params: [turn], id: turn });
      expect((await server.next()).id).toBe(turn);
      await new Promise((resolve) => setTimeout(resolve, 80));
    }
    server.connection.close('done');
  });

  test('on demand is answered sooner than the one under way', async () => {
    const server = new ScriptedServer({ probeInterval: 60_000 });
    server.connection.probe(50_000);
    server.connection.probe(20);
    server.connection.probe(40_000);
    expect(await closed(server)).toMatch(/for 20 ms/);
  });
});

describe('a session is lost by', () => {
  const lost: Record<string, { bytes: string; reason: RegExp }> = {
    'what is not JSON': { bytes: '{"a":}', reason: /not JSON/ },
    'garbage between messages': { bytes: '\x16\x03\x01', reason: /0x16/ },
    'an answer nobody asked for': { bytes: '{"id":99,"result":1,"error":null}', reason: /nobody asked/ },
    'neither request nor answer': { bytes: '{"id":1}', reason: /no JSON-RPC message/ },
    'parameters that are no list': { bytes: '{"method":"update","params":{},"id":null}', reason: /parameters/ },
    'an update of an unknown monitor': {
      bytes: '{"method":"update2","params":["x",{}],"id":null}',
      reason: /unknown here/,
    },
    'a cancelled monitor': { bytes: '{"method":"monitor_canceled","params":["x"],"id":null}', reason: /cancelled/ },
    'a message that is too long': { bytes: `{"a":"${'x'.repeat(2000)}"}`, reason: /more than 1000 bytes/ },
  };
  for (const [what, { bytes, reason }] of Object.entries(lost)) {
    test(what, async () => {
      const server = new ScriptedServer({ maxBytes: 1000 });
      const pending = expect(server.connection.request('wait', [])).rejects.toThrow(ConnectionClosedError);
      server.stream.write(bytes);
      expect(await closed(server)).toMatch(reason);
      await pending;
      expect(server.connection.endedByPeer).toBe(false);
    });
  }

  test('its peer, in mid-message or not', async () => {
    const tidy = new ScriptedServer();
    tidy.stream.end();
    expect(await closed(tidy)).toBe('closed by the peer');
    const rude = new ScriptedServer();
    rude.stream.end('{"method":');
    expect(await closed(rude)).toBe('closed by the peer in mid-message');
    expect(rude.connection.endedByPeer).toBe(true);
  });

  test('a peer that asks and never reads', async () => {
    const server = new ScriptedServer({ maxBytes: 10_000 });
    server.stream.pause();
    for (let id = 0; id < 200; id++) server.send({ method: 'echo', params: ['x'.repeat(1000)], id });
    expect(await closed(server)).toBe('the peer does not read');
  });
});

describe('a monitor', () => {
  test('hands on first contents and updates in order, also when they come in one piece', async () => {
    const server = new ScriptedServer();
    const seen: unknown[] = [];
    const monitor = server.connection.monitor('db', { T: ['c'] }, (tables, version) => seen.push(version, tables));
    const request = await server.next();
    expect(request).toMatchObject({
      method: 'monitor_cond',
      params: ['db', expect.any(String), { T: [{ columns: ['c'] }] }],
    });
    const name = request.params![1];
    server.send(
      { id: request.id, result: { T: { first: 1 } }, error: null },
      { method: 'update2', params: [name, { T: { second: 2 } }], id: null },
      { method: 'update2', params: [name, { T: { third: 3 } }], id: null },
    );
    await monitor;
    expect(seen).toEqual([
      'update2',
      { T: { first: 1 } },
      'update2',
      { T: { second: 2 } },
      'update2',
      { T: { third: 3 } },
    ]);
  });

  test('falls back to what RFC 7047 has', async () => {
    const server = new ScriptedServer();
    const seen: unknown[] = [];
    const monitor = server.connection.monitor('db', { T: ['c'] }, (_, version) => seen.push(version));
    await server.reply(null, 'unknown method');
    const request = await server.reply({});
    expect(request).toMatchObject({ method: 'monitor', params: ['db', expect.any(String), { T: { columns: ['c'] } }] });
    await monitor;
    server.send({ method: 'update', params: [request.params![1], {}], id: null });
    server.send({ method: 'echo', params: [], id: 1 });
    await server.next();
    expect(seen).toEqual(['update', 'update']);
  });

  test('whose listener throws loses the session, and says why', async () => {
    const server = new ScriptedServer();
    const monitor = expect(
      server.connection.monitor('db', {}, () => {
        throw new Error('does not fit');
      }),
    ).rejects.toThrow(/does not fit/);
    await server.reply({});
    await monitor;
    expect(await closed(server)).toBe('does not fit');
  });
});

test('no flipped bit crashes a session or leaves it hanging', async () => {
  const schema = {
    T: { s: scalar('string'), i: optional('integer'), u: setOf('uuid'), m: mapOf('string', 'string') },
  };
  const row = '5d1ae5a4-8a0c-4a4b-9c53-0d3e7d0a5e11';
  const other = '0a3be5a4-8a0c-4a4b-9c53-0d3e7d0a5e22';
  const stream: Message[] = [
    {
      id: 1,
      result: { T: { [row]: { initial: { s: 'a\\"é', i: 7, u: ['uuid', other], m: ['map', [['k', 'v']]] } } } },
    },
    { method: 'update2', params: ['monitor_cond-1', { T: { [other]: { insert: {} } } }], id: null },
    { method: 'echo', params: ['x'], id: 'echo' },
    {
      method: 'update2',
      params: [
        'monitor_cond-1',
        { T: { [row]: { modify: { i: ['set', []], u: ['set', []], m: ['map', [['k', 'w']]] } } } },
      ],
      id: null,
    },
    { method: 'update2', params: ['monitor_cond-1', { T: { [other]: { delete: null } } }], id: null },
    { id: 2, result: [{ rows: [] }], error: null },
  ];
  const bytes = Buffer.from(stream.map((message) => JSON.stringify(message)).join(' '));
  const play = async (pieces: Uint8Array[]): Promise<{ rows: number; ends: unknown[] }> => {
    const server = new ScriptedServer();
    const cache = new DatabaseCache(schema);
    const asked = Promise.allSettled([
      server.connection.monitor('db', cache.watched, (tables, version) => cache.apply(tables, version)),
      server.connection.transact('db', [select('T', [])]),
    ]);
    for (const piece of pieces) server.stream.write(piece);
    server.stream.end();
    await closed(server);
    return { rows: cache.table('T').size, ends: (await asked).map(({ status }) => status) };
  };
  expect(await play([bytes])).toEqual({ rows: 1, ends: ['fulfilled', 'fulfilled'] });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(8 * bytes.length), { minLength: 1, maxLength: 3 }),
      lengths,
      async (bits, sizes) => {
        expect((await play(cut(flip(bytes, bits), sizes))).ends).toHaveLength(2);
      },
    ),
    { numRuns: 500 },
  );
});
