/** Connections that are translated, forth and back, through a real datapath: what leaves is what our run says leaves. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatFlow } from '../../plugins/openvswitch/openflow/text.ts';
import { type Action, ctState, type Flow, type Match } from '../../src/pipeline/flow.ts';
import { Connections } from '../../src/trace/connections.ts';
import { FlowTables } from '../../src/trace/flow-tables.ts';
import { interpret } from '../../src/trace/interpreter.ts';
import { Packet } from '../../src/trace/packet.ts';
import { openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';

const zone = 5;
const outside = 0xcb007101;
const isNew: Match = { ct_state: { value: ctState.new | ctState.trk, mask: ctState.new | ctState.trk | ctState.inv } };
const isKnown: Match = { ct_state: { value: ctState.trk, mask: ctState.new | ctState.trk | ctState.inv } };
const track: Action = { type: 'ct', zone, table: 1, nat: { kind: 'restore' } };

function commit(nat: NonNullable<Extract<Action, { type: 'ct' }>['nat']>): Action {
  return { type: 'ct', zone, table: 2, commit: true, nat };
}

/** Port 1 is inside, port 2 outside; one address for all that goes out, and one service inside. */
const rules: Omit<Flow, 'cookie'>[] = [
  { table: 0, priority: 1, match: { eth_type: 0x0800 }, actions: [track] },
  {
    table: 1,
    priority: 9,
    match: { eth_type: 0x0800, in_port: 1, ...isNew },
    actions: [commit({ kind: 'src', ipMin: outside })],
  },
  {
    table: 1,
    priority: 9,
    match: { eth_type: 0x0800, in_port: 2, ip_proto: 17, udp_dst: 443, ...isNew },
    actions: [commit({ kind: 'dst', ipMin: 0x0a000001, portMin: 8443 })],
  },
  { table: 1, priority: 5, match: { eth_type: 0x0800, ...isKnown }, actions: [], goto: 2 },
  { table: 2, priority: 1, match: { eth_type: 0x0800, in_port: 1 }, actions: [{ type: 'output', port: 2 }] },
  { table: 2, priority: 1, match: { eth_type: 0x0800, in_port: 2 }, actions: [{ type: 'output', port: 1 }] },
];
const flows = rules.map((flow, i): Flow => ({ ...flow, cookie: BigInt(i + 1) }));

type Seen = { port: number; from: string; to: string };
type Step =
  | { do: 'out'; vm: number; port: number; server: number }
  | { do: 'in'; client: number; port: number; to: number }
  /** What left last, or before that, is answered. */
  | { do: 'answer'; back: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('out' as const), vm: fc.nat(2), port: fc.constant(4_000), server: fc.nat(1) }),
    fc.record({
      do: fc.constant('in' as const),
      client: fc.nat(1),
      port: fc.constantFrom(5_000, 5_001),
      to: fc.constantFrom(443, 80),
    }),
    { weight: 4, arbitrary: fc.record({ do: fc.constant('answer' as const), back: fc.nat(3) }) },
  ),
  { minLength: 3, maxLength: 8 },
);

/** One conversation from inside and one from outside, whatever chance brings. */
const examples: [Step[]][] = [
  [
    [
      { do: 'out', vm: 1, port: 4_000, server: 0 },
      { do: 'answer', back: 0 },
      { do: 'answer', back: 0 },
      { do: 'in', client: 0, port: 5_000, to: 443 },
      { do: 'answer', back: 0 },
      { do: 'answer', back: 3 },
    ],
  ],
];

const dotted = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');

/** UDP headers of a capture's packets (pcap of microseconds, as netdev-dummy writes it). */
async function captured(file: string): Promise<string[][]> {
  const bytes = await readFile(file);
  const found: string[][] = [];
  for (let at = 24; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at + 8);
    const frame = bytes.subarray(at + 16, at + 16 + length);
    at += 16 + length;
    if (frame.length < 38 || frame.readUInt16BE(12) !== 0x0800) continue;
    const end = (ip: number, port: number) => `${dotted(frame.readUInt32BE(ip))}:${frame.readUInt16BE(port)}`;
    found.push([end(26, 34), end(30, 36)]);
  }
  return found;
}

test('random conversations: the same addresses and ports leave the switch', { timeout: 120_000 }, async (context) => {
  await openVswitchOrSkip(context);
  await using s = await startDummySwitch();
  for (const name of ['p1', 'p2']) {
    await s.addPort(name);
    await s.vsctl('set', 'Interface', name, `options:tx_pcap=${join(s.directory, `${name}.pcap`)}`);
  }
  const file = join(s.directory, 'flows.txt');
  await writeFile(file, flows.map((f) => `${formatFlow(f)}\n`).join(''));
  await s.ofctl('add-flows', file);
  const tables = new FlowTables(flows.map((f) => ({ ...f, packets: 0n, bytes: 0n, duration: 0 })));
  const count = { answers: 0, dropped: 0 };
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      await s.appctl('dpctl/flush-conntrack');
      const connections = new Connections();
      const left: Seen[] = [];
      /** Nobody has answered yet: of a second packet of theirs datapaths have each their own opinion. */
      const begun = new Set<string>();
      for (const step of list) {
        let [port, from, to] = [1, '', ''];
        if (step.do === 'out') {
          [from, to] = [`10.0.0.${step.vm + 1}:${step.port + step.vm}`, `198.51.100.${step.server + 1}:53`];
        } else if (step.do === 'in') {
          [port, from, to] = [2, `198.51.100.${step.client + 1}:${step.port}`, `${dotted(outside)}:${step.to}`];
        } else {
          const answered = left.at(-1 - step.back);
          if (answered === undefined) continue;
          [port, from, to] = [answered.port, answered.to, answered.from];
          count.answers++;
        }
        if (step.do !== 'answer') {
          if (begun.has(`${from} ${to}`)) continue;
          begun.add(`${from} ${to}`);
        }
        const [source = '', sourcePort = ''] = from.split(':');
        const [target = '', targetPort = ''] = to.split(':');
        const number = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
        const packet = new Packet(
          {
            in_port: port,
            eth_type: 0x0800,
            ip_proto: 17,
            ip_ttl: 64,
            ipv4_src: number(source),
            ipv4_dst: number(target),
            udp_src: Number(sourcePort),
            udp_dst: Number(targetPort),
          },
          60,
        );
        const events = interpret(tables, packet, connections);
        for (const e of events) if (e.kind === 'commit') connections.establish(e);
        const outputs = events.flatMap((e) =>
          e.kind === 'output'
            ? [
                {
                  port: e.port,
                  from: `${dotted(Number(e.packet.get('ipv4_src')))}:${e.packet.get('udp_src')}`,
                  to: `${dotted(Number(e.packet.get('ipv4_dst')))}:${e.packet.get('udp_dst')}`,
                },
              ]
            : [],
        );
        const before = await Promise.all(['p1', 'p2'].map((n) => captured(join(s.directory, `${n}.pcap`))));
        const ip = `ipv4(src=${source},dst=${target},proto=17,tos=0,ttl=64,frag=no)`;
        await s.appctl(
          'netdev-dummy/receive',
          `p${port}`,
          `in_port(${port}),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),${ip},udp(src=${sourcePort},dst=${targetPort})`,
        );
        const wanted = outputs.map((o) => `p${o.port} ${o.from} ${o.to}`);
        const seen = async (): Promise<string[]> => {
          const after = await Promise.all(['p1', 'p2'].map((n) => captured(join(s.directory, `${n}.pcap`))));
          return after.flatMap((all, i) => all.slice(before[i]!.length).map((ends) => `p${i + 1} ${ends.join(' ')}`));
        };
        if (wanted.length > 0) await expect.poll(seen, { timeout: 3_000, interval: 10 }).toEqual(wanted);
        else {
          count.dropped++;
          await new Promise((resolve) => setTimeout(resolve, 60));
          expect(await seen()).toEqual([]);
        }
        left.push(...outputs);
      }
    }),
    { numRuns: Number(process.env.KEYWAY_TRACE_RUNS ?? 12), endOnFailure: true, examples },
  );
  expect(count.answers).toBeGreaterThan(3);
});
