/** What was acknowledged survives kill -9 and a disk that refuses, and what was refused never appears. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { openLevelStore } from '../../src/store/level.ts';
import { levelPlace } from './places.ts';

const program = fileURLToPath(new URL('writer.ts', import.meta.url));

type Promised = { acknowledged: Map<number, number>; refused: Set<number>; highest: number };

class Writer {
  readonly promised: Promised;
  readonly #child: ReturnType<typeof spawn>;
  readonly #from: number;
  #output = '';
  opened = false;

  constructor(directory: string, promised: Promised) {
    this.promised = promised;
    this.#from = promised.highest;
    // Ends with this process, however that ends.
    const args = ['--pdeathsig', 'KILL', '--', process.execPath, program, directory, String(promised.highest)];
    this.#child = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child.stdout!.setEncoding('latin1').on('data', (text: string) => this.#take(text));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async kill(): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }

  #take(text: string): void {
    const lines = (this.#output + text).split('\n');
    this.#output = lines.pop()!;
    for (const line of lines) {
      const [word, first, second] = line.split(' ');
      if (word === 'open') this.opened = true;
      else if (word === 'ack') this.promised.acknowledged.set(Number(first), Number(second));
      else if (word === 'refused') this.promised.refused.add(Number(first));
      else throw new Error(`The writer said: ${line}`);
      // Eight more may be on their way, from the moment it has opened the store: the next writer begins behind them.
      const last = word === 'open' ? this.#from : Number(second ?? first);
      this.promised.highest = Math.max(this.promised.highest, last + 8);
    }
  }
}

/** The log tells every promise, and the data is what the log adds up to, revision by revision. */
async function verify(directory: string, { acknowledged, refused }: Promised): Promise<void> {
  const store = await openLevelStore(directory);
  const replayed = new Map<string, { value: string; revision: number }>();
  const seen = new Set<number>();
  if (store.revision > 0) {
    for await (const { revision, writes } of store.watch(0)) {
      const numbers = new Set(writes.flatMap(({ value }) => (value === undefined ? [] : JSON.parse(value).n)));
      const put = writes.filter(({ value }) => value !== undefined);
      if (put.length !== 3 || numbers.size !== 1) throw new Error(`Revision ${revision} is half-written`);
      const [n] = numbers as Set<number>;
      if (refused.has(n!)) throw new Error(`${n} was refused, and is revision ${revision}`);
      if (seen.has(n!)) throw new Error(`${n} is there twice`);
      seen.add(n!);
      const promised = acknowledged.get(revision) ?? n;
      if (promised !== n) throw new Error(`Revision ${revision} was acknowledged for ${promised}, and is ${n}`);
      for (const { key, value, previous } of writes) {
        if (replayed.get(key)?.value !== previous) throw new Error(`${key} at ${revision}: another previous value`);
        if (value === undefined) replayed.delete(key);
        else replayed.set(key, { value, revision });
      }
      if (revision === store.revision) break;
    }
  }
  expect(store.revision).toBeGreaterThanOrEqual(Math.max(0, ...acknowledged.keys()));
  const entries = [...replayed].map(([key, entry]) => ({ key, ...entry }));
  expect((await store.list('')).entries).toEqual(entries.sort((a, b) => (a.key < b.key ? -1 : 1)));
  await store.close();
}

test('ten times kill -9: every acknowledged commit is there, nothing is half-written', async () => {
  await using place = levelPlace();
  const promised: Promised = { acknowledged: new Map(), refused: new Set(), highest: 0 };
  for (let round = 0; round < 10; round++) {
    const writer = new Writer(place.directory, promised);
    await until('the writer opens the store', () => writer.opened);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 150));
    await writer.kill();
    await verify(place.directory, promised);
  }
  expect(promised.acknowledged.size).toBeGreaterThan(100);
  expect(promised.refused.size).toBe(0);
});

test('a disk that takes half a record: what is acknowledged before and after stands, and a kill changes nothing', async (context) => {
  if (spawnSync('prlimit', ['--version']).status !== 0) context.skip('no prlimit (util-linux)');
  await using place = levelPlace();
  const promised: Promised = { acknowledged: new Map(), refused: new Set(), highest: 0 };
  const limit = async (writer: Writer, bytes: string) => {
    const { status, stderr } = spawnSync('prlimit', ['--pid', `${writer.pid}`, `--fsize=${bytes}:`]);
    if (status !== 0) throw new Error(`prlimit: ${stderr}`);
  };
  for (let round = 0; round < 3; round++) {
    const writer = new Writer(place.directory, promised);
    await until('the writer opens the store', () => writer.opened);
    const acknowledged = promised.acknowledged.size;
    await until('it writes', () => promised.acknowledged.size > acknowledged + 50);
    // Log files end somewhere in a record; the next log begins with an empty file and gets as far.
    const journal = `${place.directory}/journal`;
    const largest = Math.max(...readdirSync(journal).map((name) => statSync(`${journal}/${name}`).size));
    const refusedBefore = promised.refused.size;
    await limit(writer, `${largest + 10_007 + round * 3_001}`);
    await until('the disk refuses', () => promised.refused.size >= refusedBefore + 24);
    if (round > 0) {
      await limit(writer, 'unlimited');
      const then = promised.acknowledged.size;
      await until('the store goes on', () => promised.acknowledged.size > then + 100);
    }
    await writer.kill();
    await verify(place.directory, promised);
  }
});
