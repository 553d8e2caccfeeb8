/** Throughput, round trip and first packet of several links in turn, beside the plain one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile, table } from '../support/figures.ts';
import { forget } from './arena.ts';
import type { Iperf3 } from './iperf3.ts';
import type { KeywayArena } from './keyway.ts';
import { firstPacket, type Link, roundTrip, throughput, warmUp } from './link.ts';

const seconds = 3;
const pings = 200;
const firsts = 5;
/** Milliseconds that the controller has for what it does when hypervisors go and come. */
const settle = 2_000;

type Samples = { bits: number[]; processor: number[]; rtt: number[]; first: number[]; lost: number };

/** @param plan `plain` is measured while Keyway's hypervisors are without it, first in every round */
export async function speedFigure(plan: {
  keyway: KeywayArena;
  plain: Link;
  links: readonly Link[];
  iperf3: Iperf3;
  rounds: number;
  line(text: string): void;
}): Promise<void> {
  const { keyway, plain, links, rounds } = plan;
  const samples = new Map(
    [plain, ...links].map((link): [Link, Samples] => [link, { bits: [], processor: [], rtt: [], first: [], lost: 0 }]),
  );
  for (let round = 1; round <= rounds; round++) {
    await keyway.plain(plain.from, plain.to);
    await sleep(settle);
    await measureLink(plain, plan.iperf3, samples.get(plain)!);
    await keyway.restore();
    await sleep(settle);
    for (const link of links) await measureLink(link, plan.iperf3, samples.get(link)!);
    const told = [...samples].map(([{ name }, { bits }]) => `${name} ${megabits(bits.at(-1)!)}`);
    plan.line(`round ${round}: ${told.join('; ')} Mbit/s`);
  }
  console.log(
    `\n${rounds} alternating rounds of ${seconds} s TCP, ${pings} pings and ${firsts} first packets each; medians, "by round" of the rounds' own ratios`,
  );
  const base = samples.get(plain)!;
  const ratios = (of: (s: Samples) => number[], one: Samples, moreIsBetter: boolean): string[] => {
    const [theirs, ours] = [of(base), of(one)];
    const ratio = (a: number, b: number): number => (moreIsBetter ? b / a : a / b);
    return [
      percent(ratio(median(theirs), median(ours))),
      percent(median(ours.map((value, round) => ratio(theirs[round]!, value)))),
    ];
  };
  const speed = [['', 'Mbit/s', 'of plain', 'by round', 'range', 'switches s/Gbit', 'plain / it', 'by round']];
  const delay = [['', 'RTT ms', 'plain / it', 'by round', 'lost', 'first packet ms', 'max']];
  for (const [{ name }, one] of samples) {
    const { bits, processor, rtt, first, lost } = one;
    speed.push([
      name,
      megabits(median(bits)),
      ...ratios((s) => s.bits, one, true),
      `${megabits(Math.min(...bits))}-${megabits(Math.max(...bits))}`,
      median(processor).toFixed(2),
      ...ratios((s) => s.processor, one, false),
    ]);
    delay.push([
      name,
      median(rtt).toFixed(3),
      ...ratios((s) => s.rtt, one, false),
      String(lost),
      median(first).toFixed(2),
      Math.max(...first).toFixed(2),
    ]);
  }
  console.log(`${table(speed)}\n\n${table(delay)}\n`);
}

async function measureLink(link: Link, iperf3: Iperf3, samples: Samples): Promise<void> {
  await forget(link.arena);
  await warmUp(link);
  const { bits, processor } = await throughput(link, iperf3, seconds);
  samples.bits.push(bits);
  samples.processor.push(processor);
  const trip = await roundTrip(link, pings);
  samples.rtt.push(trip.median);
  samples.lost += trip.lost;
  for (let i = 0; i < firsts; i++) samples.first.push(await firstPacket(link));
}

function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

function megabits(bits: number): string {
  return (bits / 1e6).toFixed(0);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
