/**
 * What looking after a large controller costs: full recompute and backup beside it, with the longest time nothing else was
 * done, and how late answers were meanwhile. Fake switches; the memory store, and LevelDB.
 *
 * node bench/upkeep.ts [ports=100000] [hypervisors=100] [spread=4]
 */
import { createHash } from 'node:crypto';
import { PerformanceObserver } from 'node:perf_hooks';
import { pino } from 'pino';
import { OpenVswitchPlugin } from '../plugins/openvswitch/plugin.ts';
import type { HeldUnits, Pass, SwitchEvents } from '../src/drivers/switch-plugin.ts';
import type { ThreadLoad } from '../src/drivers/thread-load.ts';
import { recompute } from '../src/engine/recompute.ts';
import { ephemeralDirectory } from '../src/sandbox/ephemeral.ts';
import { backupOf } from '../src/store/backup.ts';
import { openLevelStore } from '../src/store/level.ts';
import { openMemoryStore } from '../src/store/memory.ts';
import { restoreLevelStore } from '../src/store/restore.ts';
import type { Store } from '../src/store/store.ts';
import { type FakeCloud, openFakeCloud } from '../test/support/fake-cloud.ts';
import { FakeSwitches } from '../test/support/fake-switches.ts';
import { machine, megabytes, milliseconds, numbers, timed } from './support/figures.ts';

/** Fake switches whose flows the real southbound thread holds as well. */
class HeldByThread extends FakeSwitches {
  readonly #plugin = new OpenVswitchPlugin({
    listenOvsdb: ['ptcp:0:127.0.0.1'],
    listenOpenflow: { host: '127.0.0.1', port: 0 },
    log: pino({ level: 'silent' }),
    onFatal: (error) => {
      throw error;
    },
  });

  override async start(events: SwitchEvents): Promise<{ managers: string[] }> {
    await this.#plugin.start(events);
    return await super.start(events);
  }
  override apply(pass: Pass): void {
    this.#plugin.apply(pass);
    super.apply(pass);
  }
  override held(hypervisor: number): Promise<HeldUnits> {
    return this.#plugin.held(hypervisor);
  }
  load(): Promise<ThreadLoad> {
    return this.#plugin.load();
  }
  override stop(): Promise<void> {
    return this.#plugin.stop();
  }
}

const [ports = 0, hypervisors = 0, spread = 0] = numbers(100_000, 100, 4);
const perNetwork = 100;

/** How late a timer of 1 ms is while the work goes on: what an answer of the API would wait. */
async function lateness(work: () => Promise<void>): Promise<{ took: number; late: number[] }> {
  const late: number[] = [];
  let expected = performance.now() + 1;
  const timer = setInterval(() => {
    const now = performance.now();
    late.push(Math.max(0, now - expected));
    expected = now + 1;
  }, 1);
  const took = await timed(work);
  clearInterval(timer);
  return { took, late };
}

async function measure(name: string, work: () => Promise<void>): Promise<void> {
  let longestPause = 0;
  const collector = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longestPause = Math.max(longestPause, duration);
  });
  collector.observe({ entryTypes: ['gc'] });
  const before = process.threadCpuUsage();
  const { took, late } = await lateness(work);
  const { user, system } = process.threadCpuUsage(before);
  collector.disconnect();
  console.log(
    `${name}: ${(took / 1000).toFixed(2)} s, ${((user + system) / 1e6).toFixed(2)} s of processor time; others late by ` +
      `${milliseconds(late)}; longest pause of the collector ${longestPause.toFixed(0)} ms`,
  );
}

async function takeBackup(store: Store): Promise<Buffer[]> {
  await using snapshot = await store.snapshot();
  const pieces: Buffer[] = [];
  for await (const piece of backupOf(snapshot, '0')) pieces.push(piece);
  return pieces;
}

async function look(cloud: FakeCloud, fake: HeldByThread, kind: string): Promise<void> {
  const { core, store } = cloud;
  const options = { engine: core.engine, progress: core.progress };
  const trips: number[] = [];
  for (const [what, plugin] of [
    ['recompute', {}],
    ['recompute, and what the southbound holds', fake],
  ] as const) {
    let said = '';
    let working = true;
    const asking = (async () => {
      while (working) {
        if (plugin === fake) trips.push(await timed(() => fake.load()));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    await measure(`${kind}: ${what}`, async () => {
      const found = await recompute({ ...options, plugin }, false);
      const differ = found.different.length + found.unsettled.length;
      said = `${found.units} units, longest slice ${found.longestSlice.toFixed(1)} ms, ${differ} differ`;
    });
    working = false;
    await asking;
    console.log(`  ${said}`);
  }
  console.log(`  answers of the southbound thread meanwhile: ${milliseconds(trips)}`);
  const oracle = await timed(async () => {
    core.engine.compiler.recompute();
  });
  console.log(`${kind}: the same in one go, as tests do it: ${(oracle / 1000).toFixed(2)} s without giving way`);
  let bytes = 0;
  const hash = createHash('sha256');
  await measure(`${kind}: backup`, async () => {
    await using snapshot = await store.snapshot();
    for await (const piece of backupOf(snapshot, '0')) {
      bytes += piece.length;
      hash.update(piece);
    }
  });
  console.log(`  ${megabytes(bytes)}, resident ${megabytes(process.memoryUsage().rss)}`);
}

console.log(
  `${machine()}\n${ports} ports of ${ports / perNetwork} networks, each on ${spread} of ${hypervisors} hypervisors`,
);
const shape = { hypervisors, networks: ports / perNetwork, ports: perNetwork, rules: 10, spread };
await using place = ephemeralDirectory('kw-bench-');
{
  const fake = new HeldByThread();
  await using cloud = await openFakeCloud(shape, openMemoryStore(), fake);
  await look(cloud, fake, 'memory');
}
{
  const fake = new HeldByThread();
  await using cloud = await openFakeCloud(shape, await openLevelStore(`${place.path}/store`), fake);
  await look(cloud, fake, 'level');
  await measure('level: compact', () => cloud.store.compact(1_000));
  const pieces = await takeBackup(cloud.store);
  const took = await timed(() => restoreLevelStore(`${place.path}/again`, pieces as unknown as AsyncIterable<Buffer>));
  console.log(`restore: ${(took / 1000).toFixed(2)} s`);
}
