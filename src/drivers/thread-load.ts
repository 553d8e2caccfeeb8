/** How a thread does: how late its event loop is, and its memory. For this thread, measured in it. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';

/** Seconds by which timers were late, of the last one to two minutes. */
export type LoopDelay = { p50: number; p99: number; max: number };

export type ThreadLoad = {
  delay: LoopDelay;
  /** Bytes of the JavaScript heap, and the most it may grow to. */
  heapUsed: number;
  heapLimit: number;
  /** Bytes of buffers beside the heap. */
  external: number;
};

/** Milliseconds between samples. The histogram counts them in, we do not. */
const resolution = 10;

/** Milliseconds of one window; what is told is the worse of the present and the one before. */
const windowTime = 60_000;

const calm: LoopDelay = { p50: 0, p99: 0, max: 0 };

export class ThreadMeter {
  readonly #histogram = monitorEventLoopDelay({ resolution });
  readonly #timer: NodeJS.Timeout;
  #before = calm;

  constructor() {
    this.#histogram.enable();
    this.#timer = setInterval(() => {
      this.#before = this.#present();
      this.#histogram.reset();
    }, windowTime).unref();
  }

  read(): ThreadLoad {
    const now = this.#present();
    const { used_heap_size, heap_size_limit, external_memory } = getHeapStatistics();
    return {
      delay: {
        p50: Math.max(now.p50, this.#before.p50),
        p99: Math.max(now.p99, this.#before.p99),
        max: Math.max(now.max, this.#before.max),
      },
      heapUsed: used_heap_size,
      heapLimit: heap_size_limit,
      external: external_memory,
    };
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#histogram.disable();
  }

  #present(): LoopDelay {
    const histogram = this.#histogram;
    if (histogram.count === 0) return calm;
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - resolution / 1e3);
    return { p50: late(histogram.percentile(50)), p99: late(histogram.percentile(99)), max: late(histogram.max) };
  }
}
