/** `/metrics` in Prometheus' text format: the process, the API, and what the fabric counts. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { isLoopback } from '../config.ts';
import type { Fabric } from './context.ts';

export class Metrics {
  readonly #own = new Registry();
  readonly #durations: Histogram<'method' | 'route' | 'status'>;
  readonly #fabric: Fabric;

  constructor(fabric: Fabric) {
    this.#fabric = fabric;
    collectDefaultMetrics({ register: this.#own });
    this.#durations = new Histogram({
      name: 'keyway_http_request_duration_seconds',
      help: 'Time from the arrival of a request to its answer, waits included',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
      registers: [this.#own],
    });
  }

  /** Counts every answer of the app by its route's pattern, so that names of resources never become labels. */
  observe(app: FastifyInstance): void {
    app.addHook('onResponse', (request, reply, done) => {
      const route = request.routeOptions.url ?? 'unknown';
      this.#durations.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
      done();
    });
  }

  get contentType(): string {
    return this.#own.contentType;
  }

  async text(): Promise<string> {
    return await Registry.merge([this.#own, await fabricRegistry(this.#fabric)]).metrics();
  }
}

async function fabricRegistry(fabric: Fabric): Promise<Registry> {
  const registry = new Registry();
  for (const { name, help, type, values } of await fabric.metrics()) {
    const labelNames = [...new Set(values.flatMap(({ labels = {} }) => Object.keys(labels)))];
    const options = { name, help, labelNames, registers: [registry] };
    if (type === 'counter') {
      const counter = new Counter(options);
      for (const { labels = {}, value } of values) counter.inc(labels, value);
    } else {
      const gauge = new Gauge(options);
      for (const { labels = {}, value } of values) gauge.set(labels, value);
    }
  }
  return registry;
}

/** Came over a unix socket of ours or over loopback, and not through a proxy that says it stands for somebody else. */
export function isLocal(request: FastifyRequest): boolean {
  const { headers, socket } = request.raw;
  if (headers.forwarded !== undefined || headers['x-forwarded-for'] !== undefined) return false;
  const { remoteAddress } = socket;
  // A unix socket has no address; a TCP connection that is gone has none either, and nobody to answer.
  return remoteAddress === undefined || isLoopback(remoteAddress);
}
