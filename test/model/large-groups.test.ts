/**
 * Groups large enough for conjunctions, through the whole pipeline on real switches: who may reach whom, in a network whose
 * addresses another one has too; how many flows it costs; what a port more changes; and whose hits packets are.
 */
import { expect, test } from 'vitest';
import { cookie } from '../../src/pipeline/cookie.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { differences, joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import { type DummySwitch, openVswitchOrSkip } from '../support/open-vswitch.ts';
import { ifaceId, orders } from './arbitrary.ts';
import { type ModelPort, type ModelRule, type Packet, receiver, type World } from './reference.ts';
import { Tracer } from './tracer.ts';

const network = 'tenants/acme/networks/shop';

const portOf = (net: string, i: number): ModelPort => {
  const half = net === 'shop' ? 0 : 1;
  return {
    tenant: 'acme',
    network: net,
    name: `p${i}`,
    tier: 'web',
    mac: `02:00:00:00:0${half}:${String(i).padStart(2, '0')}`,
    // No two are one prefix.
    ips: [`10.0.1.${10 + 2 * i}`, `fd00:0:0:1::${10 + 2 * i}`],
    groups: net === 'shop' ? [i < 8 ? 'red' : 'blue'] : ['red', 'blue'],
    bound: true,
  };
};

const rule = (more: Partial<ModelRule>): ModelRule => ({
  tenant: 'acme',
  network: 'shop',
  action: 'allow',
  priority: 10,
  from: { group: 'red' },
  to: { group: 'blue' },
  protocol: 'tcp',
  ...more,
});

const world: World = {
  networks: [],
  routes: [],
  peered: [],
  ports: [
    ...Array.from({ length: 16 }, (_, i) => portOf('shop', i)),
    ...Array.from({ length: 3 }, (_, i) => portOf('lab', 2 * i + 5)),
  ],
  rules: [
    rule({ ports: ['22', '80', '8000-8100'] }),
    rule({ from: { any: true }, ports: ['80-90'] }),
    rule({ priority: 20, protocol: 'any', from: { group: 'blue' }, to: { group: 'red' } }),
    rule({ priority: 20, action: 'deny', protocol: 'udp', from: { group: 'blue' }, to: { group: 'red' } }),
  ],
};

const hostOf = (p: ModelPort): number => Number(p.name.slice(1)) % 2;

test('large groups are conjunctions, and judge as the orders say', { timeout: 120_000 }, async (context) => {
  await openVswitchOrSkip(context);
  await using core = await startTestCore();
  await using hv1 = await joinSwitch(core, 'hv1', '192.0.2.1');
  await using hv2 = await joinSwitch(core, 'hv2', '192.0.2.2');
  const switches = [hv1, hv2];
  const ofports = await realise(core, switches);
  expect(differences(core)).toEqual([]);
  const rulesOn = (s: DummySwitch) => s.ofctl('dump-flows', `table=${tables.Rules.id}`);
  expect(await rulesOn(hv1)).toMatch(/conjunction\(\d+,1\/3\)/);

  await checkPackets(core, switches, ofports);
  await checkHits(core, hv1);

  // A port more in a group: a flow for each of its two addresses, in each of the three buckets that name the group.
  const before = (await rulesOn(hv2)).split('\n').length;
  const flowsBefore = await keysOn(hv2);
  const [late] = world.ports.filter((p) => p.name === 'p3' && p.network === 'shop');
  late!.groups.push('blue');
  const { path, spec } = orders(world).find((o) => o.path === `${network}/ports/p3`)!;
  await core.intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });
  await settled(core);
  expect(differences(core)).toEqual([]);
  expect((await rulesOn(hv2)).split('\n')).toHaveLength(before + 6);
  const changed = [...(await keysOn(hv2))].filter((line) => !flowsBefore.has(line));
  expect(changed.length).toBeLessThan(30);
  await checkPackets(core, switches, ofports);
});

async function realise(core: TestCore, switches: DummySwitch[]): Promise<Map<string, number>> {
  await core.intent.transact(
    orders(world).map(({ path, spec }) => ({ op: 'put' as const, path, spec })),
    { restrictedAllowed: true, many: true },
  );
  const ofports = new Map<string, number>();
  for (const p of world.ports)
    ofports.set(ifaceId(p), await switches[hostOf(p)]!.addPort(`v${ofports.size}`, ifaceId(p)));
  await expect.poll(() => core.engine.bindings.placement.size, { timeout: 10_000 }).toBe(ofports.size);
  await settled(core);
  return ofports;
}

async function checkPackets(core: TestCore, switches: DummySwitch[], ofports: Map<string, number>): Promise<void> {
  const tracer = new Tracer(core, switches);
  let allowed = 0;
  let denied = 0;
  const at = (i: number): ModelPort => world.ports[i % world.ports.length]!;
  for (let i = 0; i < 48; i++) {
    const [from, to] = [at(5 * i + 3), at(7 * i + (i >> 3))];
    const family = i % 2;
    const packet: Packet = {
      from,
      srcMac: from.mac,
      srcIp: from.ips[family]!,
      dstMac: to.mac,
      dstIp: to.ips[family]!,
      protocol: i % 5 === 4 ? 'udp' : 'tcp',
      port: [80, 22, 8050, 85, 443][i % 5]!,
      ttl: 64,
    };
    const expected = receiver(world, packet);
    const { delivered, text } = await tracer.send(hostOf(from), ofports.get(ifaceId(from))!, packet, '');
    const wanted = expected && { host: hostOf(expected), ofport: ofports.get(ifaceId(expected)) };
    const where = delivered && { host: delivered.host, ofport: delivered.ofport };
    expect(where, `${JSON.stringify(packet)}\n${text}`).toEqual(wanted);
    if (expected === undefined) denied++;
    else allowed++;
  }
  expect(allowed).toBeGreaterThan(5);
  expect(denied).toBeGreaterThan(5);
}

/** Both speak of TCP port 80; the hits are the first rule's, and so says the trace. Sender and receiver are on one switch, and both ends judge. */
async function checkHits(core: TestCore, s: DummySwitch): Promise<void> {
  const sent = 3;
  for (let i = 0; i < sent; i++) {
    const ethernet = 'eth(src=02:00:00:00:00:00,dst=02:00:00:00:00:08),eth_type(0x0800)';
    const ip = 'ipv4(src=10.0.1.10,dst=10.0.1.26,proto=6,tos=0,ttl=64,frag=no)';
    const tcp = `tcp(src=${40_000 + i},dst=80),tcp_flags(syn)`;
    await s.appctl('netdev-dummy/receive', 'v0', `in_port(1),${ethernet},${ip},${tcp}`);
  }
  const hitsOf = async (name: string): Promise<number> => {
    const { number } = core.intent.get(`${network}/rules/${name}`)!;
    let packets = 0;
    for (const { id } of [tables.Policies, tables.Rules, tables.Precedence]) {
      const text = await s.ofctl('dump-flows', `cookie=0x${cookie(id, number).toString(16)}/-1`);
      for (const [, count] of text.matchAll(/n_packets=(\d+)/g)) packets += Number(count);
    }
    return packets;
  };
  await expect.poll(() => hitsOf('r0'), { timeout: 15_000 }).toBe(2 * sent);
  expect(await hitsOf('r1')).toBe(0);

  const { verdict } = await core.trace.trace({
    from: `${network}/ports/p0`,
    to: { port: `${network}/ports/p8` },
    protocol: 'tcp',
    destinationPort: 80,
    state: 'new',
  });
  expect(verdict.outcome).toBe('delivered');
  expect(verdict.decisions.map(({ path }) => path)).toEqual([`${network}/rules/r0`, `${network}/rules/r0`]);
}

async function keysOn(s: DummySwitch): Promise<Set<string>> {
  return new Set((await s.ofctl('dump-flows', '--no-stats')).split('\n'));
}
