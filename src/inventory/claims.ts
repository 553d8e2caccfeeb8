/**
 * Which hypervisor has which port, by the iface-ids the hypervisors show. The first to claim a port keeps it while its
 * claim lives; a claim of a hypervisor that is away is kept, but gives way to one that is here.
 */
import type { HypervisorNumber, InterfaceFacts } from '../drivers/switch-plugin.ts';

export type Claim = {
  hypervisor: HypervisorNumber;
  interface: string /** 0: remembered from an earlier run. */;
  ofport: number;
  live: boolean;
  /** Of the VM, where the hypervisor says it (external_ids:attached-mac). */
  mac: string | undefined;
};

type Row = Map<string, Claim>;

export class Claims {
  /** iface-id -> claims in order of arrival, one per hypervisor. */
  readonly #byIface = new Map<string, Claim[]>();
  readonly #byHost = new Map<HypervisorNumber, Row>();

  /** A binding known from before the start: it counts as first until its hypervisor says otherwise. */
  remember(ifaceId: string, hypervisor: HypervisorNumber): void {
    this.#set(ifaceId, { hypervisor, interface: '', ofport: 0, live: false, mac: undefined });
  }

  /** All interfaces of a hypervisor as they are now. Returns the iface-ids whose claims changed, those that went first. */
  update(hypervisor: HypervisorNumber, interfaces: readonly InterfaceFacts[]): string[] {
    const now = new Map<string, InterfaceFacts>();
    // Two interfaces of one hypervisor with one iface-id: the one that has it keeps it, else the first told.
    const row = this.#byHost.get(hypervisor);
    for (const i of interfaces)
      if (!now.has(i.ifaceId) || row?.get(i.ifaceId)?.interface === i.name) now.set(i.ifaceId, i);
    const changed: string[] = [];
    for (const ifaceId of [...(this.#byHost.get(hypervisor)?.keys() ?? [])]) {
      if (!now.has(ifaceId)) {
        this.#delete(ifaceId, hypervisor);
        changed.push(ifaceId);
      }
    }
    for (const [ifaceId, i] of now) {
      const before = this.#byHost.get(hypervisor)?.get(ifaceId);
      if (before?.live && before.interface === i.name && before.ofport === i.ofport) {
        before.mac = i.mac;
        continue;
      }
      this.#set(ifaceId, { hypervisor, interface: i.name, ofport: i.ofport, live: true, mac: i.mac });
      changed.push(ifaceId);
    }
    return changed;
  }

  /** The hypervisor is away: its claims stay, but no longer hold against one that is here. */
  away(hypervisor: HypervisorNumber): string[] {
    const row = this.#byHost.get(hypervisor);
    if (row === undefined) return [];
    for (const claim of row.values()) claim.live = false;
    return [...row.keys()];
  }

  /** The hypervisor is given up or no longer ours. */
  forget(hypervisor: HypervisorNumber): string[] {
    const ids = [...(this.#byHost.get(hypervisor)?.keys() ?? [])];
    for (const id of ids) this.#delete(id, hypervisor);
    return ids;
  }

  claims(ifaceId: string): readonly Claim[] {
    return this.#byIface.get(ifaceId) ?? [];
  }

  /** iface-ids that more than one hypervisor claims. Walks through all. */
  *contested(): Iterable<string> {
    for (const [ifaceId, claims] of this.#byIface) if (claims.length > 1) yield ifaceId;
  }

  /** What the hypervisor shows, by iface-id. */
  on(hypervisor: HypervisorNumber): Iterable<readonly [string, Claim]> {
    return this.#byHost.get(hypervisor) ?? [];
  }

  ifaceIdsOn(hypervisor: HypervisorNumber): Iterable<string> {
    return this.#byHost.get(hypervisor)?.keys() ?? [];
  }

  #set(ifaceId: string, claim: Claim): void {
    let row = this.#byHost.get(claim.hypervisor);
    if (row === undefined) {
      row = new Map();
      this.#byHost.set(claim.hypervisor, row);
    }
    row.set(ifaceId, claim);
    const list = this.#byIface.get(ifaceId);
    if (list === undefined) this.#byIface.set(ifaceId, [claim]);
    else {
      const at = list.findIndex((c) => c.hypervisor === claim.hypervisor);
      if (at >= 0) list[at] = claim;
      else list.push(claim);
    }
  }

  #delete(ifaceId: string, hypervisor: HypervisorNumber): void {
    const row = this.#byHost.get(hypervisor);
    row?.delete(ifaceId);
    if (row?.size === 0) this.#byHost.delete(hypervisor);
    const list = this.#byIface.get(ifaceId)?.filter((c) => c.hypervisor !== hypervisor) ?? [];
    if (list.length === 0) this.#byIface.delete(ifaceId);
    else this.#byIface.set(ifaceId, list);
  }
}

/**
 * Which claim has the port. Pure: the present holder keeps it while it is live and allowed; else the first live and
 * allowed claim; else the present holder even though it is away.
 */
export function holder(
  claims: readonly Claim[],
  present: HypervisorNumber | undefined,
  allowed: (h: HypervisorNumber) => boolean,
): Claim | undefined {
  const usable = claims.filter((c) => allowed(c.hypervisor));
  const held = usable.find((c) => c.hypervisor === present);
  if (held?.live) return held;
  return usable.find((c) => c.live) ?? held ?? usable[0];
}
