import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { requestApi } from '../../src/sandbox/api-client.ts';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { openFrontDoor } from '../../src/sandbox/front-door.ts';

test('what comes in on the loopback reaches the Unix socket, and the answer comes back; a taken port is passed over', async () => {
  await using directory = ephemeralDirectory('kw-door-');
  const socket = join(directory.path, 'api.sock');
  const body = 'x'.repeat(300_000);
  const api = createHttp((request, response) => {
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
    });
    request.on('end', () => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method: request.method, url: request.url, size, body }));
    });
  }).listen(socket);
  const taken = createServer().listen(0, '127.0.0.1');
  await Promise.all([once(api, 'listening'), once(taken, 'listening')]);
  try {
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await using door = await openFrontDoor(socket, port);
    expect(door.port).not.toBe(port);
    const answer = await fetch(`http://127.0.0.1:${door.port}/v1/x?y=1`, { method: 'POST', body: body + body });
    const expected = { method: 'POST', url: '/v1/x?y=1', size: 600_000, body };
    expect(await answer.json()).toEqual(expected);
    const direct = await requestApi(socket, 'PUT', '/v1/z', { a: 1 });
    expect(direct).toMatchObject({ status: 200, body: { method: 'PUT', url: '/v1/z', size: 7 } });
  } finally {
    api.closeAllConnections();
    api.close();
    taken.close();
  }
});

test('with nobody behind the socket the client sees its connection closed', async () => {
  await using directory = ephemeralDirectory('kw-door-');
  await using door = await openFrontDoor(join(directory.path, 'nobody.sock'), 0);
  await expect(fetch(`http://127.0.0.1:${door.port}/`)).rejects.toThrow();
});
