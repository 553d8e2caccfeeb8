/** How often each port may ask: a bucket of tokens for each that has asked lately. */

type Bucket = { tokens: number; at: number };

/** Milliseconds between looks for those that have not asked any more. */
const sweepEvery = 10_000;

export class Rates {
  readonly #rate: number;
  readonly #burst: number;
  readonly #now: () => number;
  readonly #buckets = new Map<number, Bucket>();
  #sweptAt: number;

  /** @param rate a second @param burst at once @param now milliseconds, never set back */
  constructor(rate: number, burst: number, now: () => number = () => performance.now()) {
    this.#rate = rate;
    this.#burst = burst;
    this.#now = now;
    this.#sweptAt = now();
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Whether the port may ask once more now. @param port its resource number */
  take(port: number): boolean {
    const now = this.#now();
    if (now - this.#sweptAt > sweepEvery) this.#sweep(now);
    const bucket = this.#buckets.get(port);
    if (bucket === undefined) {
      this.#buckets.set(port, { tokens: this.#burst - 1, at: now });
      return true;
    }
    bucket.tokens = Math.min(this.#burst, bucket.tokens + ((now - bucket.at) * this.#rate) / 1_000);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  /** Who has its whole burst again is as good as new. */
  #sweep(now: number): void {
    this.#sweptAt = now;
    const full = (this.#burst / this.#rate) * 1_000;
    for (const [port, { at }] of this.#buckets) if (now - at > full) this.#buckets.delete(port);
  }
}
