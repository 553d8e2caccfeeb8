import type { OvsdbConnection } from '../../plugins/openvswitch/ovsdb/client.ts';
import { connectUnix } from './central.ts';

/** Sees `ovn-installed` come up on the interfaces of one hypervisor, which ovn-controller sets when it has their flows. */
export class InstalledWatch {
  readonly #connection: OvsdbConnection;
  readonly #ids = new Map<string, string>();
  readonly #installed = new Set<string>();
  readonly #waiting = new Map<string, () => void>();

  private constructor(connection: OvsdbConnection) {
    this.#connection = connection;
  }

  /** @param path of the hypervisor's db.sock */
  static async open(path: string): Promise<InstalledWatch> {
    const watch = new InstalledWatch(await connectUnix(path));
    await watch.#connection.monitor('Open_vSwitch', { Interface: ['name', 'external_ids'] }, (tables) =>
      watch.#updated((tables.Interface ?? {}) as Record<string, Record<string, Record<string, unknown>>>),
    );
    return watch;
  }

  wait(ifaceId: string): Promise<void> {
    if (this.#installed.has(ifaceId)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(ifaceId, resolve));
  }

  close(): void {
    this.#connection.close('the benchmark ends');
  }

  #updated(rows: Record<string, Record<string, Record<string, unknown>>>): void {
    for (const [uuid, change] of Object.entries(rows)) {
      const row = change.initial ?? change.insert ?? change.modify ?? {};
      const ids = JSON.stringify(row.external_ids ?? '');
      const told = /\["iface-id","([^"]+)"\]/.exec(ids)?.[1];
      if (told !== undefined) this.#ids.set(uuid, told);
      const ifaceId = this.#ids.get(uuid);
      if (ifaceId === undefined || !ids.includes('["ovn-installed","true"]')) continue;
      this.#installed.add(ifaceId);
      this.#waiting.get(ifaceId)?.();
      this.#waiting.delete(ifaceId);
    }
  }
}
