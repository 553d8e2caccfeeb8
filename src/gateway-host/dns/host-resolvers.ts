/** The resolvers of the host itself, and its own addresses: read again when they may have changed. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Upstream } from './forwarder.ts';

/** Milliseconds what was read is taken for true. */
const fresh = 10_000;

export class HostNetwork {
  readonly #given: readonly Upstream[];
  #resolvers: readonly Upstream[] = [];
  #addresses: ReadonlySet<string> = new Set();
  #readAt = Number.NEGATIVE_INFINITY;

  /** @param given resolvers in the place of those of /etc/resolv.conf; none: those */
  constructor(given: readonly Upstream[]) {
    this.#given = given;
  }

  get resolvers(): readonly Upstream[] {
    this.#read();
    return this.#given.length > 0 ? this.#given : this.#resolvers;
  }

  get addresses(): ReadonlySet<string> {
    this.#read();
    return this.#addresses;
  }

  #read(): void {
    const now = performance.now();
    if (now - this.#readAt < fresh) return;
    this.#readAt = now;
    const found = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    this.#addresses = new Set(found.map(({ address }) => address));
    try {
      this.#resolvers = nameservers(readFileSync('/etc/resolv.conf', 'utf8'));
    } catch {
      // A host without one has no resolvers; those it had last are as good as any.
    }
  }
}

/** resolv.conf(5). */
export function nameservers(text: string): Upstream[] {
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)]
    .map(([, address]) => ({ address: address!.replace(/%.*$/, ''), port: 53 }))
    .filter(({ address }) => isIP(address) !== 0);
}
