import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { flip } from '../ovsdb/streams.ts';
import { openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { admission, Recorder, until } from './recorder.ts';

async function call(manager: string): Promise<Socket> {
  const socket = connect(Number(manager.split(':')[2]), '127.0.0.1');
  // Being cut off is what these tests are about.
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

function ended(socket: Socket): Promise<void> {
  socket.resume();
  return new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));
}

/** Answers the monitor request, which is the first and has id 1. */
const answer = (result: unknown): string => JSON.stringify({ id: 1, result, error: null });

const uuid = '5d1ae5a4-8a0c-4a4b-9c53-0d3e7d0a5e11';
const root = (externalIds: unknown): unknown => ({
  Open_vSwitch: { [uuid]: { initial: { external_ids: externalIds } } },
});

const attacks: Record<string, { bytes: string; reason: RegExp }> = {
  'a TLS greeting': { bytes: '\x16\x03\x01\x02\x00', reason: /0x16 where a JSON object should begin/ },
  'an HTTP request': { bytes: 'GET / HTTP/1.1\r\n\r\n', reason: /0x47 where/ },
  'broken JSON': { bytes: '{"id":1,"result":}', reason: /not JSON/ },
  'brackets without end': { bytes: `{"a":${'['.repeat(200)}`, reason: /nested deeper/ },
  'seventeen megabytes': { bytes: `{"a":"${'x'.repeat(17 << 20)}"}`, reason: /more than 16777216 bytes/ },
  'an answer nobody asked for': { bytes: '{"id":"x","result":{},"error":null}', reason: /nobody asked/ },
  'no database': { bytes: '{"id":1,"result":null,"error":"unknown database"}', reason: /unknown database/ },
  'an empty database': { bytes: answer({}), reason: /no system-id/ },
  'an empty system-id': { bytes: answer(root(['map', [['system-id', ' ']]])), reason: /ovs-vsctl set/ },
  'a list for tables': { bytes: answer([]), reason: /monitor_cond answered with/ },
  'a string for a map': { bytes: answer(root('system-id')), reason: /where a map is due/ },
  'a table nobody asked for': { bytes: answer({ __proto__2: {} }), reason: /an update of table/ },
};

test('whatever a caller sends costs its own session only', { timeout: 60_000 }, async (context) => {
  await openVswitchOrSkip(context);
  await using recorder = await Recorder.start();
  recorder.server.admit(admission);
  await using vswitch = await startDummySwitch({ bridge: 'br-int', manager: recorder.manager });
  await until('the first list', () => recorder.interfaces.length > 0);
  for (const [what, { bytes, reason }] of Object.entries(attacks)) {
    const told = recorder.refused.length;
    const socket = await call(recorder.manager);
    socket.resume();
    socket.write(bytes);
    await ended(socket);
    await until(`a refusal of ${what}`, () => recorder.refused.length > told);
    expect(recorder.refused.slice(told)).toEqual([{ peer: 'tcp:127.0.0.1', reason: expect.stringMatching(reason) }]);
  }
  const told = recorder.refused.length;
  const rude = await call(recorder.manager);
  rude.end('{"method":"upd');
  await ended(rude);
  await vswitch.addPort('vif1', 'vm-1');
  await until('the true one to be heard', () => recorder.bound.join() === 'vm-1@vif1');
  expect(recorder.refused.length).toBe(told);
  expect(recorder.gone).toEqual([]);
  expect(recorder.chassis).toHaveLength(1);
});

test('a known hypervisor that goes bad loses its session, and the reason is told', async () => {
  await using recorder = await Recorder.start();
  const socket = await call(recorder.manager);
  socket.resume();
  socket.write(answer(root(['map', [['system-id', 'hv9']]])));
  await recorder.known('hv9');
  const update = {
    method: 'update2',
    params: ['monitor_cond-1', { Port: { [uuid]: { modify: { name: 'x' } } } }],
    id: null,
  };
  socket.write(JSON.stringify(update));
  await until('the loss', () => recorder.gone.length === 1);
  expect(recorder.gone[0]).toEqual({ systemId: 'hv9', reason: expect.stringMatching(/unknown here/) });
  expect(recorder.refused).toEqual([]);
});

test('callers who say nothing do not keep others out for long', async () => {
  await using recorder = await Recorder.start({ identifyTimeout: 2000 });
  const silent = await Promise.all(Array.from({ length: 256 }, () => call(recorder.manager)));
  const late = await call(recorder.manager);
  await ended(late);
  expect(recorder.refused).toEqual([{ peer: 'tcp:127.0.0.1', reason: expect.stringMatching(/256 sessions are open/) }]);
  await Promise.all(silent.map(ended));
  expect(recorder.refused.filter(({ reason }) => /did not show its Open_vSwitch table/.test(reason))).toHaveLength(256);
  const socket = await call(recorder.manager);
  socket.resume();
  socket.write(answer(root(['map', [['system-id', 'hv9']]])));
  await recorder.known('hv9');
  socket.destroy();
});

test('no flipped bit on the way from a hypervisor brings the server down', { timeout: 60_000 }, async (context) => {
  await openVswitchOrSkip(context);
  await using recorder = await Recorder.start();
  recorder.server.admit(admission);
  await using healthy = await startDummySwitch({ bridge: 'br-int', manager: recorder.manager });
  await using vswitch = await startDummySwitch({ bridge: 'br-int', systemId: 'hv2' });
  await vswitch.addPort('vif1', 'vm-1');
  recorder.server.admit({ hypervisor: 2, systemId: 'hv2', datapathId: 2n });
  recorder.server.setTunnels(2, [{ peer: 1, remoteIp: '192.0.2.1' }]);
  const relay = async (bits: number[]): Promise<void> => {
    const database = connect(vswitch.databasePath);
    const manager = await call(recorder.manager);
    database.on('error', () => {});
    database.on('data', (chunk: Buffer) => void (manager.writable && manager.write(flip(chunk, bits))));
    manager.on('data', (chunk: Buffer) => database.write(chunk));
    const over = ended(manager);
    await Promise.race([over, sleep(20)]);
    manager.destroy();
    database.destroy();
    await over;
  };
  await fc.assert(fc.asyncProperty(fc.array(fc.nat(20_000), { minLength: 1, maxLength: 2 }), relay), { numRuns: 150 });
  await vswitch.vsctl('set-manager', recorder.manager);
  await until('hv2 to be heard in the clear', () => recorder.interfaces.some(({ hypervisor }) => hypervisor === 2));
  await healthy.addPort('vif1', 'vm-1');
  await until('the healthy one', () =>
    recorder.interfaces.some(({ hypervisor, list }) => hypervisor === 1 && list.length === 1),
  );
  expect(recorder.gone.filter(({ systemId }) => systemId === 'hv1')).toEqual([]);
});
