/** The controller itself: its store, disk, clock, versions and threads. */
import type { ThreadLoad } from '../../drivers/thread-load.ts';
import { Problem } from '../../problems.ts';
import type { Store } from '../../store/store.ts';
import { version } from '../../version.ts';
import { threadLoads } from '../threads.ts';
import type { Findings } from './findings.ts';
import type { Patient } from './subjects.ts';

const megabyte = 2 ** 20;

/** Bytes of free disk below which somebody should look, and below which writes are about to fail. */
const littleSpace = 1024 * megabyte;
const noSpace = 128 * megabyte;

/** Milliseconds for a write to be durable. */
const slowWrite = 250;

/** Milliseconds by which the clock may have been set back. */
const clockStep = 1_000;

/** Seconds an event loop may be late: 99 of 100 times, and once. */
const late = { p99: 0.1, max: 1 };

/** Part of the heap that may be full. */
const fullHeap = 0.85;

export async function checkProcess(patient: Patient, findings: Findings): Promise<void> {
  const { ready, reason } = patient.ready();
  if (ready) findings.ok('controller', 'controller', reason);
  else findings.fail('controller', 'controller', reason, 'See its log');
  await checkStore(patient.store, findings);
  await checkClock(patient, findings);
  for (const [thread, load] of await threadLoads(patient.meter, patient.plugin))
    checkThread(`threads/${thread}`, load, findings);
}

async function checkStore(store: Store, findings: Findings): Promise<void> {
  const { state, schema, bytes, free, lastWrite } = await store.health();
  const kept = `schema ${schema ?? 'of memory'}`;
  findings.ok('versions', 'controller', `Keyway ${version}, Node ${process.version}, store ${kept}`);
  if (state !== 'serving') {
    const advice = 'See the log of the controller, and the disk; it goes on by itself once the disk takes writes again';
    findings.fail('store.writes', 'store', `it is ${state}: nothing can be written`, advice);
  } else if (lastWrite !== undefined && lastWrite.took > slowWrite) {
    const found = `the last write took ${lastWrite.took.toFixed(0)} ms`;
    findings.warn('store.writes', 'store', found, 'See what else uses the disk of the data directory');
  } else {
    const took =
      lastWrite === undefined ? 'nothing was written yet' : `the last write took ${lastWrite.took.toFixed(1)} ms`;
    findings.ok('store.writes', 'store', took);
  }
  findings.ok('store.log', 'store', `revision ${store.revision}; changes since ${store.oldest} are kept`);
  if (bytes === undefined || free === undefined) return;
  const found = `${megabytes(bytes)} used, ${megabytes(free)} free`;
  const advice = 'Make room on the disk of the data directory; keyway compact gives back what the change log takes';
  if (free < noSpace) findings.fail('store.disk', 'store', found, advice);
  else if (free < Math.max(littleSpace, bytes)) findings.warn('store.disk', 'store', found, advice);
  else findings.ok('store.disk', 'store', found);
}

function megabytes(bytes: number): string {
  return `${(bytes / megabyte).toFixed(bytes < 10 * megabyte ? 1 : 0)} MB`;
}

/** Hypervisors tell no clock, neither over OVSDB nor over OpenFlow: only our own can be judged, by our own past. */
async function checkClock({ store, now }: Patient, findings: Findings): Promise<void> {
  const newest = await newestChange(store);
  const found = 'hypervisors tell no clock, so only this one was judged';
  const ahead = newest === undefined ? 0 : newest - now();
  if (ahead <= clockStep) findings.ok('clock', 'controller', found);
  else {
    findings.warn(
      'clock',
      'controller',
      `the newest change is dated ${Math.round(ahead / 1000)} s from now: the clock of this machine was set back`,
      'See that it is kept right (chrony, ntpd): by it tokens expire, and the audit is dated',
    );
  }
}

/** When the newest change was made, if it is still in the log, and that can be read. */
async function newestChange(store: Store): Promise<number | undefined> {
  const from = store.revision - 1;
  if (from < store.oldest) return undefined;
  try {
    for await (const { at } of store.watch(from)) return at;
  } catch (error) {
    // A disk that refuses is told of by another check.
    if (!(error instanceof Problem)) throw error;
  }
  return undefined;
}

function checkThread(thread: string, { delay, heapUsed, heapLimit, external }: ThreadLoad, findings: Findings): void {
  const ms = (seconds: number) => `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  const loop = `99 of 100 turns were late by ${ms(delay.p99)} at most, the worst by ${ms(delay.max)}`;
  if (delay.p99 > late.p99 || delay.max > late.max) {
    findings.warn(
      'thread.delay',
      thread,
      `${loop}, in the last minutes`,
      'See whether the machine has processor time to spare, and whether it swaps',
    );
  } else findings.ok('thread.delay', thread, loop);
  const memory = `${megabytes(heapUsed)} of at most ${megabytes(heapLimit)} heap, ${megabytes(external)} of buffers`;
  if (heapUsed > fullHeap * heapLimit) {
    const advice = 'Start the controller with more: NODE_OPTIONS=--max-old-space-size=MEGABYTES';
    findings.warn('thread.memory', thread, memory, advice);
  } else findings.ok('thread.memory', thread, memory);
}
