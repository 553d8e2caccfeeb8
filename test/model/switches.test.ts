/** Random tenants, ports and rules on real Open vSwitch, judged packet by packet against the reference model. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatMac, generatedMac } from '../../src/intent/addresses.ts';
import { undeclaredUses } from '../../src/pipeline/check.ts';
import { differences, joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import { type DummySwitch, openVswitchOrSkip } from '../support/open-vswitch.ts';
import { governedWorld, ifaceId, orders, outside } from './arbitrary.ts';
import { type ModelPort, type Packet, receiver, type World } from './reference.ts';
import { Tracer } from './tracer.ts';

const runs = Number(process.env.KEYWAY_MODEL_RUNS ?? 12);
const packetsPerWorld = 24;

/** Which of the two switches a port is on: by its slot, so that both kinds of neighbours occur. */
const hostOf = (p: ModelPort): number => (Number(p.name.at(-1)) + (p.network === 'lab' ? 1 : 0)) % 2;

function packetOf(w: World, pick: (n: number) => number): Packet {
  const from = w.ports[pick(w.ports.length)]!;
  const near = w.ports.filter(
    (p) =>
      p !== from &&
      p.tenant === from.tenant &&
      (p.network === from.network || (w.peered.includes(p.tenant) && pick(2) > 0)),
  );
  const to = near.length === 0 || pick(4) === 0 ? w.ports[pick(w.ports.length)]! : near[pick(near.length)]!;
  const other = w.ports[pick(w.ports.length)]!;
  const spoil = pick(12);
  const isV6 = (ip: string): boolean => ip.includes(':');
  const common = from.ips.filter((a) => to.ips.some((b) => isV6(a) === isV6(b)));
  const srcIp = common[pick(Math.max(1, common.length))] ?? from.ips[0]!;
  const ofFamily = (p: ModelPort): string => p.ips.find((ip) => isV6(ip) === isV6(srcIp)) ?? srcIp;
  const away = pick(5) === 0 ? outside.find((ip) => isV6(ip) === isV6(srcIp) && pick(2) === 0) : undefined;
  const icmp = isV6(srcIp) ? 'icmpv6' : 'icmp';
  return {
    from,
    srcMac: spoil === 0 ? other.mac : from.mac,
    srcIp: spoil === 1 ? ofFamily(other) : srcIp,
    dstMac:
      away !== undefined || to.tier !== from.tier || to.network !== from.network || pick(8) === 0 ? 'router' : to.mac,
    dstIp: away ?? ofFamily(spoil === 2 ? other : to),
    protocol: (['tcp', 'tcp', 'udp', icmp] as const)[pick(4)]!,
    port: [22, 80, 443, 8050, 9999][pick(5)]!,
    ttl: [64, 64, 64, 2, 1, 0][pick(6)]!,
  };
}

const routerMac = (core: TestCore, p: ModelPort, tier = p.tier): string =>
  formatMac(generatedMac(core.intent.get(`tenants/${p.tenant}/networks/${p.network}/tiers/${tier}`)?.number ?? 0));

async function realise(core: TestCore, w: World, switches: DummySwitch[]): Promise<Map<string, number>> {
  await core.intent.transact(
    orders(w).map(({ path, spec }) => ({ op: 'put' as const, path, spec })),
    { restrictedAllowed: true, many: true },
  );
  const ofports = new Map<string, number>();
  for (const p of w.ports) {
    if (p.bound) ofports.set(ifaceId(p), await switches[hostOf(p)]!.addPort(`v${ofports.size}`, ifaceId(p)));
  }
  const deadline = performance.now() + 10_000;
  while (core.engine.bindings.placement.size < ofports.size) {
    if (performance.now() > deadline) throw new Error('ports are not bound');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await settled(core);
  return ofports;
}

async function clear(core: TestCore, switches: DummySwitch[]): Promise<void> {
  for (const s of switches) {
    const names = (await s.vsctl('list-ports', 'br-int')).split('\n').filter((n) => /^v\d+$/.test(n));
    if (names.length > 0)
      await s.vsctl(...names.flatMap((n, i) => [...(i === 0 ? [] : ['--']), 'del-port', 'br-int', n]));
  }
  const doomed = [...core.intent.children('policy', '')].map((p) => p.path);
  for (const t of core.intent.children('tenant', '')) {
    for (const n of core.intent.children('network', t.path)) {
      for (const kind of ['rule', 'route', 'port', 'group', 'tier'] as const)
        for (const r of core.intent.children(kind, n.path)) doomed.push(r.path);
      doomed.push(n.path);
    }
    for (const p of core.intent.children('peering', t.path)) doomed.push(p.path);
    doomed.push(t.path);
  }
  await core.intent.transact(
    doomed.map((path) => ({ op: 'delete' as const, path })),
    { restrictedAllowed: true, many: true },
  );
  await settled(core);
}

test('every packet meets the fate the orders give it, on both ends', { timeout: 240_000 }, async (context) => {
  await openVswitchOrSkip(context);
  await using core = await startTestCore();
  await using hv1 = await joinSwitch(core, 'hv1', '192.0.2.1');
  await using hv2 = await joinSwitch(core, 'hv2', '192.0.2.2');
  const switches = [hv1, hv2];
  let allowed = 0;
  let denied = 0;
  let tunnelled = 0;
  let routed = 0;
  let ipv6 = 0;
  let peered = 0;
  let beyond = 0;
  await fc.assert(
    fc.asyncProperty(governedWorld, fc.infiniteStream(fc.nat()), async (w, noise) => {
      const ofports = await realise(core, w, switches);
      expect(differences(core)).toEqual([]);
      for (const h of ['hv1', 'hv2']) {
        const flows = await core.fabric.flows(`hypervisors/${h}`, 'installed');
        for (const { flow } of flows) {
          expect(undeclaredUses(flow)).toEqual([]);
          // Proactive: no packet of a tenant ever waits for the controller.
        }
        expect(await core.fabric.drift(`hypervisors/${h}`)).toEqual({ missing: [], extra: [], different: [] });
      }
      const tracer = new Tracer(core, switches);
      const take = (n: number): number => (noise.next().value as number) % n;
      for (let i = 0; i < packetsPerWorld; i++) {
        // Every other one that somebody gets, where a few tries find one.
        let packet = packetOf(w, take);
        for (let tries = 0; tries < 12 && i % 2 === 0 && receiver(w, packet) === undefined; tries++)
          packet = packetOf(w, take);
        if (!packet.from.bound) continue;
        const expected = receiver(w, packet);
        const { from } = packet;
        const seen = await tracer.send(hostOf(from), ofports.get(ifaceId(from))!, packet, routerMac(core, from));
        const isRouted = packet.dstMac === 'router';
        const wanted =
          expected === undefined
            ? undefined
            : {
                host: hostOf(expected),
                ofport: ofports.get(ifaceId(expected)),
                macs: `${isRouted ? routerMac(core, expected) : from.mac} > ${expected.mac}`,
                ttl: packet.ttl - (isRouted ? 1 : 0),
              };
        expect(seen.delivered, `${JSON.stringify(packet)}\n${seen.text}`).toEqual(wanted);
        if (expected === undefined) denied++;
        else allowed++;
        if (expected === undefined) continue;
        if (hostOf(expected) !== hostOf(from)) tunnelled++;
        if (isRouted) routed++;
        if (packet.dstIp.includes(':')) ipv6++;
        if (expected.network !== from.network) peered++;
        if (!expected.ips.includes(packet.dstIp)) beyond++;
      }
      await clear(core, switches);
      expect(differences(core)).toEqual([]);
    }),
    { numRuns: runs, endOnFailure: true },
  );
  // A model that allows nothing, or everything, would prove little.
  expect(allowed).toBeGreaterThan(runs / 2);
  expect(denied).toBeGreaterThan(runs);
  expect(tunnelled).toBeGreaterThan(0);
  expect(routed).toBeGreaterThan(0);
  expect(ipv6).toBeGreaterThan(0);
  expect(peered).toBeGreaterThan(0);
  expect(beyond).toBeGreaterThan(0);
});
