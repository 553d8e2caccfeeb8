/**
 * Real packets, between VMs that are namespaces, over userspace datapaths and tunnels: Keyway, Debian's OVN, and the very
 * switches and tunnel of Keyway's with nothing but an `output` flow at each end, all on this machine in one go.
 *
 * node bench/traffic.ts [rounds=7] [connections=1000] [--no-ovn] [--megaflows] [--speed] [--forms] [--both-ends] [--ipv6]
 *
 * --no-ovn: without the peer. --megaflows, --speed: only these. --forms: what the megaflows match. --both-ends: last, OVN
 * once more with its rules judged where packets are sent too, as Keyway's are; it is used with everything allowed there. --ipv6:
 * tiers and VMs of both IP versions, and all that is measured by IPv6.
 */
import { namespacesForbidden } from '../src/sandbox/enclosure.ts';
import { openLab } from '../src/sandbox/lab.ts';
import { findOpenVswitch } from '../src/sandbox/open-vswitch/find.ts';
import { machine, options, table } from './support/figures.ts';
import { allowedPort, type CloudShape, ruleSource } from './support/shape.ts';
import { type Arena, connectTiers, keepMegaflows, trafficShape } from './traffic/arena.ts';
import { findIperf3 } from './traffic/iperf3.ts';
import { openKeywayArena } from './traffic/keyway.ts';
import { type Link, warmUp } from './traffic/link.ts';
import type { Megaflows } from './traffic/megaflows.ts';
import { openOvnArena } from './traffic/ovn.ts';
import { speedFigure } from './traffic/speed.ts';

const { numbers, given } = options(['--no-ovn', '--megaflows', '--speed', '--forms', '--both-ends', '--ipv6'], 7, 1000);
const [rounds = 7, connections = 1000] = numbers;
const ipv6 = given.has('--ipv6');
const both = given.has('--megaflows') === given.has('--speed');

const line = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);

const openVswitch = await findOpenVswitch({ line });
if ('unavailable' in openVswitch) throw new Error(`no Open vSwitch: ${openVswitch.unavailable}`);
const iperf3 = await findIperf3(line);
if ('unavailable' in iperf3) throw new Error(`no iperf3: ${iperf3.unavailable}`);
const forbidden = await namespacesForbidden();
if (forbidden !== undefined) throw new Error(`no namespaces: ${forbidden}`);

const shape: CloudShape = trafficShape(4, ipv6);
console.log(`${machine()}, Open vSwitch ${openVswitch.version}, iperf3 ${iperf3.version}`);

/** Beside the shape's rules: ICMP, and a thousand ports between the tiers in one rule for each protocol. */
const range = { first: 20_000, last: 20_999 };
const rule = (name: string, from: string, to: string, what: Record<string, unknown>) => ({
  path: `rules/${name}-${from}-${to}`,
  spec: { action: 'allow', priority: 50, from: { tier: from }, to: { tier: to }, ...what },
});
const many = (protocol: string) => ({ protocol, ports: [`${range.first}-${range.last}`] });
const icmp = ipv6 ? 'icmpv6' : 'icmp';
const extra = [
  rule('ping', 'web', 'web', { protocol: icmp }),
  rule('ping', 'web', 'db', { protocol: icmp }),
  rule('ping', 'db', 'web', { protocol: icmp }),
  rule('tcp', 'web', 'db', many('tcp')),
  rule('tcp', 'db', 'web', many('tcp')),
  rule('udp', 'web', 'db', many('udp')),
  rule('udp', 'db', 'web', many('udp')),
];
const within = (field: string): string => `ip && ${field} >= ${range.first} && ${field} <= ${range.last}`;
const extraMatches = [ipv6 ? 'icmp6' : 'icmp4', within('tcp.dst'), within('udp.dst')];

await using lab = await openLab(openVswitch);
const keyway = await openKeywayArena(lab, shape, extra);
line('Keyway: two hypervisors, everything programmed');
await using ovn = given.has('--no-ovn') ? undefined : await openOvnArena(lab, openVswitch, shape, extraMatches, line);
if (ovn !== undefined) line(`${ovn.name}: two hypervisors, everything installed`);

const bridged = (arena: Arena, name = `${arena.name}, one tier`): Link => ({
  name,
  arena,
  from: arena.web[0]!,
  to: arena.neighbour,
  tcpPort: allowedPort(shape, 'web', 'web'),
});
const routed = (arena: Arena): Link => ({
  name: `${arena.name}, two tiers`,
  arena,
  from: arena.web[0]!,
  to: arena.db[0]!,
  tcpPort: allowedPort(shape, 'web', 'db'),
});
const plain = bridged(keyway, 'plain');
const links = [keyway, ...(ovn === undefined ? [] : [ovn])].flatMap((arena) => [bridged(arena), routed(arena)]);
for (const link of links) await warmUp(link);

if (both || given.has('--speed')) await speedFigure({ keyway, plain, links, iperf3, rounds, line });
if (both || given.has('--megaflows')) await megaflowFigure();
console.log(`load at the end: ${machine()}`);

async function megaflowFigure(): Promise<void> {
  const rules = Array.from({ length: shape.rules }, (_, i) => i).filter((i) => ruleSource(shape, 'db', i) === 'web');
  const ports = rules.map((i) => 1000 + i);
  const cases = [
    { protocol: 'tcp', vms: 1, ports: ports.slice(0, 1), what: '1 port' },
    { protocol: 'udp', vms: 1, ports: [range.first], what: '1 UDP port' },
    {
      protocol: 'tcp',
      vms: 1,
      ports: Array.from({ length: range.last - range.first + 1 }, (_, i) => range.first + i),
      what: '1000 ports of 1 rule',
    },
    { protocol: 'tcp', vms: 4, ports: ports.slice(0, 1), what: '1 port' },
    { protocol: 'tcp', vms: 4, ports, what: `${ports.length} ports of as many rules` },
  ] as const;
  const rows = [['2 s after the last connection', 'web to db', '', '', 'db to web', '', '']];
  rows.push(['', 'client side', 'server side', 'both', 'client side', 'server side', 'both']);
  const measure = async (arena: Arena, name = arena.name): Promise<void> => {
    await keepMegaflows(arena);
    for (const { what, ...plan } of cases) {
      const row = [`${plan.vms} x ${plan.vms} VMs, ${what}: ${name}`];
      for (const from of ['web', 'db'] as const) {
        const { flows, seconds } = await connectTiers(arena, { from, connections, ...plan });
        const [first, second] = flows;
        const [client, server] = from === 'web' ? [first, second] : [second, first];
        row.push(String(client.total), String(server.total), String(client.total + server.total));
        line(`${row[0]}, ${from} first: ${client.total} + ${server.total}; opened in ${seconds.toFixed(1)} s`);
        if (given.has('--forms')) {
          printForms('client side', client);
          printForms('server side', server);
        }
      }
      rows.push(row);
    }
  };
  await measure(keyway);
  if (ovn !== undefined) await measure(ovn);
  if (ovn !== undefined && given.has('--both-ends')) {
    await ovn.judgeBothEnds();
    await measure(ovn, `${ovn.name}, rules at both ends`);
  }
  const [head, ends, ...body] = rows;
  const byCase = cases.flatMap((_, i) => body.filter((__, row) => row % cases.length === i));
  console.log(`\nmegaflows of ${connections} connections\n${table([head!, ends!, ...byCase])}\n`);
}

function printForms(end: string, { forms }: Megaflows): void {
  for (const [form, count] of [...forms].sort((a, b) => b[1] - a[1]).slice(0, 15))
    console.log(`  ${end} ${String(count).padStart(5)}  ${form}`);
}
