/**
 * Conntrack zones of the NAT of networks: one for each network on each of its gateways, and on each hypervisor that does
 * static NAT for it. They are kept like those of ports (zones.ts); the owner is the network.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, ResourceChange, View } from '../intent/model.ts';
import { parentPath } from './paths.ts';
import type { Zones } from './zones.ts';

type Held = { uid: string; on: Set<HypervisorNumber> };

const nowhere: ReadonlySet<HypervisorNumber> = new Set();

export class NatZones {
  readonly #view: View;
  readonly #zones: Zones;
  readonly #homes: (network: Path) => Iterable<HypervisorNumber>;
  readonly #held = new Map<Path, Held>();
  readonly #open = new Set<Path>();
  /** Where a network should have one and none was left. */
  readonly #lacking = new Map<Path, ReadonlySet<HypervisorNumber>>();

  /** @param homes hypervisors that do NAT for a network; one may be named several times */
  constructor(view: View, zones: Zones, homes: (network: Path) => Iterable<HypervisorNumber>) {
    this.#view = view;
    this.#zones = zones;
    this.#homes = homes;
  }

  /** The network may need zones elsewhere now. */
  touch(network: Path): void {
    this.#open.add(network);
  }

  touchedBy({ kind, path, before, after }: ResourceChange): void {
    // With steering, static NAT is at the gateways: see publicHomes.
    if (kind === 'nat-rule' || kind === 'steering') this.touch(parentPath(path));
    else if (kind === 'network' && before?.uid !== after?.uid) this.touch(path);
  }

  /** Known from an earlier run. */
  remember(network: Path, uid: string, hypervisor: HypervisorNumber): void {
    const held = this.#held.get(network) ?? { uid, on: new Set() };
    held.on.add(hypervisor);
    this.#held.set(network, held);
    this.touch(network);
  }

  /** One has become free there. */
  freed(hypervisor: HypervisorNumber): void {
    for (const [network, on] of this.#lacking) if (on.has(hypervisor)) this.touch(network);
  }

  /** Hypervisors that do NAT for the network and have no zone left for it. */
  lacking(network: Path): ReadonlySet<HypervisorNumber> {
    return this.#lacking.get(network) ?? nowhere;
  }

  /**
   * Allocates what is open, and retires it. @param placed ports are where they are to be; while they are not, nothing is
   * retired, and it stays open. @returns networks that have other zones now
   */
  settle(placed: boolean): Path[] {
    const changed: Path[] = [];
    for (const network of this.#open) if (this.#settle(network, placed)) changed.push(network);
    if (placed) this.#open.clear();
    return changed;
  }

  #settle(network: Path, placed: boolean): boolean {
    const uid = this.#view.getAs('network', network)?.uid;
    const before = this.#held.get(network);
    const wanted = new Set(uid === undefined ? [] : this.#homes(network));
    if (!placed && before?.uid === uid) for (const h of before?.on ?? []) wanted.add(h);
    let changed = false;
    for (const h of before?.on ?? []) {
      if (wanted.has(h) && before?.uid === uid) continue;
      this.#zones.retire(h, before!.uid);
      changed = true;
    }
    const on = new Set<HypervisorNumber>();
    const lacking = new Set<HypervisorNumber>();
    for (const h of wanted) {
      if (before?.uid !== uid || before?.on.has(h) !== true) {
        changed = true;
        if (this.#zones.allocate(h, network, uid!) === undefined) {
          lacking.add(h);
          continue;
        }
      }
      on.add(h);
    }
    if (on.size === 0) this.#held.delete(network);
    else this.#held.set(network, { uid: uid!, on });
    if (lacking.size === 0) this.#lacking.delete(network);
    else this.#lacking.set(network, lacking);
    return changed;
  }
}
