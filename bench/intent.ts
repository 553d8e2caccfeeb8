/**
 * Transactions per second on a model of many ports, against commits of the same records to the same store without a
 * model, in the same run: `node bench/intent.ts [ports] [transactions] [rounds]`. Then the processor time of 1,000 puts
 * at once, of a start, and of the view.
 */
import { Intent, type Operation } from '../src/intent/intent.ts';
import { encodeRecord } from '../src/intent/records.ts';
import { ephemeralDirectory } from '../src/sandbox/ephemeral.ts';
import { openLevelStore } from '../src/store/level.ts';
import type { Store } from '../src/store/store.ts';

const ports = Number(process.argv[2] ?? 100_000);
const transactions = Number(process.argv[3] ?? 2_000);
const rounds = Number(process.argv[4] ?? 5);
const perNetwork = 2_000;

const put = (path: string, spec: Record<string, unknown>): Operation => ({ op: 'put', path, spec });
const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const networkOf = (i: number) => `tenants/t${Math.floor(i / perNetwork)}/networks/n`;
const portOf = (i: number) => `${networkOf(i)}/ports/p${i}`;

async function fill(intent: Intent): Promise<void> {
  for (let i = 0; i < ports; i += perNetwork) {
    const network = networkOf(i);
    await intent.transact([
      put(network.split('/').slice(0, 2).join('/'), {}),
      put(network, { offering: 'basic', cidr: '10.0.0.0/8' }),
      put(`${network}/tiers/web`, { cidr: '10.0.0.0/16' }),
      put(`${network}/groups/all`, {}),
      ...Array.from({ length: Math.min(perNetwork, ports - i) }, (_, at) =>
        put(portOf(i + at), { tier: 'web', groups: ['all'] }),
      ),
    ]);
  }
}

/** Resolves to how many per second with so many at a time. */
async function rate(lanes: number, count: number, one: (i: number) => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  let next = 0;
  const lane = async () => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return (count * 1000) / (performance.now() - begin);
}

/** A port somewhere in the model, another one each time. */
let step = 0;
const somewhere = () => (++step * 7919) % ports;

async function throughput(intent: Intent, store: Store): Promise<void> {
  const record = encodeRecord(intent.get(portOf(0))!);
  // As many records as the model has, so that what is replaced lies as far away on the disk.
  for (let i = 0; i < ports; i += perNetwork) {
    const keys = Array.from({ length: Math.min(perNetwork, ports - i) }, (_, at) => `bare/${portOf(i + at)}`);
    await store.commit({ put: new Map(keys.map((key) => [key, record])) });
  }
  let version = 0;
  const replace = () =>
    intent.transact([put(portOf(somewhere()), { tier: 'web', groups: ['all'], description: `${++version}` })]);
  const bare = () => store.commit({ put: new Map([[`bare/${portOf(somewhere())}`, record]]) });
  for (const lanes of [1, 16]) {
    const ours: number[] = [];
    const alone: number[] = [];
    const cost = { ours: [] as number[], alone: [] as number[] };
    for (let round = 0; round <= rounds; round++) {
      let [one, other] = [0, 0];
      const aloneCost = await cpu(async () => (one = await rate(lanes, transactions, bare)));
      const ourCost = await cpu(async () => (other = await rate(lanes, transactions, replace)));
      if (round === 0) continue;
      alone.push(one);
      ours.push(other);
      cost.alone.push((aloneCost * 1000) / transactions);
      cost.ours.push((ourCost * 1000) / transactions);
    }
    const ratio = (median(ours) / median(alone)).toFixed(2);
    console.log(
      `${lanes} at a time: ${median(ours).toFixed(0)} port puts/s, bare commits ${median(alone).toFixed(0)}/s, ratio ${ratio}; ` +
        `processor time of one ${median(cost.ours).toFixed(0)} µs, bare ${median(cost.alone).toFixed(0)} µs`,
    );
  }
}

/** Milliseconds of processor time of this process. */
async function cpu(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

async function burst(intent: Intent): Promise<void> {
  for (const what of ['created', 'replaced']) {
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const name = (i: number) => `${networkOf(0)}/ports/x${what === 'created' ? round : 0}-${i}`;
      const all = Array.from({ length: 1_000 }, (_, i) =>
        put(name(i), { tier: 'web', groups: ['all'], description: `${what} ${round}` }),
      );
      times.push(await cpu(() => Promise.all(all.map((operation) => intent.transact([operation])))));
    }
    console.log(`1,000 puts at once, ${what}: ${median(times).toFixed(0)} ms of processor time`);
  }
}

await using directory = ephemeralDirectory('kw-bench-');
const store = await openLevelStore(`${directory.path}/data`);
const intent = await Intent.open(store);
const begin = performance.now();
await fill(intent);
console.log(`${ports} ports created in ${((performance.now() - begin) / 1000).toFixed(1)} s`);
await throughput(intent, store);
await burst(intent);
const opening = performance.now();
const openingCost = await cpu(() => Intent.open(store));
console.log(
  `opened again in ${(performance.now() - opening).toFixed(0)} ms, ${openingCost.toFixed(0)} ms of processor time`,
);
const paging = performance.now();
for (let i = 0; i < 1_000; i++) intent.page('port', networkOf(somewhere()), { limit: 100, after: 'p5' });
console.log(`a page of 100: ${((performance.now() - paging) * 1).toFixed(1)} µs`);
const memory = process.memoryUsage();
console.log(`heap ${(memory.heapUsed / 2 ** 20).toFixed(0)} MB, resident ${(memory.rss / 2 ** 20).toFixed(0)} MB`);
await store.close();
