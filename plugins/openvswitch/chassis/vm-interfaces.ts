/** The VM interfaces of the integration bridge: a list kept in order, changed one entry at a time. */
import type { InterfaceFacts } from '../../../src/drivers/switch-plugin.ts';
import { type InterfaceRow, isOurs, portNumberOf } from './schema.ts';
import type { Topology } from './topology.ts';

type Entry = InterfaceFacts & { readonly uuid: string };

export class VmInterfaces {
  readonly #topology: Topology;
  readonly #byUuid = new Map<string, Entry>();
  /** By iface-id, then name: the order says nothing of when something came. */
  readonly #sorted: Entry[] = [];
  #changed = true;

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  /** Looks at an interface again, also one that is gone. */
  touch(row: InterfaceRow): void {
    const before = this.#byUuid.get(row.uuid);
    const after = this.#entry(row);
    if (before && after && same(before, after)) return;
    if (!before && !after) return;
    if (before) {
      this.#sorted.splice(this.#place(before), 1);
      this.#byUuid.delete(row.uuid);
    }
    if (after) {
      this.#sorted.splice(this.#place(after), 0, after);
      this.#byUuid.set(row.uuid, after);
    }
    this.#changed = true;
  }

  /** @returns the whole list if it has changed since it was last taken, or never was taken. */
  take(): InterfaceFacts[] | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    return this.#sorted.map(({ ifaceId, name, ofport, mac }) => ({ ifaceId, name, ofport, mac }));
  }

  #entry(row: InterfaceRow): Entry | undefined {
    const ids = row.external_ids;
    const ifaceId = ids.get('iface-id') || ids.get('xs-vif-uuid');
    const port = this.#topology.portOf(row.uuid);
    if (!ifaceId || !port || isOurs(port) || !this.#topology.onIntegrationBridge(port.uuid)) return undefined;
    const ofport = portNumberOf(row);
    if (ofport === undefined) return undefined;
    return { uuid: row.uuid, ifaceId, name: row.name, ofport, mac: ids.get('attached-mac')?.toLowerCase() };
  }

  /** Where the entry is, or belongs. */
  #place(entry: Entry): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (before(this.#sorted[middle]!, entry)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function before(a: Entry, b: Entry): boolean {
  if (a.ifaceId !== b.ifaceId) return a.ifaceId < b.ifaceId;
  if (a.name !== b.name) return a.name < b.name;
  return a.uuid < b.uuid;
}

function same(a: Entry, b: Entry): boolean {
  return a.ifaceId === b.ifaceId && a.name === b.name && a.ofport === b.ofport && a.mac === b.mac;
}
