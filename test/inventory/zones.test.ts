import { describe, expect, test } from 'vitest';
import { Zones } from '../../src/inventory/zones.ts';
import type { Entry } from '../../src/store/store.ts';

/** A store's part: what has been written of the zones. */
class Records {
  readonly entries = new Map<string, Entry>();
  #revision = 0;

  take(zones: Zones, gone: readonly string[] = []): void {
    for (const key of gone) this.entries.delete(key);
    for (const [key, value] of zones.takeWrites()) this.entries.set(key, { key, value, revision: ++this.#revision });
  }

  load(range?: { first: number; last: number }): Zones {
    const zones = new Zones(range);
    zones.load([...this.entries.values()]);
    return zones;
  }
}

const range = { first: 10, last: 13 };

/** Zones that can be had on the hypervisor now, in their order. */
function available(zones: Zones, hypervisor: number): number[] {
  const found: number[] = [];
  for (let i = 0; ; i++) {
    const zone = zones.allocate(hypervisor, `port ${i}`, `uid ${i}`);
    if (zone === undefined) return found;
    found.push(zone);
  }
}

describe('a hypervisor that is deleted and approved again', () => {
  test('has what may hold connections retired, and the rest free in its order', () => {
    const zones = new Zones(range);
    const records = new Records();
    for (const uid of ['a', 'b', 'c', 'd']) zones.allocate(1, uid, uid);
    for (const uid of ['c', 'b', 'a']) zones.retire(1, uid);
    zones.release(1, 12);
    zones.release(1, 11);
    records.take(zones);
    const { keys, left } = zones.forget(1);
    records.take(zones, keys);
    expect([...records.entries]).toEqual([]);
    expect(available(zones, 1)).toEqual([10, 11, 12, 13]);

    const later = new Zones(range);
    later.inherit(7, left!);
    records.take(later);
    for (const one of [later, records.load(range)]) {
      expect(one.retired(7).sort()).toEqual([10, 13]);
      expect(one.hasRetired(7)).toBe(true);
      expect(available(one, 7)).toEqual([12, 11]);
    }
  });

  test('is as well off when only a part of that became durable before the controller ended', () => {
    const zones = new Zones(range);
    for (const uid of ['a', 'b']) zones.allocate(1, uid, uid);
    const { left } = zones.forget(1);
    const records = new Records();
    const later = new Zones(range);
    later.inherit(7, left!);
    records.take(later);
    records.entries.delete('zones/7/00010');
    const restarted = records.load(range);
    restarted.inherit(7, left!);
    expect(restarted.retired(7).sort()).toEqual([10, 11]);
    expect(available(restarted, 7)).toEqual([12, 13]);
  });

  test('leaves nothing behind where it never had a zone', () => {
    expect(new Zones(range).forget(1)).toEqual({ keys: [], left: undefined });
  });
});
