import { pingFrame } from './frame.ts';
import type { PacketCapture } from './lab-capture.ts';
import type { LabMachine, TcpOutcome } from './lab-host.ts';
import { outside } from './outside.ts';
import { gatewayOf, ipOf, ipv6GatewayOf, ipv6Of, macOf, type Probe, type StoryVm, vms as storyVms } from './story.ts';
import { mirrorPort } from './story-outside.ts';

export type ProbeResult = {
  probe: Probe;
  /** In the words of `expected`, or what else happened. */
  seen: string;
  ok: boolean;
  /** How long it took to see it, in milliseconds. */
  took: number;
};

/** Milliseconds. */
export type Patience = {
  /** What a probe that should see something gets at most: tunnels and bindings may just have come up. */
  positive: number;
  /** What a probe that should see nothing waits at least, and at most. */
  least: number;
  most: number;
};

const defaultPatience: Patience = { positive: 10_000, least: 2_000, most: 6_000 };

/**
 * Sends real packets. First the probes that should see something, then, in what took the slowest of those and more, the
 * ones that should not: a packet that is merely late must not pass for a refused one.
 */
export async function runProbes(
  probes: readonly Probe[],
  vms: ReadonlyMap<string, LabMachine>,
  patience: Patience = defaultPatience,
): Promise<ProbeResult[]> {
  const results = new Map<Probe, ProbeResult>();
  const all = async (chosen: readonly Probe[], limit: number): Promise<void> => {
    await Promise.all(
      chosen.map(async (probe) => {
        const started = performance.now();
        const seen = await observe(probe, vms, limit, probes.indexOf(probe));
        results.set(probe, { probe, seen, ok: seen === wantedOf(probe), took: performance.now() - started });
      }),
    );
  };
  const isNegative = (probe: Probe): boolean => probe.expected === 'nothing';
  await all(
    probes.filter((probe) => !isNegative(probe)),
    patience.positive,
  );
  const slowest = Math.max(0, ...[...results.values()].map(({ took }) => took));
  await all(probes.filter(isNegative), Math.min(patience.most, Math.max(patience.least, 2 * slowest)));
  return probes.map((probe) => results.get(probe)!);
}

/** What is to be seen, in words. */
export function wantedOf(probe: Probe): string {
  if (probe.expected === 'answer') return `answer of ${probe.to}`;
  return probe.expected === 'address' ? `as ${probe.as}` : probe.expected;
}

/** @param said in place of the answer */
function told(outcome: TcpOutcome, said: (answer: string) => string): string {
  if ('answer' in outcome) return said(outcome.answer);
  // A reset comes from the far end, so the packet did arrive there.
  return outcome.failure === 'refused' ? 'refused by the far end' : 'nothing';
}

function named<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new Error(`no VM is called ${name}`);
  return value;
}

function storyVm(name: string): StoryVm {
  const vm = storyVms.find(({ tenant, name: own }) => `${tenant}/${own}` === name);
  if (vm === undefined) throw new Error(`no VM is called ${name}`);
  return vm;
}

async function observe(
  probe: Probe,
  vms: ReadonlyMap<string, LabMachine>,
  patience: number,
  index: number,
): Promise<string> {
  const from = named(vms, probe.from);
  switch (probe.kind) {
    case 'gateway': {
      const { tier } = storyVm(probe.from);
      const gateway = probe.ipv6 === true ? ipv6GatewayOf(tier) : gatewayOf(tier);
      return (await from.ping(gateway, { patience })) ? 'reply' : 'nothing';
    }
    case 'ping': {
      const target = storyVm(probe.to);
      return (await from.ping(probe.ipv6 === true ? ipv6Of(target) : ipOf(target), { patience })) ? 'reply' : 'nothing';
    }
    case 'tcp':
      return told(await from.tcp(ipOf(storyVm(probe.to)), probe.port, { patience }), (who) => `answer of ${who}`);
    case 'inward':
      return told(await from.tcp(probe.address, probe.port, { patience }), (who) => `answer of ${who}`);
    case 'outward':
      return told(await from.tcp(outside.client.address, mirrorPort, { patience }), (address) => `as ${address}`);
    case 'way': {
      const ends = [storyVm(probe.from), storyVm(probe.to)];
      const [source, destination] = (probe.direction === 'there' ? ends : ends.toReversed()).map((vm) => hex(ipOf(vm)));
      await using capture = await named(vms, probe.at).capture();
      const outcome = await from.tcp(ipOf(storyVm(probe.to)), probe.port, { patience });
      if (!('answer' in outcome)) return outcome.failure;
      // Ethernet and the IPv4 header up to the addresses: 26 bytes.
      const seen = (await capture.seen()).some((f) => f.hex.slice(52, 68) === `${source}${destination}`);
      return seen ? 'passes' : 'nothing';
    }
    case 'frame': {
      const [honest, target] = [storyVm(probe.from), storyVm(probe.to)];
      // The identifier tells this probe's frames from everybody else's.
      const identifier = 0x4b00 + index;
      const frame = pingFrame({
        ethSrc: probe.mac ?? macOf(honest),
        ethDst: macOf(target),
        ipSrc: probe.ip ?? ipOf(honest),
        ipDst: ipOf(target),
        vlan: probe.vlan,
        identifier,
      });
      await using capture = await named(vms, probe.to).capture();
      return (await arrives(capture, () => from.sendFrame(frame), identifier, patience)) ? 'arrives' : 'nothing';
    }
  }
}

function hex(ip: string): string {
  return ip
    .split('.')
    .map((octet) => Number(octet).toString(16).padStart(2, '0'))
    .join('');
}

async function arrives(
  capture: PacketCapture,
  send: () => Promise<void>,
  identifier: number,
  patience: number,
): Promise<boolean> {
  // ICMP echo request: identifier, sequence 1, and the filling of pingFrame.
  const mark = `${identifier.toString(16).padStart(4, '0')}00016b6b6b6b`;
  const deadline = performance.now() + patience;
  for (;;) {
    await send();
    await new Promise((resolve) => setTimeout(resolve, 200));
    if ((await capture.seen()).some(({ hex }) => hex.includes(mark))) return true;
    if (performance.now() > deadline) return false;
  }
}
