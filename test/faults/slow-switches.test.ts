/** Switches that answer one byte a second, or stop reading: the others are programmed at full speed. */
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { startTestCore, type TestCore } from '../support/core.ts';
import { FakeHypervisor } from './fake-hypervisor.ts';

/** KEYWAY_FAULTS=long: until they are given up, too. */
const long = process.env.KEYWAY_FAULTS === 'long';

const network = 'tenants/acme/networks/shop';
/** Milliseconds from one byte to the next. */
const pace = 1_000;

const names = ['good1', 'good2', 'dripping', 'dripping-later', 'deaf', 'dripping-database'] as const;
type Name = (typeof names)[number];
const good: Name[] = ['good1', 'good2'];

/** Writes what it is given, one byte after the other. */
function drip(socket: Socket): (bytes: Uint8Array) => void {
  let waiting = Buffer.alloc(0);
  const timer = setInterval(() => {
    if (waiting.length > 0) socket.write(waiting.subarray(0, 1));
    waiting = waiting.subarray(1);
  }, pace);
  socket.once('close', () => clearInterval(timer));
  return (bytes) => {
    waiting = Buffer.concat([waiting, bytes]);
  };
}

function host(name: Name): FakeHypervisor {
  const number = names.indexOf(name) + 1;
  const addressOf = (n: number): string => `192.0.2.${n}`;
  let dripping: ((bytes: Uint8Array) => void) | undefined;
  return new FakeHypervisor({
    systemId: name,
    encapIp: addressOf(number),
    vifs: [{ ifaceId: `if-${name}`, name: 'vif', ofport: 1 }],
    tunnels: names
      .map((_, n) => n + 1)
      .filter((n) => n !== number)
      .map((n) => ({ peer: n, remoteIp: addressOf(n), ofport: 10 + n })),
    ...(name === 'dripping-database'
      ? {
          writeDatabase: (socket: Socket, text: string) => {
            dripping ??= drip(socket);
            dripping(Buffer.from(text));
          },
        }
      : {}),
  });
}

/** From now on its switch answers one byte at a time. */
function slowDown({ fake }: FakeHypervisor): void {
  fake!.send = drip(fake!.socket);
}

async function order(core: TestCore): Promise<void> {
  const operations = [
    ...names.map((name) => ({ path: `hypervisors/${name}`, spec: { admission: 'approved' } })),
    { path: 'tenants/acme', spec: {} },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
    { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
    ...names.map((name) => ({ path: `${network}/ports/${name}`, spec: { tier: 'web', ifaceId: `if-${name}` } })),
  ];
  for (const { path, spec } of operations)
    await core.intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });
}

test('one byte a second, or nothing read: the others do not wait', async () => {
  await using core = await startTestCore();
  await order(core);
  const hosts = new Map(names.map((name) => [name, host(name)]));
  const progressOf = (name: Name) => core.progress.of(names.indexOf(name) + 1)!;
  const manager = core.managers[0]!;
  const connected = (name: Name) => until(`${name} in sync`, () => progressOf(name).connected, 10_000);
  const done = (on: readonly Name[]): boolean =>
    core.progress.observed >= core.intent.revision &&
    on.every((name) => progressOf(name).acknowledged >= progressOf(name).sent);
  let rules = 0;
  /** Milliseconds until the good ones have confirmed so many new rules. */
  const change = async (count: number): Promise<number> => {
    const started = performance.now();
    await core.intent.transact(
      Array.from({ length: count }, () => {
        rules++;
        const ports = [String(1_000 + rules)];
        const spec = {
          action: 'allow',
          priority: rules,
          from: { any: true },
          to: { tier: 'web' },
          protocol: 'tcp',
          ports,
        };
        return { op: 'put', path: `${network}/rules/r${rules}`, spec };
      }),
      { many: true },
    );
    await until(`${count} rules`, () => done(good), 20_000, 1);
    return performance.now() - started;
  };
  const figures = async (): Promise<{ one: number; slowest: number; many: number }> => {
    const single: number[] = [];
    for (let i = 0; i < 30; i++) single.push(await change(1));
    single.sort((a, b) => a - b);
    return { one: single[15]!, slowest: single.at(-1)!, many: await change(2_000) };
  };
  try {
    // The ports of the others are bound too, so that every rule concerns every switch.
    for (const name of ['good1', 'good2', 'dripping-later', 'deaf'] as const) {
      await hosts.get(name)!.connect(manager);
      await connected(name);
    }
    await until('all bound', () => core.engine.bindings.placement.hostsOfNetwork(network).length === 4);
    await change(100);
    await until('all', () => done(['good1', 'good2', 'dripping-later', 'deaf']));
    const alone = await figures();
    await until('all again', () => done(['dripping-later', 'deaf']));

    slowDown(hosts.get('dripping-later')!);
    hosts.get('deaf')!.fake!.socket.pause();
    await hosts.get('dripping-database')!.connectDatabase(manager);
    const dripping = hosts.get('dripping')!;
    await dripping.connectDatabase(manager);
    await dripping.connectSwitch();
    // Before it has been asked anything.
    slowDown(dripping);
    const beside = await figures();

    console.log(
      `programmed within, ms: alone one rule ${alone.one.toFixed(1)} (slowest ${alone.slowest.toFixed(0)}), 2,000 rules ` +
        `${alone.many.toFixed(0)}; beside four slow hypervisors ${beside.one.toFixed(1)} ` +
        `(${beside.slowest.toFixed(0)}), ${beside.many.toFixed(0)}`,
    );
    // They were there all the time, and confirmed nothing.
    for (const name of ['dripping-later', 'deaf'] as const) {
      expect(progressOf(name)).toMatchObject({ connected: true });
      expect(done([name])).toBe(false);
    }
    for (const name of ['dripping', 'dripping-database'] as const) expect(progressOf(name).connected).toBe(false);
    // Waiting for one of them would have taken seconds for each change.
    expect(beside.one).toBeLessThan(pace / 2);
    const { switches } = await core.plugin.stats();
    for (const { waiting } of switches) expect(waiting).toBeLessThan(4 << 20);
    if (!long) return;
    // They hold up whoever waits for `programmed` until they are given up.
    for (const name of ['deaf', 'dripping-later'] as const)
      await until(`${name} given up`, () => !progressOf(name).connected, 60_000);
    expect(await core.progress.wait(core.intent.revision, 'programmed', 1_000)).toBe(true);
  } finally {
    for (const one of hosts.values()) one.drop();
  }
}, 120_000);
