/** A controller in a process of its own on the loopback, to be killed and started again on the same data. */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { type Admin, type ApiAnswer, adminOf, requestApi, tokenIn } from '../../src/sandbox/api-client.ts';
import { type ControllerProcess, startControllerProcess } from '../../src/sandbox/controller-process.ts';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';

export class Controller implements AsyncDisposable {
  readonly #files = ephemeralDirectory('kw-fault-');
  #process: ControllerProcess | undefined;
  #openflowPort: number | undefined;
  #token = '';

  get directory(): string {
    return this.#files.path;
  }

  get store(): string {
    return join(this.directory, 'data', 'store');
  }

  get #socket(): string {
    return join(this.directory, 'api.sock');
  }

  /** A socket, which stays the same: hypervisors on this machine find the next process at it. */
  get manager(): string {
    return `unix:${join(this.directory, 'ovsdb.sock')}`;
  }

  /** Any free port, another with each start. */
  get tcpManager(): string {
    return this.#process!.facts.managers.find((manager) => manager.startsWith('tcp:'))!;
  }

  async start(): Promise<void> {
    const dataDir = join(this.directory, 'data');
    mkdirSync(dataDir, { mode: 0o700, recursive: true });
    this.#openflowPort ??= await freePort();
    const extra = {
      ovsdbListen: [`p${this.manager}`, 'ptcp:0:127.0.0.1'],
      // The same with each start, as in a cloud.
      openflowListen: { host: '127.0.0.1', port: this.#openflowPort },
    };
    this.#process = await startControllerProcess(
      { dataDir, apiSocket: this.#socket, address: '127.0.0.1', trustedNetworks: [], tunnelLocalIp: false, extra },
      join(this.directory, 'controller.log'),
    );
    this.#token = tokenIn(this.#process.facts.adminTokenFile);
  }

  /** SIGKILL. Resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#process?.stop('SIGKILL');
  }

  /** @throws Error when there is no answer, because it was killed say. */
  api(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    return requestApi(this.#socket, method, path, body, { token: this.#token });
  }

  get admin(): Admin {
    return adminOf(this.#socket, this.#process!.facts.adminTokenFile);
  }

  /** Of each hypervisor: connected, and everything confirmed. */
  async inSync(names: readonly string[]): Promise<boolean> {
    const text = (await this.admin('GET', '/metrics')) as string;
    return names.every(
      (name) =>
        text.includes(`keyway_hypervisor_connected{hypervisor="${name}"} 1`) &&
        text.includes(`keyway_hypervisor_passes_outstanding{hypervisor="${name}"} 0`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#files[Symbol.asyncDispose]();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
