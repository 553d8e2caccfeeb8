import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Admin, type ApiAnswer, type ApiOptions, adminOf, requestApi, tokenIn } from './api-client.ts';
import type { Enclosure } from './enclosure.ts';
import { until } from './ephemeral.ts';
import type { LabHypervisor } from './lab.ts';
import type { ControllerFacts } from './operations.ts';
import { underlay } from './underlay.ts';

/** The controller of a lab, a process of its own inside, and its REST API as seen from outside. */
export type LabController = {
  /** Unix socket of the REST API. */
  apiSocket: string;
  /**
   * Starts it and waits until its API answers; after a kill it goes on with the same data. `extra` goes to
   * startController; `source` is the root of another version's tree.
   */
  startController(extra?: Record<string, unknown>, source?: string): Promise<ControllerFacts>;
  /** SIGKILL unless told. Resolves when it is gone; the data stay. */
  killController(signal?: NodeJS.Signals): Promise<void>;
  /** File with the first admin token, mode 0600. */
  adminTokenFile(): string;
  /** Resolves when its process has ended, with how. */
  controllerEnded(): Promise<string>;
  /** A request as admin, or with `token` ('' sends none). Every status is an answer. */
  api(method: string, path: string, body?: unknown, options?: ApiOptions): Promise<ApiAnswer>;
  /** A request as admin; resolves with the body. @throws Error when the answer is not 2xx. */
  admin: Admin;
  /** As seen from the namespaces of hypervisors. */
  apiUrl(): string;
  /**
   * Connects the hypervisor as its admin would (set-manager), approves it under its name, and waits for its br-int. `spec`:
   * what is said of it beside.
   */
  join(hypervisor: LabHypervisor, spec?: { gateway: boolean }): Promise<void>;
  /** Waits until the port is bound and programmed where it is bound. @param path tenants/T/networks/N/ports/P */
  portReady(path: string, timeout?: number): Promise<void>;
};

type PortAnswer = {
  binding: { hypervisor: string } | null;
  status: { state: string; observedRevision: number; programmedRevision: number; conditions: unknown[] };
};

export function createLabController(enclosure: Enclosure, directory: string): LabController {
  const apiSocket = join(directory, 'api.sock');
  const dataDir = join(directory, 'controller');
  mkdirSync(dataDir, { mode: 0o700 });
  let facts: ControllerFacts | undefined;
  const started = (): ControllerFacts => {
    if (facts === undefined) throw new Error('the controller has not been started');
    return facts;
  };
  const admin: Admin = (method, path, body) => adminOf(apiSocket, started().adminTokenFile)(method, path, body);
  return {
    apiSocket,
    admin,
    async startController(extra, source) {
      facts = await enclosure.call('controller.start', {
        dataDir,
        apiSocket,
        apiPort: 8080,
        address: underlay.management.controller,
        trustedNetworks: [underlay.management.prefix],
        ...(extra === undefined ? {} : { extra }),
        ...(source === undefined ? {} : { source }),
      });
      return facts;
    },
    adminTokenFile: () => started().adminTokenFile,
    controllerEnded: () => enclosure.call('controller.ended', {}),
    async killController(signal = 'SIGKILL') {
      await enclosure.call('controller.kill', { signal });
    },
    api: (method, path, body, options = {}) =>
      requestApi(apiSocket, method, path, body, {
        ...options,
        token: options.token ?? tokenIn(started().adminTokenFile),
      }),
    apiUrl() {
      const { apiUrl } = started();
      if (apiUrl === undefined) throw new Error('the controller listens on its socket alone');
      return apiUrl;
    },
    async join(hypervisor, spec) {
      await hypervisor.vsctl('set-manager', ...started().managers);
      await admin('PUT', `/v1/hypervisors/${hypervisor.name}`, {
        admission: 'approved',
        systemId: hypervisor.systemId,
        ...spec,
      });
      await hypervisor.vsctl('wait-until', 'Bridge', 'br-int', 'datapath_id!=[]');
    },
    async portReady(path, timeout = 15_000) {
      let last: unknown;
      try {
        await until(
          path,
          async () => {
            const port = (await admin('GET', `/v1/${path}`)) as PortAnswer;
            last = { binding: port.binding, status: port.status };
            return port.binding !== null && port.status.state === 'programmed';
          },
          timeout,
          25,
        );
      } catch (error) {
        throw new Error(`${path} is not bound and programmed: ${JSON.stringify(last)}`, { cause: error });
      }
    },
  };
}
