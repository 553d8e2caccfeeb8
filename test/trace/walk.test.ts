/** Packets over a compiled cloud: ours go the way ofproto/trace goes, switch by switch. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseMac } from '../../src/intent/addresses.ts';
import { parseIp } from '../../src/intent/ip.ts';
import { neighbourRequest, probePacket } from '../../src/trace/probe.ts';
import { SwitchesNow } from '../../src/trace/surroundings.ts';
import { walk } from '../../src/trace/walk.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';
import { boundPorts, openTraceCloud } from './cloud.ts';
import { ctNext, notation, stepsOfEvents, stepsOfText } from './ofproto-trace.ts';

const runs = Number(process.env.KEYWAY_TRACE_RUNS ?? 60);

const someone = fc.constantFrom(...boundPorts);
const protocols = fc.constantFrom(
  { protocol: 6, targetPort: 5432 },
  { protocol: 6, targetPort: 8050 },
  { protocol: 6, targetPort: 443 },
  { protocol: 6, targetPort: 23 },
  { protocol: 6, targetPort: 7003 },
  { protocol: 6, targetPort: 7009 },
  { protocol: 17, targetPort: 53 },
  { protocol: 1, targetPort: 0 },
  { protocol: 47, targetPort: 0 },
);

const strangers = fc.constantFrom(
  '10.0.2.13',
  '10.0.1.100',
  '10.0.1.1',
  '10.0.2.1',
  '192.168.7.9',
  '10.2.1.11',
  '10.9.9.9',
  'fd00:1:0:2::1',
  'fd00:9::1',
);

const question = someone.chain((from) => {
  const near = boundPorts.filter((p) => p !== from && p.path.split('/ports/')[0] === from.path.split('/ports/')[0]);
  const neighbour = fc.constantFrom(...(near.length === 0 ? boundPorts : near));
  const address = (port: fc.Arbitrary<(typeof boundPorts)[number]>) => port.chain((p) => fc.constantFrom(...p.ips));
  return fc.record({
    from: fc.constant(from),
    to: fc.oneof({ weight: 4, arbitrary: address(neighbour) }, address(someone), strangers),
    mac: fc.constantFrom('receiver', 'router', 'router'),
    spoiled: fc.constantFrom('', '', '', '', '', '', 'mac', 'ip'),
    ttl: fc.constantFrom(64, 64, 64, 64, 64, 1, 2),
    service: protocols,
    kind: fc.constantFrom('ip', 'ip', 'ip', 'neighbour'),
  });
});

/** One that is delivered, whatever chance brings: rule to-db, from one switch to the other. */
const certain = {
  from: boundPorts.find((p) => p.path.endsWith('acme/networks/shop/ports/a1'))!,
  to: '10.0.2.12',
  mac: 'router',
  spoiled: '',
  ttl: 64,
  service: { protocol: 6, targetPort: 5432 },
  kind: 'ip',
} as const;

/** Whether all of the first is in the second, in its order. */
function within(some: readonly string[], all: readonly string[]): boolean {
  let at = 0;
  for (const one of all) if (one === some[at]) at++;
  return at === some.length;
}

test('every look-up, pass and output as ofproto/trace has it, on both switches', {
  timeout: 120_000,
}, async (context) => {
  await openVswitchOrSkip(context);
  await using cloud = await openTraceCloud();
  const { around, switches: real, core } = cloud;
  const ends = new Map<string, number>();
  let hops = 0;
  await fc.assert(
    fc.asyncProperty(question, fc.nat(), async ({ from, to, mac, spoiled, ttl, service, kind }, pick) => {
      const bound = core.engine.bindings.placement.get(from.path)!;
      const target = parseIp(to)!;
      const own = from.ips.map((ip) => parseIp(ip)!).find((ip) => ip.family === target.family);
      if (own === undefined) return;
      const another = boundPorts[pick % boundPorts.length]!;
      const tier = core.intent.getAs('port', from.path)!.spec.tier;
      const router = core.intent.get(`${from.path.split('/ports/')[0]}/tiers/${tier}`)!.number;
      const receiver = boundPorts.find((p) => p.ips.includes(to));
      const sourceMac = parseMac(spoiled === 'mac' ? another.mac : from.mac)!;
      const source =
        spoiled === 'ip'
          ? parseIp(another.ips[0]!)!.family === 4 && own.family === 4
            ? parseIp(another.ips[0]!)!
            : own
          : own;
      const packet =
        kind === 'neighbour'
          ? neighbourRequest({ inPort: bound.ofport, mac: sourceMac, source, target })
          : probePacket(bound.ofport, {
              sourceMac,
              targetMac:
                mac === 'receiver' && receiver !== undefined ? parseMac(receiver.mac)! : 0x0a * 2 ** 40 + router,
              source,
              target,
              ...service,
              protocol: target.family === 6 && service.protocol === 1 ? 58 : service.protocol,
              sourcePort: 40_000,
              icmp: { type: target.family === 6 ? 128 : 8, code: 0 },
              ttl,
              length: 98,
              state: 'new',
            });
      const walked = await walk(new SwitchesNow(around), { hypervisor: bound.hypervisor, packet });
      for (const hop of walked.hops) {
        const name = core.engine.fleet.name(hop.hypervisor) as 'hv1' | 'hv2';
        const start = hop.events.find((e) => e.kind === 'lookup')!.packet;
        const text = await real[name].appctl('ofproto/trace', 'br-int', notation(start), ...ctNext(hop.events));
        const [ours, theirs] = [stepsOfEvents(hop.events), stepsOfText(text, hop.inPort)];
        // Of both that may be larger and that may not, the trace tells; ours has a length.
        if (text.includes('check_pkt_larger')) expect(within(ours, theirs), `${ours}\n${name}\n${text}`).toBe(true);
        else expect(ours, `${name}\n${text}`).toEqual(theirs);
        hops++;
      }
      for (const end of walked.ends) ends.set(end.kind, (ends.get(end.kind) ?? 0) + 1);
    }),
    { numRuns: runs, endOnFailure: true, examples: [[certain, 0]] },
  );
  expect(hops).toBeGreaterThan(runs / 2);
  expect([...ends.keys()]).toEqual(expect.arrayContaining(['delivered', 'refused']));
});
