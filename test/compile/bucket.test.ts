/** Rules that share packets, and large ones, as flows: on real Open vSwitch the rule with the lowest id has each packet. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, type TestContext, test } from 'vitest';
import { formatFlow } from '../../plugins/openvswitch/openflow/text.ts';
import { undeclaredUses } from '../../src/pipeline/check.ts';
import { cookieResource } from '../../src/pipeline/cookie.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { load, registers } from '../../src/pipeline/registers.ts';
import { type Table, tables } from '../../src/pipeline/tables.ts';
import { type DummySwitch, openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { flowsOfPolicies, flowsOfRules } from './bucket-flows.ts';
import { accessRules, type ModelPacket, type ModelRule, packet, policies, winner } from './bucket-model.ts';

const runs = Number(process.env.KEYWAY_MODEL_RUNS ?? 12);
const packetsPerRun = 24;

/** Packets that come in by port 1 or 2 are judged as those of network, and tenant, 7 or 8. */
const entrances = (first: Table): Flow[] =>
  [7, 8].map((number, at) => ({
    table: 0,
    priority: 1,
    cookie: 0n,
    match: { in_port: at + 1 },
    actions: [load(registers.network, number), load(registers.key, number)],
    goto: first.id,
  }));

async function openSwitch(context: TestContext): Promise<DummySwitch> {
  await openVswitchOrSkip(context);
  const vswitch = await startDummySwitch();
  await vswitch.addPort('p1');
  await vswitch.addPort('p2');
  return vswitch;
}

async function install(vswitch: DummySwitch, first: Table, flows: readonly Flow[]): Promise<void> {
  const file = join(vswitch.directory, 'flows');
  const all = [...entrances(first), ...flows];
  await writeFile(file, all.map((flow) => `${formatFlow(flow)}\n`).join(''));
  await vswitch.ofctl('replace-flows', file);
  // No two were one and the same to the switch.
  const count = /flow_count=(\d+)/.exec(await vswitch.ofctl('dump-aggregate'))?.[1];
  expect(Number(count)).toBe(all.length);
}

function notation({ network, family, from, to, protocol, port, type, code }: ModelPacket): string {
  const six = family === 6;
  const l4 = {
    tcp: `tcp${six ? '6' : ''},tcp_src=40000,tcp_dst=${port}`,
    udp: `udp${six ? '6' : ''},udp_src=40000,udp_dst=${port}`,
    icmp: six ? `icmp6,icmpv6_type=${type},icmpv6_code=${code}` : `icmp,icmp_type=${type},icmp_code=${code}`,
    '50': `${six ? 'ipv6' : 'ip'},nw_proto=50`,
  }[protocol];
  const addresses = six
    ? `ipv6_src=fd00::${from.toString(16)},ipv6_dst=fd00::${to.toString(16)}`
    : `nw_src=10.0.0.${from},nw_dst=10.0.0.${to}`;
  return `in_port=${network - 6},${l4},${addresses},nw_ttl=64`;
}

type Judged = { rule: number; allowed: boolean; log: boolean; epoch: number };

const expected = (rule: ModelRule | undefined): Judged => {
  const allowed = rule?.action === 'allow';
  return { rule: rule?.id ?? 0, allowed, log: rule?.log ?? false, epoch: allowed ? rule.id + 1 : 0 };
};

async function judged(vswitch: DummySwitch, of: ModelPacket): Promise<{ found: Judged; text: string }> {
  const text = await vswitch.appctl('ofproto/trace', 'br-int', notation(of));
  const final = /Final flow: (.*)/.exec(text)?.[1] ?? '';
  const register = (name: string) => Number(new RegExp(`\\b${name}=(0x[0-9a-f]+)`).exec(final)?.[1] ?? 0);
  const flags = register('reg0');
  const found = {
    rule: register('reg3'),
    allowed: (flags & 2) !== 0,
    log: (flags & 8) !== 0,
    epoch: register('reg9'),
  };
  return { found, text };
}

const kinds = [
  { what: 'rules', table: tables.Rules, arbitrary: accessRules, compile: flowsOfRules },
  { what: 'policies', table: tables.Policies, arbitrary: policies, compile: flowsOfPolicies },
];

for (const { what, table, arbitrary, compile } of kinds) {
  test(`of the ${what} that speak of a packet the first in order has it`, { timeout: 120_000 }, async (context) => {
    await using vswitch = await openSwitch(context);
    const seen = { undecided: 0, decided: 0, conjunction: 0, precedence: 0 };
    const packets = fc.array(packet, { minLength: packetsPerRun, maxLength: packetsPerRun });
    await fc.assert(
      fc.asyncProperty(arbitrary, packets, async (rules, sent) => {
        const flows = compile(rules);
        for (const flow of flows) expect(undeclaredUses(flow)).toEqual([]);
        await install(vswitch, table, flows);
        for (const of of sent) {
          const rule = winner(rules, of);
          const { found, text } = await judged(vswitch, of);
          expect(found, `${JSON.stringify(of)}\n${text}`).toEqual(expected(rule));
          if (rule === undefined) seen.undecided++;
          else {
            seen.decided++;
            // The flow that had the last word is the rule's own: its packets are the rule's hits.
            const last = [...text.matchAll(/cookie (0x[0-9a-f]+)/g)].at(-1)?.[1] ?? '0';
            expect(cookieResource(BigInt(last)), text).toBe(rule.id);
          }
          if (text.includes('conj_id')) seen.conjunction++;
          if (/^\s*86\. /m.test(text)) seen.precedence++;
        }
      }),
      { numRuns: runs, endOnFailure: true },
    );
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(0);
  });
}

test('more conjunctions than one flow can be a clause of', { timeout: 60_000 }, async (context) => {
  await using vswitch = await openSwitch(context);
  // Every rule from the same hosts, to three of its own, which makes no two of them share a packet.
  const hosts = Array.from({ length: 16 }, (_, i) => ({ family: 4 as const, base: 2 * i, bits: 0 }));
  const rules = Array.from({ length: 2_100 }, (_, i): ModelRule => {
    const to = [0, 2, 4].map((k) => ({ family: 4 as const, base: 0x10000 + 8 * i + k, bits: 0 }));
    const common = { holdsIn: [7], priority: 10, action: 'allow' as const, log: false };
    return { id: i + 1, ...common, from: hosts, to, service: { protocol: 'tcp', ports: ['80'] } };
  });
  const flows = flowsOfRules(rules);
  const most = Math.max(...flows.map((f) => f.actions.filter((a) => a.type === 'conjunction').length));
  expect(most).toBe(1_000);
  await install(vswitch, tables.Rules, flows);
  for (const i of [0, 999, 1_000, 1_999, 2_000, 2_099]) {
    for (const [offset, rule] of [
      [2, i + 1],
      [6, 0],
    ] as const) {
      const to = 0x10000 + 8 * i + offset;
      const address = [0, 8, 16, 24].map((shift) => ((0x0a000000 + to) >>> shift) & 0xff).reverse();
      const frame = `in_port=1,tcp,nw_src=10.0.0.6,nw_dst=${address.join('.')},tcp_dst=80`;
      const text = await vswitch.appctl('ofproto/trace', 'br-int', frame);
      expect(Number(/Final flow:.*\breg3=(0x[0-9a-f]+)/.exec(text)?.[1] ?? 0), text).toBe(rule);
    }
  }
});
