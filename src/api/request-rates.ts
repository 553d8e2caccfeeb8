/** How many requests a tenant may send, by its quota: a token bucket for all of its tokens together. */
import type { Principal } from '../auth/roles.ts';
import type { View } from '../intent/model.ts';
import { formatPath } from '../intent/path.ts';
import { Problem } from '../problems.ts';

type Bucket = {
  /** Requests that may still come at once. */
  left: number;
  /** When that was so, milliseconds. */
  at: number;
};

export class RequestRates {
  readonly #view: View;
  readonly #now: () => number;
  /** Of tenants with a rate, by name. */
  readonly #buckets = new Map<string, Bucket>();

  /** @param now milliseconds of a clock that is never set back */
  constructor(view: View, now: () => number = () => performance.now()) {
    this.#view = view;
    this.#now = now;
  }

  /** Counts a request. @throws Problem rate.exceeded */
  count({ tenant }: Principal): void {
    if (tenant === undefined) return;
    const spec = this.#view.getAs('quota', formatPath('quota', '', tenant))?.spec;
    if (spec?.requestsPerSecond === undefined) {
      this.#buckets.delete(tenant);
      return;
    }
    const { requestsPerSecond: rate, requestBurst: burst = 2 * rate } = spec;
    const now = this.#now();
    const { left, at } = this.#buckets.get(tenant) ?? { left: burst, at: now };
    const there = Math.min(burst, left + ((now - at) / 1000) * rate);
    this.#buckets.set(tenant, { left: there < 1 ? there : there - 1, at: now });
    if (there >= 1) return;
    const detail = `Tenant ${tenant} may send ${rate} requests per second, and ${burst} at once after a pause`;
    throw new Problem('rate.exceeded', detail, [], { retryAfter: Math.ceil((1 - there) / rate) });
  }
}
