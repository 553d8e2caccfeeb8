/**
 * The way out, with real packets between namespaces over userspace datapaths: how long from the order of a public address to
 * the first packet through it; what is lost when the gateway in charge dies, no controller running; throughput with source
 * NAT against the same way without.
 *
 * node bench/outside.ts [samples=100] [rounds=7] [failovers=5] [--first-packet] [--failover] [--speed]
 *
 * With options only the figures named.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { namespacesForbidden } from '../src/sandbox/enclosure.ts';
import { until } from '../src/sandbox/ephemeral.ts';
import { openLab } from '../src/sandbox/lab.ts';
import { findOpenVswitch } from '../src/sandbox/open-vswitch/find.ts';
import { outside } from '../src/sandbox/outside.ts';
import { pingThrough } from '../src/sandbox/pings.ts';
import { gatewayInCharge, openOutsideArena, speedPort } from './outside/arena.ts';
import { hurryRouter, orderUnderPings } from './outside/first-packet.ts';
import { prepareWithoutNat } from './outside/without-nat.ts';
import { machine, milliseconds, options, quantile } from './support/figures.ts';
import { findIperf3 } from './traffic/iperf3.ts';
import { type Path, type Throughput, throughputOf } from './traffic/link.ts';

const { numbers, given } = options(['--first-packet', '--failover', '--speed'], 100, 7, 5);
const [samples = 100, rounds = 7, failovers = 5] = numbers;
const wanted = (name: '--first-packet' | '--failover' | '--speed'): boolean => given.size === 0 || given.has(name);

/** What is promised: milliseconds, milliseconds, and a share. */
const limits = { firstPacket: 100, failover: 500, speed: 0.85 };
const seconds = 3;

const line = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);
const openVswitch = await findOpenVswitch({ line });
if ('unavailable' in openVswitch) throw new Error(`no Open vSwitch: ${openVswitch.unavailable}`);
const forbidden = await namespacesForbidden();
if (forbidden !== undefined) throw new Error(`no namespaces: ${forbidden}`);
console.log(`${machine()}, Open vSwitch ${openVswitch.version}`);

await using lab = await openLab(openVswitch);
// Flows of ours, which stand for the way without NAT, are to be left alone.
const arena = await openOutsideArena(lab, { driftPolicy: 'report' });
line('two hypervisors, two gateways, a router and a client; everything programmed');

if (wanted('--first-packet')) await firstPacketFigure();
if (wanted('--speed')) await speedFigure();
if (wanted('--failover')) await failoverFigure();
console.log(`load at the end: ${machine()}`);

async function firstPacketFigure(): Promise<void> {
  await hurryRouter(arena);
  const places = { inner: 'at the gateways', edge: "on the VM's own hypervisor" } as const;
  for (const [vm, where] of Object.entries(places) as ['inner' | 'edge', string][]) {
    const taken = [];
    for (let i = 0; i < samples; i++) taken.push(await orderUnderPings(arena, vm, i));
    const packets = taken.map(({ packet }) => packet);
    const p95 = quantile(packets, 0.95);
    console.log(`static NAT ${where}: order to first answer ${milliseconds(packets)}`);
    console.log(`  the order's own answer, once programmed: ${milliseconds(taken.map((t) => t.programmed))}`);
    console.log(`  p95 is ${(p95 / limits.firstPacket).toFixed(2)} of the limit of ${limits.firstPacket} ms`);
  }
}

async function speedFigure(): Promise<void> {
  const iperf3 = await findIperf3(line);
  if ('unavailable' in iperf3) throw new Error(`no iperf3: ${iperf3.unavailable}`);
  const { inner } = arena.vms;
  const { first } = await gatewayInCharge(arena);
  const withoutNat = await prepareWithoutNat(arena, first);
  const path: Path = {
    name: 'out',
    hypervisors: [inner.hypervisor, first],
    from: inner.vm,
    to: { ip: outside.client.address, vm: arena.client },
    tcpPort: speedPort,
  };
  const measured: Record<'plain' | 'nat', Throughput[]> = { plain: [], nat: [] };
  const once = async (kind: 'plain' | 'nat'): Promise<void> => {
    for (const hypervisor of path.hypervisors) {
      await hypervisor.appctl('dpctl/flush-conntrack');
      await hypervisor.appctl('dpctl/del-flows');
    }
    if (!(await inner.vm.ping(outside.client.address))) throw new Error(`there is no way out (${kind})`);
    measured[kind].push(await throughputOf(path, iperf3, seconds));
    const translated = (await first.appctl('dpctl/dump-conntrack')).includes(`=${arena.sourceAddress},`);
    if (translated !== (kind === 'nat')) throw new Error(`${kind}: translated is ${translated}`);
  };
  for (let round = 1; round <= rounds; round++) {
    await withoutNat.begin();
    await once('plain');
    await withoutNat.end();
    await once('nat');
    const last = (kind: 'plain' | 'nat'): string => (measured[kind].at(-1)!.bits / 1e6).toFixed(0);
    line(`round ${round}: without NAT ${last('plain')}, with source NAT ${last('nat')} Mbit/s`);
  }
  const median = (values: readonly number[]): number => quantile(values, 0.5);
  const bits = (kind: 'plain' | 'nat'): number => median(measured[kind].map((t) => t.bits));
  const byRound = median(measured.nat.map((t, i) => t.bits / measured.plain[i]!.bits));
  const share = bits('nat') / bits('plain');
  const processor = median(measured.nat.map((t) => t.processor)) / median(measured.plain.map((t) => t.processor));
  const percent = (value: number): string => `${(100 * value).toFixed(0)} %`;
  console.log(
    `source NAT ${(bits('nat') / 1e6).toFixed(0)} Mbit/s, the same without ${(bits('plain') / 1e6).toFixed(0)} (medians of ${rounds} alternating runs of ${seconds} s): ${percent(share)}, median of the rounds' own ratios ${percent(byRound)}; limit ${percent(limits.speed)}; processor of both switches a bit ${processor.toFixed(2)} times`,
  );
}

async function failoverFigure(): Promise<void> {
  const { vm } = arena.vms.inner;
  const lost: number[] = [];
  for (let i = 1; i <= failovers; i++) {
    const { first } = await gatewayInCharge(arena);
    await lab.killController();
    const loss = await pingThrough(vm, outside.client.address, () => first.kill('ovs-vswitchd'));
    lost.push(loss.lost * loss.interval);
    line(
      `failover ${i}: ${first.name} killed, ${loss.lost} of ${loss.sent} pings lost, no answer for ${loss.longestGap} ms`,
    );
    await lab.startController({ driftPolicy: 'report' });
    await first.start('ovs-vswitchd');
    const again = async (): Promise<boolean> => (await gatewayInCharge(arena).catch(() => undefined))?.first === first;
    // A BFD session that comes up may go down once more before both ends have left its slow start (RFC 5880 section 6.8.3).
    await until(
      `${first.name} to be in charge again, and to stay it`,
      async () => {
        if (!(await again())) return false;
        await sleep(2_500);
        return again();
      },
      60_000,
      500,
    );
  }
  const worst = Math.max(...lost);
  console.log(
    `failover under 100 pings a second, no controller: lost ${Math.min(...lost)} to ${worst} ms over ${failovers}; worst is ${(worst / limits.failover).toFixed(2)} of the limit of ${limits.failover} ms`,
  );
}
