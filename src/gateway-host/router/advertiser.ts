/** Tells every port of its router now and then without being asked, one port after another: RFC 4861 section 6.2.4. */
import type { Port } from '../served.ts';
import { routerLifetime } from './advertisement.ts';

export type AdvertiserOptions = {
  ports(): Iterable<Port>;
  /** How many there are. */
  count(): number;
  advertise(port: Port): void;
};

/** Milliseconds in which everybody has its turn: MaxRtrAdvInterval, a third of what an advertisement holds for. */
const round = (routerLifetime / 3) * 1000;
/** Milliseconds between looks at whose turn it is. */
const tick = 500;

export class Advertiser {
  readonly #options: AdvertiserOptions;
  readonly #timer: NodeJS.Timeout;
  #walk: Iterator<Port> | undefined;
  #due = 0;

  constructor(options: AdvertiserOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.advance(tick), tick);
    this.#timer.unref();
  }

  /** Whoever comes or goes meanwhile is met or not; the next round begins where this one ends. */
  advance(milliseconds: number): void {
    this.#due += (this.#options.count() * milliseconds) / round;
    for (; this.#due >= 1; this.#due--) {
      this.#walk ??= this.#options.ports()[Symbol.iterator]();
      const { value, done } = this.#walk.next();
      if (done === true) {
        this.#walk = undefined;
        continue;
      }
      this.#options.advertise(value);
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
