/**
 * How fast one switch is programmed and recognised again, against Open vSwitch's own ovs-ofctl on the same machine, the
 * same flows, in the same run: `node bench/southbound.ts [flows] [runs]`. Real ovs-vswitchd, dummy datapath.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cookie } from '../src/pipeline/cookie.ts';
import type { Flow } from '../src/pipeline/flow.ts';
import { PluginUnderTest } from '../test/southbound/plugin-under-test.ts';
import { type DummySwitch, startDummySwitch } from '../test/support/open-vswitch.ts';

const flowCount = Number(process.argv[2] ?? 100_000);
const runs = Number(process.argv[3] ?? 3);

/** Ten flows for each VM port, in six tables: classify, check the source, conntrack, rules, look up, tunnel. */
function unitOf(port: number): Flow[] {
  const tenant = Math.floor(port / 20);
  const mac = 0x0200_0000_0000 + port;
  const ip = 0x0a00_0000 + port;
  const flow = (table: number, more: Partial<Flow>): Flow => {
    return { table, priority: 100, cookie: cookie(table, port + 1), match: {}, actions: [], ...more };
  };
  const mine = { metadata: tenant, reg6: port };
  const flows = [
    flow(0, {
      match: { in_port: 1 + (port % 60_000), vlan_vid: 0, pkt_mark: Math.floor(port / 60_000) },
      actions: [
        { type: 'setField', field: 'metadata', value: tenant },
        { type: 'setField', field: 'reg6', value: port },
      ],
      goto: 1,
    }),
    flow(1, { match: { ...mine, eth_src: mac, eth_type: 0x0800, ipv4_src: ip }, goto: 2 }),
    flow(1, { priority: 90, match: { ...mine, eth_src: mac, eth_type: 0x0806, arp_spa: ip }, goto: 4 }),
    flow(2, {
      match: { ...mine, eth_type: 0x0800 },
      actions: [{ type: 'ct', zone: { field: 'reg6', offset: 0, bits: 16 }, table: 3 }],
    }),
    flow(4, {
      match: { metadata: tenant, eth_dst: mac },
      actions: [
        { type: 'setField', field: 'tun_id', value: tenant + 1 },
        { type: 'output', port: 1 + (port % 50) },
      ],
    }),
    flow(5, {
      match: { tun_id: tenant + 1, eth_dst: mac },
      actions: [{ type: 'setField', field: 'reg7', value: port }],
      goto: 6,
    }),
  ];
  for (let rule = 6; rule < 10; rule++) {
    const match = { metadata: tenant, ct_state: { value: 0x21, mask: 0x21 }, eth_type: 0x0800, ip_proto: 6 };
    flows.push(
      flow(3, {
        priority: 1000 + rule,
        match: { ...match, ipv4_src: ip ^ (rule << 16), ipv4_dst: ip, tcp_dst: 1000 * rule + 80 },
        actions: [{ type: 'ct', commit: true, zone: { field: 'reg6', offset: 0, bits: 16 } }],
        goto: 4,
      }),
    );
  }
  return flows;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const units = new Map<string, Flow[]>();
for (let port = 0; port * 10 < flowCount; port++) units.set(`port/${port}`, unitOf(port));

/** @returns milliseconds from `apply` to the acknowledgement */
async function program(under: PluginUnderTest): Promise<number> {
  const set = [...units].map(([unit, flows]) => ({ unit, on: [1], flows: under.plugin.encode(flows) }));
  return await timed(async () => {
    under.plugin.apply({ sequence: 1, set, remove: [] });
    await under.acknowledged(1, 1, 120_000);
  });
}

async function load(directory: DummySwitch): Promise<{ took: number; small: number[] }> {
  await using under = await new PluginUnderTest({ logLevel: 'warn' }).start();
  under.plugin.ready(1);
  await directory.vsctl('set-manager', under.managers[0]!);
  await under.seen('connected');
  const took = await program(under);
  const { bundles, flows, flowMods } = await under.stats();
  if (bundles !== 1 || flowMods !== flows) throw new Error(`${flowMods} flow_mods in ${bundles} bundles`);
  // One more port on the loaded switch, then one fewer: that is what a controller does all day.
  const small: number[] = [];
  for (let sequence = 2; sequence < 202; sequence++) {
    const set = sequence % 2 === 0 ? [{ unit: 'more', on: [1], flows: under.plugin.encode(unitOf(units.size)) }] : [];
    const remove = sequence % 2 === 0 ? [] : [{ unit: 'more', on: [1] }];
    small.push(
      await timed(async () => {
        const acknowledged = under.next('acknowledged');
        under.plugin.apply({ sequence, set, remove });
        await acknowledged;
      }),
    );
  }
  return { took, small };
}

async function reconnect(directory: DummySwitch): Promise<{ took: number; session: number }> {
  await using under = await new PluginUnderTest({ logLevel: 'info' }).start();
  const set = [...units].map(([unit, flows]) => ({ unit, on: [1], flows: under.plugin.encode(flows) }));
  under.plugin.apply({ sequence: 1, set, remove: [] });
  under.plugin.ready(1);
  // By now the desired flows are where they are compared: what follows is the reading alone.
  await under.plugin.stats();
  await directory.vsctl('set-manager', under.managers[0]!);
  const start = performance.now();
  await under.seen('connected', 1, 60_000);
  const session = performance.now() - start;
  const { flowMods, lastReadTook } = await under.stats();
  if (flowMods !== 0) throw new Error(`${flowMods} flow_mods were sent to a switch that had everything`);
  return { took: lastReadTook!, session };
}

const loads: number[] = [];
const small: number[] = [];
const ofctlLoads: number[] = [];
const reads: number[] = [];
const sessions: number[] = [];
const dumps: number[] = [];
for (let run = 0; run < runs; run++) {
  await using ours = await startDummySwitch();
  const loaded = await load(ours);
  loads.push(loaded.took);
  small.push(...loaded.small);
  const { took, session } = await reconnect(ours);
  reads.push(took);
  sessions.push(session);
  let text = '';
  dumps.push(
    await timed(async () => {
      text = await ours.ofctl('dump-flows', '--no-stats');
    }),
  );
  const file = join(ours.directory, 'flows.txt');
  writeFileSync(
    file,
    text
      .split('\n')
      .filter((line) => line.includes('actions='))
      .join('\n'),
  );
  await using theirs = await startDummySwitch();
  ofctlLoads.push(await timed(() => theirs.ofctl('add-flows', '--bundle', file)));
}

const row = (what: string, milliseconds: number[], other: number[]): void => {
  const ms = median(milliseconds);
  console.log(
    `${what.padEnd(44)} ${ms.toFixed(0).padStart(7)} ms ${((flowCount / ms) * 1000).toFixed(0).padStart(8)} flows/s`,
    ` ratio to ovs-ofctl ${(median(other) / ms).toFixed(2)}`,
  );
};
console.log(`${flowCount} flows, median of ${runs} runs`);
row('one atomic bundle, both barriers', loads, ofctlLoads);
row('ovs-ofctl --bundle add-flows', ofctlLoads, ofctlLoads);
row('read back and compare', reads, dumps);
row('whole reconnect, from set-manager', sessions, dumps);
row('ovs-ofctl dump-flows --no-stats', dumps, dumps);
const sorted = small.toSorted((a, b) => a - b);
const percentile = (p: number): string => sorted[Math.floor((sorted.length - 1) * p)]!.toFixed(2);
console.log(
  `one unit of 10 flows on that switch, apply to acknowledgement: p50 ${percentile(0.5)} p95 ${percentile(0.95)} ms`,
);
