/**
 * Open connections whose rule is taken away: how long until the last byte arrives at either end, and whether those that
 * another rule allows go on. Half of them TCP that talks in both directions, half UDP that the server alone sends.
 *
 * node bench/revocation.ts [connections=100] [rounds=3]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { namespacesForbidden } from '../src/sandbox/enclosure.ts';
import { openLab } from '../src/sandbox/lab.ts';
import { findOpenVswitch } from '../src/sandbox/open-vswitch/find.ts';
import { machine, numbers, quantile, table, timed } from './support/figures.ts';
import { trafficShape } from './traffic/arena.ts';
import type { Conversation } from './traffic/endpoint.ts';
import { openKeywayArena } from './traffic/keyway.ts';
import { warmUp } from './traffic/link.ts';

const [connections = 100, rounds = 3] = numbers(100, 3);
/** Milliseconds between the few bytes of each sender. */
const interval = 50;
const watched = 3_000;
const port = { cut: 7001, kept: 7002 };

const line = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);
const now = (): number => performance.timeOrigin + performance.now();

const openVswitch = await findOpenVswitch({ line });
if ('unavailable' in openVswitch) throw new Error(`no Open vSwitch: ${openVswitch.unavailable}`);
const forbidden = await namespacesForbidden();
if (forbidden !== undefined) throw new Error(`no namespaces: ${forbidden}`);
console.log(`${machine()}, Open vSwitch ${openVswitch.version}`);

type Order = { path: string; spec?: unknown; delete?: true };
const ends = { from: { tier: 'web' }, to: { tier: 'db' } };
const protocols = ['tcp', 'udp'] as const;
const ordered = (name: string, priority: number, ports: string, action = 'allow'): Order[] =>
  protocols.map((protocol) => ({
    path: `rules/${name}-${protocol}`,
    spec: { action, priority, ...ends, protocol, ports: [ports] },
  }));

/** One rule alone allows what is to be cut; what is to go on is allowed by the first of two. */
const standing = [
  ...ordered('cut', 20, String(port.cut)),
  ...ordered('first', 20, String(port.kept)),
  ...ordered('also', 30, `${port.kept}-${port.kept + 8}`),
];
const gone = (name: string): Order[] =>
  protocols.map((protocol) => ({ path: `rules/${name}-${protocol}`, delete: true }));
const ways: { what: string; orders: Order[]; back: Order[] }[] = [
  { what: 'rule deleted', orders: [...gone('cut'), ...gone('first')], back: standing },
  {
    what: 'rule for another port now',
    orders: [...ordered('cut', 20, '7100'), ...ordered('first', 20, '7100')],
    back: standing,
  },
  {
    what: 'a deny before it',
    orders: [...ordered('deny', 10, String(port.cut), 'deny'), ...gone('first')],
    back: [...gone('deny'), ...standing],
  },
];

await using lab = await openLab(openVswitch);
const arena = await openKeywayArena(lab, trafficShape(1), [
  ...standing.map(({ path, spec }) => ({ path, spec })),
  { path: 'rules/ping', spec: { action: 'allow', priority: 50, ...ends, protocol: 'icmp' } },
]);
const [client, server] = [arena.web[0]!, arena.db[0]!];
await warmUp({ name: 'Keyway', arena, from: client, to: server, tcpPort: port.cut });

const apply = (orders: readonly Order[]): Promise<unknown> =>
  lab.admin('POST', '/v1/apply', {
    resources: orders.map(({ path, ...rest }) => ({ path: `tenants/t0/networks/n/${path}`, ...rest })),
    wait: 'programmed',
    timeout: '20s',
  });

async function open(): Promise<void> {
  const count = connections / 2;
  const { ip } = server;
  for (const set of ['cut', 'kept'] as const) {
    await server.endpoint.call('listenTcp', { ip, port: port[set], set, interval });
    await server.endpoint.call('listenUdp', { ip, port: port[set], interval });
    await client.endpoint.call('connectTcp', { ip, port: port[set], count, set, interval });
    await client.endpoint.call('connectUdp', { ip, port: port[set], count, set });
  }
}

const everything = async (): Promise<Conversation[]> => [
  ...(await client.endpoint.call('report', {})),
  ...(await server.endpoint.call('report', {})),
];

const rows = [
  ['', 'programmed ms', 'last byte ms: median', 'worst', 'not cut', 'of another rule: broken', 'longest gap ms'],
];
for (const { what, orders, back } of ways) {
  const programmed: number[] = [];
  const last: number[] = [];
  let uncut = 0;
  let broken = 0;
  let gap = 0;
  let kept = 0;
  for (let round = 0; round < rounds; round++) {
    await open();
    await sleep(1_000);
    for (const { endpoint } of [client, server]) await endpoint.call('forgetGaps', {});
    const begin = now();
    programmed.push(await timed(() => apply(orders)));
    await sleep(Math.max(0, begin + watched - now()));
    const end = now();
    for (const one of await everything()) {
      if (one.set === 'cut') {
        last.push(one.lastByte - begin);
        if (one.lastByte > begin + 1_000) uncut++;
      } else {
        kept++;
        if (one.closed || one.lastByte < end - 1_000) broken++;
        gap = Math.max(gap, one.longestGap);
      }
    }
    for (const { endpoint } of [client, server]) await endpoint.call('close', {});
    await apply(back);
    await sleep(500);
  }
  rows.push([
    what,
    quantile(programmed, 0.5).toFixed(0),
    quantile(last, 0.5).toFixed(0),
    Math.max(...last).toFixed(0),
    `${uncut} of ${last.length}`,
    `${broken} of ${kept}`,
    gap.toFixed(0),
  ]);
  line(`${what}: last byte after ${Math.max(...last).toFixed(0)} ms, broken ${broken} of ${kept}`);
}
console.log(
  `\n${connections} connections to cut and ${connections} that another rule allows, ${rounds} rounds; ends counted: ` +
    `two of each TCP connection, the receiver of each UDP stream. "Not cut": something came later than 1 s\n${table(rows)}`,
);
