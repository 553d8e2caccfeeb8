/**
 * Random tenants with public addresses and NAT rules on real Open vSwitch, packets out, in and between public addresses,
 * judged by the reference model; with both gateways alive, and with one of them dead in everybody's eyes.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatMac, generatedMac } from '../../src/intent/addresses.ts';
import { undeclaredUses } from '../../src/pipeline/check.ts';
import { differences, joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import { type DummySwitch, openVswitchOrSkip } from '../support/open-vswitch.ts';
import { cabled, commons, hosts, ifaceId, ordersOf, outsideWorld, pathOf, publicIps } from './outside-arbitrary.ts';
import { arriving, type Flying, homeOf, leaving, type OutsideWorld } from './outside-reference.ts';
import type { ModelPort } from './reference.ts';
import { Walk } from './walk.ts';

const runs = Number(process.env.KEYWAY_MODEL_RUNS ?? 5);
const packetsPerWorld = 24;
const nextHop = '02:00:00:00:ff:01';

type Cloud = { core: TestCore; switches: Map<string, DummySwitch>; walk: Walk };

async function prepare(dummy: DummySwitch): Promise<void> {
  await dummy.vsctl(
    ...['add-br', 'br-ex', '--', 'set', 'Bridge', 'br-ex', 'datapath_type=dummy'],
    ...['--', 'set', 'Open_vSwitch', '.', 'external_ids:keyway-bridge-mappings=physnet:br-ex'],
  );
}

async function put(core: TestCore, list: { path: string; spec: Record<string, unknown> }[]): Promise<void> {
  const requests = list.map(({ path, spec }) => ({ op: 'put' as const, path, spec }));
  await core.intent.transact(requests, { restrictedAllowed: true, many: true });
}

async function realise({ core, switches }: Cloud, w: OutsideWorld): Promise<Map<ModelPort, number>> {
  await put(core, ordersOf(w));
  const ofports = new Map<ModelPort, number>();
  for (const p of w.ports)
    if (p.bound) ofports.set(p, await switches.get(w.hosts.get(p)!)!.addPort(`v${ofports.size}`, ifaceId(p)));
  await expect.poll(() => core.engine.bindings.placement.size, { timeout: 10_000, interval: 5 }).toBe(ofports.size);
  await settled(core);
  return ofports;
}

async function clear({ core, switches }: Cloud): Promise<void> {
  for (const s of switches.values()) {
    const names = (await s.vsctl('list-ports', 'br-int')).split('\n').filter((n) => /^v\d+$/.test(n));
    if (names.length > 0)
      await s.vsctl(...names.flatMap((n, i) => [...(i === 0 ? [] : ['--']), 'del-port', 'br-int', n]));
  }
  const doomed = Object.keys(publicIps).flatMap((tenant) =>
    (['nat-rule', 'rule', 'port'] as const).flatMap((kind) =>
      [...core.intent.children(kind, pathOf(tenant))].map((r) => r.path),
    ),
  );
  await core.intent.transact(
    doomed.map((path) => ({ op: 'delete' as const, path })),
    { restrictedAllowed: true, many: true },
  );
  await settled(core);
}

/** What every switch thinks of its tunnels to the host, whatever BFD says. */
async function setAlive({ switches, walk }: Cloud, host: string, alive: boolean): Promise<void> {
  const address = walk.member(host).facts!.encapIp!;
  for (const s of switches.values()) {
    const found = await s.vsctl('--bare', '--columns=name', 'find', 'Interface', `options:remote_ip="${address}"`);
    for (const name of found.split('\n')) if (name !== '') await s.appctl('bfd/set-forwarding', name, String(alive));
  }
}

/** From its address and MAC to its router; to elsewhere, or to a public address of anybody's. */
function outward(w: OutsideWorld, pick: (n: number) => number): { from: ModelPort; packet: Flying } {
  const from = w.ports[pick(w.ports.length)]!;
  const publics = Object.values(publicIps).flatMap((of) => Object.values(of));
  const away = ['198.51.100.7', '198.51.100.8', '192.0.2.99', '169.254.1.1', '240.0.0.1', '10.0.7.7'];
  const dst = pick(3) > 0 ? publics[pick(publics.length)]! : away[pick(pick(3) === 0 ? 6 : 3)]!;
  return { from, packet: { src: from.ips[0]!, dst, ...service(pick) } };
}

function inward(pick: (n: number) => number): Flying {
  const publics = Object.values(publicIps).flatMap((of) => Object.values(of));
  const sources = ['198.51.100.7', '198.51.100.8', '192.0.2.99', '203.0.113.99', '10.0.1.10', '10.0.2.11', '127.0.0.1'];
  return { src: sources[pick(sources.length)]!, dst: publics[pick(publics.length)]!, ...service(pick) };
}

function service(pick: (n: number) => number): Pick<Flying, 'protocol' | 'port' | 'ttl'> {
  const protocol = (['tcp', 'tcp', 'udp', 'icmp'] as const)[pick(4)]!;
  const port = protocol === 'icmp' ? 0 : [80, 8000, 8003, 8004, 53, 60, 61, 9000, 22][pick(9)]!;
  return { protocol, port, ttl: [64, 64, 64, 64, 3, 2, 1][pick(7)]! };
}

test('what leaves, what comes in and who answers is what the orders say, whichever gateway is in charge', {
  timeout: 300_000,
}, async (context) => {
  await openVswitchOrSkip(context);
  await using core = await startTestCore({ checkMtu: false });
  await using stack = new AsyncDisposableStack();
  const switches = new Map<string, DummySwitch>();
  for (const [i, name] of hosts.entries()) {
    const options = { gateway: name.startsWith('gw'), ...(cabled.includes(name) ? { prepare } : {}) };
    switches.set(name, stack.use(await joinSwitch(core, name, `192.0.2.${i + 1}`, options)));
  }
  const walk = new Walk(core, switches);
  const cloud = { core, switches, walk };
  await put(core, commons);
  await settled(core);
  const { fleet, bindings } = core.engine;
  const macOf = (path: string): string => formatMac(generatedMac(core.intent.get(path)!.number));
  const publicMac = (address: string): string =>
    `0e:4b:${address
      .split('.')
      .map((octet) => Number(octet).toString(16).padStart(2, '0'))
      .join(':')}`;
  // Which of the two is a network's first is up to its uid.
  const deaths = ['gw1', 'gw2', 'nobody'];
  let worlds = 0;
  const seen = { out: 0, in: 0, between: 0, across: 0, kept: 0, refused: 0, second: 0, silent: 0, answered: 0 };

  await fc.assert(
    fc.asyncProperty(outsideWorld, fc.infiniteStream(fc.nat()), async (w, noise) => {
      const dead = deaths[worlds++ % deaths.length]!;
      const ofports = await realise(cloud, w);
      expect(differences(core)).toEqual([]);
      for (const host of hosts)
        for (const { flow } of await core.fabric.flows(`hypervisors/${host}`, 'installed'))
          expect(undeclaredUses(flow)).toEqual([]);
      for (const host of hosts) await setAlive(cloud, host, host !== dead);
      walk.dead = dead;
      const gatewaysOf = (tenant: string): string[] =>
        bindings.placement.gatewaysOf(pathOf(tenant)).map((h) => fleet.name(h));
      const inCharge = (tenant: string): string => {
        const [first = '', second = ''] = gatewaysOf(tenant);
        return first === dead ? second : first;
      };
      /** Where a frame that has been sent to the address is taken, by whoever has it. */
      const ownerOf = (address: string): string | undefined => {
        for (const [tenant, of] of Object.entries(publicIps))
          for (const [name, its] of Object.entries(of)) {
            if (its !== address) continue;
            const home = homeOf(w, tenant, name);
            return home === 'gateways' ? inCharge(tenant) : home;
          }
        return undefined;
      };
      const take = (n: number): number => (noise.next().value as number) % n;

      for (const [tenant, of] of Object.entries(publicIps))
        for (const address of Object.values(of)) {
          const request = `arp,arp_op=1,arp_spa=203.0.113.1,arp_tpa=${address},arp_sha=${nextHop},dl_src=${nextHop},dl_dst=ff:ff:ff:ff:ff:ff`;
          const answering: string[] = [];
          for (const host of cabled) {
            // One that is dead does not ask itself whether it is.
            if (host === dead) continue;
            const text = await walk.trace(host, `in_port=${walk.patchOf(host)},${request}`);
            if (/^\s*IN_PORT$/m.test(text)) answering.push(host);
          }
          const owner = ownerOf(address);
          expect(answering, `${tenant} ${address}`).toEqual(owner === undefined || owner === dead ? [] : [owner]);
          if (answering.length === 0) seen.silent++;
          else seen.answered++;
        }

      const expectIn = async (packet: Flying): Promise<void> => {
        const frame = { ...packet, srcMac: nextHop, dstMac: publicMac(packet.dst) };
        const expected = arriving(w, packet);
        const owner = ownerOf(packet.dst);
        for (const host of cabled) {
          if (host === dead && host !== owner) continue;
          const { end, text } = await walk.send(host, walk.patchOf(host), frame);
          const what = `${JSON.stringify({ packet, host, dead })}\n${text}`;
          if (expected === undefined || host !== owner) {
            expect(end, what).toBeUndefined();
            seen.refused++;
            continue;
          }
          expectAt(expected, packet, end, what);
          seen.in++;
          if (w.hosts.get(expected.to) !== host) seen.across++;
          if (owner === gatewaysOf(expected.to.tenant)[1]) seen.second++;
        }
      };

      const expectAt = (
        { to, port }: { to: ModelPort; port: number },
        { src, protocol, ttl }: Flying,
        end: Awaited<ReturnType<Walk['send']>>['end'],
        what: string,
      ): void => {
        const tier = macOf(`${pathOf(to.tenant)}/tiers/${to.tier}`);
        const frame = { src, dst: to.ips[0]!, srcMac: tier, dstMac: to.mac, protocol, port, ttl: ttl - 1 };
        expect(end, what).toEqual({ host: w.hosts.get(to), ofport: ofports.get(to), outside: false, frame });
      };

      for (let i = 0; i < packetsPerWorld; i++) {
        if (i % 2 === 0) {
          let packet = inward(take);
          for (let tries = 0; tries < 20 && i % 4 === 0 && arriving(w, packet) === undefined; tries++)
            packet = inward(take);
          await expectIn(packet);
          continue;
        }
        let { from, packet } = outward(w, take);
        for (let tries = 0; tries < 20 && i % 4 === 1 && leaving(w, from, packet) === undefined; tries++)
          ({ from, packet } = outward(w, take));
        if (!from.bound) continue;
        const host = w.hosts.get(from)!;
        const frame = {
          ...packet,
          srcMac: from.mac,
          dstMac: macOf(`${pathOf(from.tenant)}/tiers/${from.tier}`),
        };
        const { end, text } = await walk.send(host, ofports.get(from)!, frame);
        const what = `${JSON.stringify({ from, host, packet, dead })}\n${text}`;
        const as = leaving(w, from, packet);
        if (as === undefined) {
          expect(end, what).toBeUndefined();
          seen.kept++;
          continue;
        }
        // A gateway does not ask itself whether it is alive.
        const [first] = gatewaysOf(from.tenant);
        const at = as.at !== 'gateways' ? as.at : host === first ? first : inCharge(from.tenant);
        const out = { ...packet, src: as.address, ttl: packet.ttl - 1 };
        if (end?.outside === true) {
          expect(end, what).toEqual({
            host: at,
            ofport: walk.patchOf(at),
            outside: true,
            frame: { ...out, srcMac: publicMac(as.address), dstMac: nextHop },
          });
          seen.out++;
          // To a public address: the router gives it to who has that.
          if (packet.dst.startsWith('203.0.113.') && dead !== at) await expectIn(out);
          continue;
        }
        // It came in again at the same switch.
        const expected = arriving(w, out);
        if (expected === undefined) expect(end, what).toBeUndefined();
        else expectAt(expected, out, end, what);
        seen.between++;
      }
      await clear(cloud);
      expect(differences(core)).toEqual([]);
    }),
    { numRuns: runs, endOnFailure: true },
  );
  // A model that allows nothing, or everything, would prove little.
  console.log(`seen: ${JSON.stringify(seen)}`);
  // The others are met in most runs, not in each.
  for (const what of ['out', 'in', 'kept', 'refused', 'answered'] as const) expect(seen[what], what).toBeGreaterThan(0);
});
