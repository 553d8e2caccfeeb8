import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startControllerProcess } from './controller-process.ts';
import { ephemeralDirectory } from './ephemeral.ts';
import { openFrontDoor } from './front-door.ts';

/** Where there can be no sandbox: the controller alone, on the loopback, to try its API and CLI without switches. */
export async function runControllerAlone(port: number, stop: Promise<NodeJS.Signals>): Promise<number> {
  console.log('\nStarting the controller alone: API and CLI work, hypervisors and packets there are none.');
  await using files = ephemeralDirectory('keyway-');
  const dataDir = join(files.path, 'controller');
  mkdirSync(dataDir, { mode: 0o700 });
  const apiSocket = join(files.path, 'api.sock');
  // Any free ports: on this machine a switch or another controller may have the usual ones.
  const extra = { ovsdbListen: ['ptcp:0:127.0.0.1'], openflowListen: { host: '127.0.0.1', port: 0 } };
  const controller = await startControllerProcess(
    { dataDir, apiSocket, address: '127.0.0.1', trustedNetworks: [], tunnelLocalIp: true, extra },
    join(files.path, 'controller.log'),
  );
  await using door = await openFrontDoor(apiSocket, port);
  const url = `http://${door.host}:${door.port}`;
  console.log(`
  REST API      ${url}  (pages at ${url}/docs)
  admin token   in ${controller.facts.adminTokenFile}

  export KEYWAY_URL=${url} KEYWAY_TOKEN=$(cat ${controller.facts.adminTokenFile})
  npx keyway tenant create acme

Ctrl-C ends it and leaves nothing behind.`);
  const how = await Promise.race([stop, controller.ended]);
  if (!how.startsWith('SIG')) console.error(`the controller ended with ${how}`);
  await controller.stop('SIGTERM');
  return how.startsWith('SIG') ? 0 : 1;
}
