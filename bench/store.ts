/**
 * Durable commits per second, against the database alone on the same disk in the same run, which writes the same value
 * with a sync and keeps neither log, revisions nor expectations: `node bench/store.ts [commits] [rounds]`. Then what a
 * start costs with many keys, and how far a watcher is behind.
 */
import { Level } from 'level';
import { ephemeralDirectory } from '../src/sandbox/ephemeral.ts';
import { openLevelStore } from '../src/store/level.ts';
import type { Store } from '../src/store/store.ts';

const commits = Number(process.argv[2] ?? 3_000);
const rounds = Number(process.argv[3] ?? 5);
const keysAtStart = 100_000;

/** About the size of a port. */
const value = JSON.stringify({
  spec: { tier: 'web', mac: '02:00:00:00:00:0a', ips: ['10.0.1.10'] },
  labels: 'x'.repeat(300),
});

/** Resolves to commits per second with so many at a time. */
async function rate(lanes: number, commit: (key: string) => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  let next = 0;
  const lane = async () => {
    while (next < commits) await commit(`tenants/t/ports/p${next++ % 500}`);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return (commits * 1000) / (performance.now() - begin);
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

async function againstBare(directory: string, store: Store): Promise<void> {
  const bare = new Level<string, string>(`${directory}/bare`);
  await bare.open();
  for (const lanes of [1, 16]) {
    const alone: number[] = [];
    const ours: number[] = [];
    // The first round, in which all keys are new, does not count.
    for (let round = 0; round <= rounds; round++) {
      const one = await rate(lanes, (key) => bare.batch([{ type: 'put', key, value }], { sync: true }));
      const other = await rate(lanes, (key) => store.commit({ put: new Map([[key, value]]) }));
      if (round === 0) continue;
      alone.push(one);
      ours.push(other);
    }
    const ratio = median(ours) / median(alone);
    console.log(
      `${lanes} at a time: ${median(ours).toFixed(0)} commits/s, LevelDB alone ${median(alone).toFixed(0)}, ratio ${ratio.toFixed(2)}`,
    );
  }
  await bare.close();
}

async function latency(store: Store): Promise<void> {
  const watching = new AbortController();
  const told = new Map<number, number>();
  const watcher = (async () => {
    for await (const { revision } of store.watch(store.revision, watching.signal))
      told.set(revision, performance.now());
  })();
  const times: number[] = [];
  const behind: number[] = [];
  for (let at = 0; at < 1_000; at++) {
    const begin = performance.now();
    const result = await store.commit({ put: new Map([[`tenants/t/ports/p${at % 500}`, value]]) });
    const end = performance.now();
    times.push(end - begin);
    await new Promise(setImmediate);
    if (result.ok) behind.push(told.get(result.revision)! - end);
  }
  watching.abort();
  await watcher;
  const at = (values: number[], part: number) => values.toSorted((a, b) => a - b)[Math.floor(values.length * part)]!;
  console.log(
    `one commit: p50 ${at(times, 0.5).toFixed(2)} ms, p99 ${at(times, 0.99).toFixed(2)}; told ${at(behind, 0.99).toFixed(2)} ms later (p99)`,
  );
}

async function start(directory: string): Promise<void> {
  let store = await openLevelStore(`${directory}/large`);
  for (let from = 0; from < keysAtStart; from += 10_000) {
    const keys = Array.from({ length: 10_000 }, (_, at) => `tenants/t/ports/p${from + at}`);
    await store.commit({ put: new Map(keys.map((key) => [key, value])) });
  }
  await store.close();
  const heap = process.memoryUsage().heapUsed;
  const begin = performance.now();
  store = await openLevelStore(`${directory}/large`);
  const opened = performance.now();
  const { entries } = await store.list('');
  const listed = performance.now();
  const megabytes = (process.memoryUsage().heapUsed - heap) / 2 ** 20;
  console.log(
    `${entries.length} keys: open ${(opened - begin).toFixed(0)} ms, list all ${(listed - opened).toFixed(0)} ms, ` +
      `heap ${megabytes.toFixed(0)} MB with the list`,
  );
  await store.close();
}

await using place = ephemeralDirectory('kw-bench-');
const store = await openLevelStore(`${place.path}/store`);
await againstBare(place.path, store);
await latency(store);
await store.close();
await start(place.path);
