/** The controller of a benchmark, as a process of its own: settings come as one JSON argument, facts go back over IPC. */
import { flushCompileCache } from 'node:module';
import { startController } from '../../src/controller.ts';
import type { ControllerFacts, ControllerSettings } from './controller-process.ts';

const { dataDir, ports, logLevel } = JSON.parse(process.argv[2] ?? '') as ControllerSettings;

const controller = await startController({
  dataDir,
  apiListen: [{ host: '127.0.0.1', port: ports.api }],
  ovsdbListen: [`ptcp:${ports.ovsdb}:127.0.0.1`],
  openflowListen: { host: '127.0.0.1', port: ports.openflow },
  trustedNetworks: [],
  // The dummy datapath cannot route with it.
  tunnelLocalIp: false,
  logLevel,
});
const stop = (): void => {
  controller.stop().then(
    () => {
      // The channel would keep the process alive after everything else has ended.
      if (process.connected) process.disconnect();
    },
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
};
for (const signal of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.once(signal, stop);
// It may be killed later, and then nothing is written on the way out.
flushCompileCache();
const facts: ControllerFacts = {
  url: controller.apiUrls[0]!,
  manager: controller.managers[0]!,
  tokenFile: controller.adminTokenFile,
};
process.send?.(facts);
