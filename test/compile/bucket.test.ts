/** Rules that share packets, and large ones, as flows: on real Open vSwitch the rule with the lowest id has each packet. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatFlow } from '../../plugins/openvswitch/openflow/text.ts';
import { AddressSet } from '../../src/compile/address-set.ts';
import { servicesOf } from '../../src/compile/alternatives.ts';
import { arrange } from '../../src/compile/arrangement.ts';
import { bucketFlows, type Deciding } from '../../src/compile/bucket.ts';
import { ServiceSet } from '../../src/compile/service-set.ts';
import { undeclaredUses } from '../../src/pipeline/check.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { load, registers } from '../../src/pipeline/registers.ts';
import type { IpPrefix } from '../../src/pipeline/stages/ports.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { type DummySwitch, openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { type Block, type ModelPacket, type ModelRule, packet, ruleSet, winner } from './bucket-model.ts';

const runs = Number(process.env.KEYWAY_MODEL_RUNS ?? 25);
const packetsPerRun = 24;

const v4 = 0x0a000000;
const v6 = 0xfd00n << 112n;

function prefixOf({ family, base, bits }: Block): IpPrefix {
  if (family === 4)
    return bits === 32 ? { family, value: 0, length: 0 } : { family, value: v4 + base, length: 32 - bits };
  return bits === 32 ? { family, value: 0n, length: 0 } : { family, value: v6 + BigInt(base), length: 128 - bits };
}

function statement({ id, from, to, service, action, log }: ModelRule): Deciding {
  return {
    id,
    sources: new AddressSet(from.map(prefixOf)),
    destinations: new AddressSet(to.map(prefixOf)),
    services: new ServiceSet(servicesOf(service)),
    decider: { number: id, id, epoch: id + 1, action, log },
  };
}

function compile(rules: readonly ModelRule[]): Flow[] {
  const buckets = Map.groupBy(rules, (r) => `${r.network} ${r.priority} ${r.action}`);
  return [...buckets.values()].flatMap((bucket) => {
    const { network, priority, action } = bucket[0]!;
    return bucketFlows(arrange(bucket.map(statement)), { scope: { network }, priority, action, owner: network });
  });
}

/** Packets that come in by port 1 or 2 are judged as network 7 or 8. */
const entrances: Flow[] = [7, 8].map((network, at) => ({
  table: 0,
  priority: 1,
  cookie: 0n,
  match: { in_port: at + 1 },
  actions: [load(registers.network, network)],
  goto: tables.Rules.id,
}));

async function install(vswitch: DummySwitch, flows: readonly Flow[]): Promise<void> {
  const file = join(vswitch.directory, 'flows');
  await writeFile(file, [...entrances, ...flows].map((flow) => `${formatFlow(flow)}\n`).join(''));
  await vswitch.ofctl('replace-flows', file);
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

async function judged(vswitch: DummySwitch, of: ModelPacket): Promise<Judged & { text: string }> {
  const text = await vswitch.appctl('ofproto/trace', 'br-int', notation(of));
  const final = /Final flow: (.*)/.exec(text)?.[1] ?? '';
  const register = (name: string) => Number(new RegExp(`\\b${name}=(0x[0-9a-f]+)`).exec(final)?.[1] ?? 0);
  const flags = register('reg0');
  return { rule: register('reg3'), allowed: (flags & 2) !== 0, log: (flags & 8) !== 0, epoch: register('reg9'), text };
}

test('of the rules that speak of a packet the first in order has it', { timeout: 240_000 }, async (context) => {
  await openVswitchOrSkip(context);
  await using vswitch = await startDummySwitch();
  await vswitch.addPort('p1');
  await vswitch.addPort('p2');
  const seen = { undecided: 0, decided: 0, conjunction: 0, precedence: 0 };
  await fc.assert(
    fc.asyncProperty(
      ruleSet,
      fc.array(packet, { minLength: packetsPerRun, maxLength: packetsPerRun }),
      async (rules, packets) => {
        const flows = compile(rules);
        for (const flow of flows) expect(undeclaredUses(flow)).toEqual([]);
        await install(vswitch, flows);
        // No two were one and the same to the switch.
        const dump = (await vswitch.ofctl('dump-flows')).split('\n').filter((line) => line.includes('actions='));
        expect(dump).toHaveLength(flows.length + entrances.length);
        for (const of of packets) {
          const rule = winner(rules, of);
          const { text, ...found } = await judged(vswitch, of);
          const wanted: Judged =
            rule === undefined
              ? { rule: 0, allowed: false, log: false, epoch: 0 }
              : {
                  rule: rule.id,
                  allowed: rule.action === 'allow',
                  log: rule.log,
                  epoch: rule.action === 'allow' ? rule.id + 1 : 0,
                };
          expect(found, `${JSON.stringify(of)}\n${text}`).toEqual(wanted);
          // The flow that had the last word is the rule's own.
          if (rule !== undefined) {
            const last = [...text.matchAll(/cookie (0x[0-9a-f]+)/g)].at(-1)?.[1] ?? '0';
            expect(Number(BigInt(last) & 0xffffffffffn), text).toBe(rule.id);
          }
          if (rule === undefined) seen.undecided++;
          else seen.decided++;
          if (text.includes('conj_id')) seen.conjunction++;
          if (/^\s*86\. /m.test(text)) seen.precedence++;
        }
      },
    ),
    { numRuns: runs, endOnFailure: true },
  );
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(runs);
});
