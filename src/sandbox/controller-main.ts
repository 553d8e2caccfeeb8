/** The controller of a sandbox, as a process of its own: settings come as one JSON argument, facts go back over IPC. */
import { flushCompileCache } from 'node:module';
import { type ControllerOptions, startController } from '../controller.ts';
import type { ControllerMessage } from './controller-process.ts';
import type { ControllerSettings } from './operations.ts';

const { dataDir, apiSocket, apiPort, address, trustedNetworks, tunnelLocalIp, extra } = JSON.parse(
  process.argv[2] ?? '',
) as ControllerSettings;

function tell(message: ControllerMessage): void {
  process.send?.(message);
}

try {
  const options: ControllerOptions = {
    dataDir,
    apiListen: [{ path: apiSocket }, ...(apiPort === undefined ? [] : [{ host: address, port: apiPort }])],
    ovsdbListen: [`ptcp:6640:${address}`],
    openflowListen: { host: address, port: 6653 },
    trustedNetworks,
    tunnelLocalIp,
    ...extra,
  };
  const controller = await startController(options);
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    // The channel would keep the process alive after everything else has ended.
    controller.stop().then(
      () => process.disconnect?.(),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.on(signal, stop);
  // It may be killed later, and then nothing is written on the way out.
  flushCompileCache();
  const { managers, adminTokenFile, apiUrls } = controller;
  tell({ ready: { managers, adminTokenFile, apiUrl: apiUrls.find((url) => url.startsWith('http:')) } });
} catch (error) {
  tell({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  process.exitCode = 1;
  process.disconnect?.();
}
