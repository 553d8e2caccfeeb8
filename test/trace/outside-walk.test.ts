/** Packets out, in and round: ours go the way ofproto/trace goes on every switch, whichever gateway is alive. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseMac } from '../../src/intent/addresses.ts';
import { type Ip, parseIp } from '../../src/intent/ip.ts';
import { entrances } from '../../src/trace/outside.ts';
import { answeredMac, neighbourRequest, probePacket } from '../../src/trace/probe.ts';
import { SwitchesNow } from '../../src/trace/surroundings.ts';
import { type Walk, walk } from '../../src/trace/walk.ts';
import { openVswitch, openVswitchOrSkip } from '../support/open-vswitch.ts';
import { ctNext, notation, stepsOfEvents, stepsOfText } from './ofproto-trace.ts';
import {
  addresses,
  boundPorts,
  type Host,
  hosts,
  type OutsideTraceCloud,
  openOutsideTraceCloud,
} from './outside-cloud.ts';

const runs = Number(process.env.KEYWAY_TRACE_RUNS ?? 40);

let cloud: OutsideTraceCloud | undefined;
beforeAll(async () => {
  if (!('unavailable' in (await openVswitch()))) cloud = await openOutsideTraceCloud();
}, 60_000);
afterAll(() => cloud?.[Symbol.asyncDispose]());

const publics = Object.values(addresses).flatMap((of) => Object.values(of));
const services = fc.constantFrom(
  { protocol: 6, targetPort: 443 },
  { protocol: 6, targetPort: 8443 },
  { protocol: 6, targetPort: 22 },
  { protocol: 6, targetPort: 25 },
  { protocol: 17, targetPort: 53 },
  { protocol: 1, targetPort: 0 },
);
const away = ['198.51.100.7', '192.0.2.99', '169.254.1.1', '169.254.169.254', '240.0.0.1', '10.0.2.11'];
type Asked = {
  /** Undefined: outside. */
  from: (typeof boundPorts)[number] | undefined;
  source: string;
  to: string;
  service: { protocol: number; targetPort: number };
  ttl: number;
  dead: Host | undefined;
  size: number;
};

const question: fc.Arbitrary<Asked> = fc.record({
  from: fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...boundPorts) }, fc.constant(undefined)),
  source: fc.constantFrom('198.51.100.7', '192.0.2.99', '10.0.1.11', '127.0.0.1'),
  to: fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...publics) }, fc.constantFrom(...away)),
  service: services,
  ttl: fc.constantFrom(64, 64, 64, 3, 2, 1),
  dead: fc.constantFrom<Host | undefined>(undefined, undefined, 'gw1', 'gw2'),
  size: fc.constantFrom(98, 98, 1_600),
});

function within(some: readonly string[], all: readonly string[]): boolean {
  let at = 0;
  for (const one of all) if (one === some[at]) at++;
  return at === some.length;
}

async function compare({ core, switches }: OutsideTraceCloud, { hops }: Walk): Promise<void> {
  for (const hop of hops) {
    const name = core.engine.fleet.name(hop.hypervisor) as Host;
    const start = hop.events.find((e) => e.kind === 'lookup')!.packet;
    const text = await switches[name].appctl('ofproto/trace', 'br-int', notation(start), ...ctNext(hop.events));
    const [ours, theirs] = [stepsOfEvents(hop.events), stepsOfText(text, hop.inPort)];
    // Of both that may be larger and that may not, theirs tells; ours has a length.
    if (text.includes('check_pkt_larger')) expect(within(ours, theirs), `${ours}\n${name}\n${text}`).toBe(true);
    else expect(ours, `${name}\n${text}`).toEqual(theirs);
  }
}

test('every look-up, pass and output as ofproto/trace has it', { timeout: 180_000 }, async (context) => {
  await openVswitchOrSkip(context);
  const open = cloud!;
  const { around, core } = open;
  const { fleet, bindings } = core.engine;
  const { placement } = bindings;
  const seen = new Map<string, number>();
  const count = (what: string): void => {
    seen.set(what, (seen.get(what) ?? 0) + 1);
  };
  let dead: Host | undefined;
  const ip = (text: string): Ip => parseIp(text)!;
  const send = async (
    switches: SwitchesNow,
    at: { hypervisor: number; ofport: number },
    mac: number,
    targetMac: number,
    { from, source, to, service, ttl, size }: Asked,
  ): Promise<void> => {
    const packet = probePacket(at.ofport, {
      sourceMac: mac,
      targetMac,
      source: ip(from?.ip ?? source),
      target: ip(to),
      ...service,
      sourcePort: 40_000,
      icmp: { type: 8, code: 0 },
      ttl,
      length: size,
      state: 'new',
    });
    const walked = await walk(switches, { hypervisor: at.hypervisor, packet });
    await compare(open, walked);
    for (const end of walked.ends) count(end.kind);
    if (walked.hops.some(({ events }) => events.some((e) => e.kind === 'nat'))) count('nat');
    if (
      walked.hops.some(({ events }) => events.some((e) => e.kind === 'lookup' && e.way === 'resubmit' && e.table === 2))
    )
      count('hairpin');
    if (walked.hops.length > 2) count('three switches');
  };
  await fc.assert(
    fc.asyncProperty(question, async (asked) => {
      if (dead !== asked.dead) {
        if (dead !== undefined) await open.setAlive(dead, true);
        if (asked.dead !== undefined) await open.setAlive(asked.dead, false);
        dead = asked.dead;
      }
      const switches = new SwitchesNow(around);
      if (asked.from !== undefined) {
        const bound = placement.get(asked.from.path)!;
        const tier = core.intent.get(`${asked.from.path.split('/ports/')[0]}/tiers/${asked.from.tier}`)!;
        const router = 0x0a * 2 ** 40 + tier.number;
        await send(switches, bound, parseMac(asked.from.mac)!, router, asked);
        return;
      }
      const address = [...core.intent.children('tenant', '')]
        .flatMap((t) => [...core.intent.children('public-ip', `${t.path}/networks/shop`)])
        .find(({ spec }) => spec.address === asked.to);
      if (address === undefined) return;
      for (const at of entrances(around, address)) {
        const arp = neighbourRequest({
          inPort: at.ofport,
          mac: 0x02000000ff01,
          source: ip('203.0.113.1'),
          target: ip(asked.to),
        });
        const walked = await walk(switches, { hypervisor: at.hypervisor, packet: arp });
        await compare(open, walked);
        const answer = walked.ends.find((end) => end.kind === 'answered');
        const mac = answer && answeredMac(answer.packet);
        count(mac === undefined ? 'silent' : 'arp');
        // Also to one that is not in charge: the frame may be flooded there.
        await send(switches, at, 0x02000000ff01, mac ?? 0x0e4b00000000, asked);
      }
    }),
    { numRuns: runs, endOnFailure: true, examples },
  );
  if (dead !== undefined) await open.setAlive(dead, true);
  expect([...fleet.all()].length).toBe(hosts.length);
  expect([...seen.keys()]).toEqual(
    expect.arrayContaining(['delivered', 'outside', 'refused', 'nat', 'hairpin', 'arp', 'silent', 'three switches']),
  );
});

const db1 = boundPorts.find(({ path }) => path.endsWith('umbrella/networks/shop/ports/db1'))!;
const web2 = boundPorts.find(({ path }) => path.endsWith('umbrella/networks/shop/ports/web2'))!;
const common = { source: '198.51.100.7', ttl: 64, dead: undefined, size: 98 };
/** What chance may leave out: in, out, and out and in again. */
const examples: [Asked][] = [
  [{ ...common, from: undefined, to: '203.0.113.20', service: { protocol: 6, targetPort: 443 } }],
  [{ ...common, from: web2, to: '198.51.100.7', service: { protocol: 6, targetPort: 443 } }],
  [{ ...common, from: web2, to: '203.0.113.20', service: { protocol: 6, targetPort: 443 } }],
  [{ ...common, from: db1, to: '198.51.100.7', service: { protocol: 6, targetPort: 443 } }],
];
