/** Which interface is on which port on which bridge, and names: kept up row by row, so that a change costs what it touches. */
import { bridgeNameOf } from './facts.ts';
import type { BridgeRow, Cache, Change, InterfaceRow, PortRow, RootRow } from './schema.ts';

/** What an update touched. Rows that went are here as they were last. */
export type Touched = {
  root: boolean;
  /** Another row is the integration bridge now, or none: everything about ports is to be looked at anew. */
  integrationBridge: boolean;
  /** Names of bridges that came or went, or have another datapath now. */
  bridges: Set<string>;
  ports: Map<string, PortRow>;
  interfaces: Map<string, InterfaceRow>;
};

export class Topology {
  readonly #cache: Cache;
  readonly #bridgeOfPort = new Map<string, string>();
  readonly #portOfInterface = new Map<string, string>();
  /** Names are unique in each table and never change (ovs-vswitchd.conf.db(5)). */
  readonly #bridgeByName = new Map<string, string>();
  readonly #portByName = new Map<string, string>();
  readonly #interfaceByName = new Map<string, string>();
  #integrationBridge: BridgeRow | undefined;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** The one row of Open_vSwitch. */
  get root(): RootRow | undefined {
    return this.#cache.table('Open_vSwitch').values().next().value;
  }

  get integrationBridgeName(): string {
    return bridgeNameOf(this.root?.external_ids ?? new Map());
  }

  get integrationBridge(): BridgeRow | undefined {
    return this.#integrationBridge;
  }

  bridgeByName(name: string): BridgeRow | undefined {
    return this.#cache.row('Bridge', this.#bridgeByName.get(name) ?? '');
  }

  bridgeOf(portUuid: string): BridgeRow | undefined {
    return this.#cache.row('Bridge', this.#bridgeOfPort.get(portUuid) ?? '');
  }

  portByName(name: string): PortRow | undefined {
    return this.#cache.row('Port', this.#portByName.get(name) ?? '');
  }

  interfaceByName(name: string): InterfaceRow | undefined {
    return this.#cache.row('Interface', this.#interfaceByName.get(name) ?? '');
  }

  portOf(interfaceUuid: string): PortRow | undefined {
    return this.#cache.row('Port', this.#portOfInterface.get(interfaceUuid) ?? '');
  }

  onIntegrationBridge(portUuid: string): boolean {
    const bridge = this.#integrationBridge;
    return bridge !== undefined && this.#bridgeOfPort.get(portUuid) === bridge.uuid;
  }

  /** Takes what the cache has just applied. */
  update(changes: readonly Change[]): Touched {
    const touched: Touched = {
      root: false,
      integrationBridge: false,
      bridges: new Set(),
      ports: new Map(),
      interfaces: new Map(),
    };
    for (const change of changes) {
      switch (change.table) {
        case 'Open_vSwitch':
          touched.root = true;
          break;
        case 'Bridge':
          this.#named(this.#bridgeByName, change);
          if (change.kind !== 'modify' || change.columns.has('datapath_type')) touched.bridges.add(change.row.name);
          this.#moved(this.#bridgeOfPort, change.row.uuid, change.membership('ports'), (port) => {
            const row = this.#cache.row('Port', port);
            if (row) touched.ports.set(port, row);
          });
          break;
        case 'Port':
          this.#named(this.#portByName, change);
          touched.ports.set(change.row.uuid, change.row);
          this.#moved(this.#portOfInterface, change.row.uuid, change.membership('interfaces'), (uuid) => {
            const row = this.#cache.row('Interface', uuid);
            if (row) touched.interfaces.set(uuid, row);
          });
          break;
        case 'Interface':
          this.#named(this.#interfaceByName, change);
          touched.interfaces.set(change.row.uuid, change.row);
          break;
      }
    }
    if (touched.root || touched.bridges.size > 0) touched.integrationBridge = this.#findIntegrationBridge();
    for (const port of touched.ports.values()) {
      for (const uuid of port.interfaces) {
        const row = this.#cache.row('Interface', uuid);
        if (row) touched.interfaces.set(uuid, row);
      }
    }
    return touched;
  }

  /** A member may leave one parent and join another in one update, told in either order. */
  #moved(
    parents: Map<string, string>,
    parent: string,
    { added, removed }: { added: unknown[]; removed: unknown[] },
    touch: (member: string) => void,
  ): void {
    for (const member of removed as string[]) {
      if (parents.get(member) === parent) parents.delete(member);
      touch(member);
    }
    for (const member of added as string[]) {
      parents.set(member, parent);
      touch(member);
    }
  }

  /** A row may go and another of its name come in one update, told in either order. */
  #named(names: Map<string, string>, { kind, row }: { kind: string; row: { uuid: string; name: string } }): void {
    if (kind === 'insert') names.set(row.name, row.uuid);
    else if (kind === 'delete' && names.get(row.name) === row.uuid) names.delete(row.name);
  }

  #findIntegrationBridge(): boolean {
    const name = this.integrationBridgeName;
    const found = this.#cache
      .table('Bridge')
      .values()
      .find((bridge) => bridge.name === name);
    const other = found?.uuid !== this.#integrationBridge?.uuid;
    this.#integrationBridge = found;
    return other;
  }
}
