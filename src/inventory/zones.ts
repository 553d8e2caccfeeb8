/**
 * Conntrack zones, one per port and hypervisor, durable before a flow uses them. A zone that is given up is retired
 * first: its flows must be gone and its connections flushed before it is free, and free ones are taken in the order
 * they became free, never-used ones before them. The records also remember, over a restart, who had which port.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import type { Entry } from '../store/store.ts';

/** The lower ones are left for zones that belong to networks rather than ports. */
const firstZone = 1024;
const lastZone = 65_535;

export const zonesPrefix = 'zones/';

/** What zones a hypervisor that was deleted may hold connections in, by its system-id: it may be approved again. */
export const leftZonesPrefix = 'left-zones/';

/** Zones that may hold connections, and zones that hold none, in the order in which they are to be used. */
type LeftZones = { used: number[]; free: number[] };

type ZoneRecord = { state: 'live'; port: Path; uid: string } | { state: 'retired' } | { state: 'free' };

type Book = {
  /** uid of the port -> zone. */
  live: Map<string, number>;
  /** The inverse of `live`. */
  owner: Map<number, string>;
  retired: Set<number>;
  /** In the order they became free. */
  free: number[];
  next: number;
};

export class Zones {
  readonly #books = new Map<HypervisorNumber, Book>();
  readonly #withRetired = new Set<HypervisorNumber>();
  readonly #first: number;
  readonly #last: number;
  #writes = new Map<string, string>();

  /** Another range is for tests. */
  constructor(range: { first: number; last: number } = { first: firstZone, last: lastZone }) {
    this.#first = range.first;
    this.#last = range.last;
  }

  /** @param entries what the store lists under zonesPrefix. @returns who had which port. */
  load(entries: readonly Entry[]): { hypervisor: HypervisorNumber; zone: number; port: Path; uid: string }[] {
    const remembered = [];
    for (const entry of [...entries].sort((a, b) => a.revision - b.revision)) {
      const [hypervisor = 0, zone = 0] = entry.key.slice(zonesPrefix.length).split('/').map(Number);
      const record = JSON.parse(entry.value) as ZoneRecord;
      const book = this.#book(hypervisor);
      book.next = Math.max(book.next, zone + 1);
      if (record.state === 'live') {
        take(book, record.uid, zone);
        remembered.push({ hypervisor, zone, port: record.port, uid: record.uid });
      } else if (record.state === 'retired') {
        book.retired.add(zone);
        this.#withRetired.add(hypervisor);
      } else book.free.push(zone);
    }
    return remembered;
  }

  /** Hypervisors that have zones of whatever state. */
  hypervisors(): Iterable<HypervisorNumber> {
    return this.#books.keys();
  }

  zoneOf(hypervisor: HypervisorNumber, uid: string): number | undefined {
    return this.#books.get(hypervisor)?.live.get(uid);
  }

  /** uids of those that have zones there. */
  owners(hypervisor: HypervisorNumber): Iterable<string> {
    return this.#books.get(hypervisor)?.live.keys() ?? [];
  }

  /** uid of the port that has the zone there. */
  ownerOf(hypervisor: HypervisorNumber, zone: number): string | undefined {
    return this.#books.get(hypervisor)?.owner.get(zone);
  }

  /** The port's zone there, allocated if need be; undefined when the hypervisor has none left. */
  allocate(hypervisor: HypervisorNumber, port: Path, uid: string): number | undefined {
    const book = this.#book(hypervisor);
    const present = book.live.get(uid);
    if (present !== undefined) return present;
    const zone = book.next <= this.#last ? book.next++ : book.free.shift();
    if (zone === undefined) return undefined;
    take(book, uid, zone);
    this.#write(hypervisor, zone, { state: 'live', port, uid });
    return zone;
  }

  retire(hypervisor: HypervisorNumber, uid: string): void {
    const book = this.#books.get(hypervisor);
    const zone = book?.live.get(uid);
    if (book === undefined || zone === undefined) return;
    book.live.delete(uid);
    book.owner.delete(zone);
    this.#retire(hypervisor, book, zone);
  }

  #retire(hypervisor: HypervisorNumber, book: Book, zone: number): void {
    book.retired.add(zone);
    this.#withRetired.add(hypervisor);
    this.#write(hypervisor, zone, { state: 'retired' });
  }

  #free(hypervisor: HypervisorNumber, book: Book, zone: number): void {
    book.free.push(zone);
    this.#write(hypervisor, zone, { state: 'free' });
  }

  retired(hypervisor: HypervisorNumber): number[] {
    return [...(this.#books.get(hypervisor)?.retired ?? [])];
  }

  hasRetired(hypervisor: HypervisorNumber): boolean {
    return this.#withRetired.has(hypervisor);
  }

  /** Hypervisors that have retired zones. */
  withRetired(): Iterable<HypervisorNumber> {
    return this.#withRetired;
  }

  /** The switch holds no flow and no connection of the zone any more. */
  release(hypervisor: HypervisorNumber, zone: number): void {
    const book = this.#books.get(hypervisor);
    if (book?.retired.delete(zone) !== true) return;
    if (book.retired.size === 0) this.#withRetired.delete(hypervisor);
    this.#free(hypervisor, book, zone);
  }

  /**
   * The number is no longer the hypervisor's, and may be another's.
   * @returns keys to delete, and what to keep for `inherit`; undefined: nothing
   */
  forget(hypervisor: HypervisorNumber): { keys: string[]; left: string | undefined } {
    const book = this.#books.get(hypervisor);
    if (book === undefined) return { keys: [], left: undefined };
    this.#books.delete(hypervisor);
    this.#withRetired.delete(hypervisor);
    const left: LeftZones = { used: [...book.retired, ...book.live.values()], free: book.free };
    const keys = [...left.used, ...left.free].map((z) => key(hypervisor, z));
    for (const k of keys) this.#writes.delete(k);
    return { keys, left: keys.length === 0 ? undefined : JSON.stringify(left) };
  }

  /** A hypervisor that was deleted is ours again under this number: what it had is flushed before anybody gets it. */
  inherit(hypervisor: HypervisorNumber, left: string): void {
    const { used, free } = JSON.parse(left) as LeftZones;
    const book = this.#book(hypervisor);
    // Some may be in the book already: the controller ended before all of it was durable.
    const known = new Set([...book.retired, ...book.live.values()]);
    book.free = book.free.filter((zone) => !used.includes(zone));
    for (const zone of used) if (!known.has(zone)) this.#retire(hypervisor, book, zone);
    for (const zone of book.free) known.add(zone);
    for (const zone of free) if (!known.has(zone)) this.#free(hypervisor, book, zone);
    for (const zone of [...used, ...free]) book.next = Math.max(book.next, zone + 1);
  }

  /** What has to be written since the last call. */
  takeWrites(): Map<string, string> {
    const writes = this.#writes;
    this.#writes = new Map();
    return writes;
  }

  #write(hypervisor: HypervisorNumber, zone: number, record: ZoneRecord): void {
    this.#writes.set(key(hypervisor, zone), JSON.stringify(record));
  }

  #book(hypervisor: HypervisorNumber): Book {
    let book = this.#books.get(hypervisor);
    if (book === undefined) {
      book = { live: new Map(), owner: new Map(), retired: new Set(), free: [], next: this.#first };
      this.#books.set(hypervisor, book);
    }
    return book;
  }
}

function take(book: Book, uid: string, zone: number): void {
  book.live.set(uid, zone);
  book.owner.set(zone, uid);
}

function key(hypervisor: HypervisorNumber, zone: number): string {
  return `${zonesPrefix}${hypervisor}/${String(zone).padStart(5, '0')}`;
}
