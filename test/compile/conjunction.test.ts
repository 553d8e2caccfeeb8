/** What rules cost in flows, and how those that share packets lie in Precedence. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AddressSet } from '../../src/compile/address-set.ts';
import { arrange } from '../../src/compile/arrangement.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { flowsOfPolicies, flowsOfRules, policyStatements, prefixOf, statements } from './bucket-flows.ts';
import { accessRules, type Block, type ModelRule, packet, policies, speaksOf, winner } from './bucket-model.ts';

const family = fc.constantFrom<4 | 6>(4, 6);

/** No two of them are one prefix. */
const group = (family: 4 | 6, from: number, size: number): Block[] =>
  Array.from({ length: size }, (_, i) => ({ family, base: 2 * (from + i), bits: 0 }));

const services = Array.from({ length: 20 }, (_, i) => `${2000 + 7 * i}`);

const rule = (id: number, from: Block[], to: Block[], ports = services): ModelRule => ({
  id,
  holdsIn: [7],
  priority: 10,
  action: 'allow',
  log: false,
  from,
  to,
  service: { protocol: 'tcp', ports },
});

const keyOf = ({ table, priority, match }: Flow): string =>
  `${table} ${priority} ${JSON.stringify(Object.entries(match).sort(), (_, v) => (typeof v === 'bigint' ? `${v}` : v))}`;

test('500 x 500 ports with 20 services cost a sum', () => {
  const [clients, servers] = [group(4, 0, 500), group(4, 1000, 500)];
  expect(flowsOfRules([rule(1, clients, servers)])).toHaveLength(500 + 500 + 20 + 1);
  // Each service a rule of its own: they share the flows of the groups.
  const apart = services.map((port, i) => rule(i + 1, clients, servers, [port]));
  expect(flowsOfRules(apart)).toHaveLength(500 + 500 + 20 + 20);
  // One more group, with half the clients in it as well.
  const also = rule(21, group(4, 250, 500), servers, ['99']);
  expect(flowsOfRules([...apart, also])).toHaveLength(750 + 500 + 21 + 21);
  const six = rule(1, [...clients, ...group(6, 0, 500)], [...servers, ...group(6, 1000, 500)]);
  expect(flowsOfRules([six])).toHaveLength(2 * (500 + 500 + 20) + 1);
});

test('addresses that are a prefix together are one flow', () => {
  const row = (family: 4 | 6, from: number): Block[] =>
    Array.from({ length: 500 }, (_, i) => ({ family, base: from + i, bits: 0 }));
  // 10 to 509 are 13 prefixes, 1010 to 1509 are 9.
  const both = ([4, 6] as const).map((family) => ({ from: row(family, 10), to: row(family, 1010) }));
  expect(flowsOfRules([rule(1, both[0]!.from, both[0]!.to)])).toHaveLength(22 + 20 + 1);
  const dual = rule(
    1,
    both.flatMap(({ from }) => from),
    both.flatMap(({ to }) => to),
  );
  expect(flowsOfRules([dual])).toHaveLength(2 * (22 + 20) + 1);
});

test('a set is its addresses and no others, in as few prefixes as can be', () => {
  const blocks = fc.array(fc.record({ family, base: fc.nat({ max: 31 }), bits: fc.constantFrom(0, 0, 0, 1, 2) }), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(blocks, (chosen) => {
      const aligned = chosen.map(({ base, bits, ...rest }): Block => ({ ...rest, base: (base >> bits) << bits, bits }));
      const set = new AddressSet(aligned.map(prefixOf));
      for (const f of [4, 6] as const) {
        const wanted = Array.from({ length: 32 }, (_, at) =>
          aligned.some((b) => b.family === f && (at >> b.bits) << b.bits === b.base),
        );
        const has = wanted.map((_, at) => set.covers(prefixOf({ family: f, base: at, bits: 0 })));
        expect(has).toEqual(wanted);
        // The fewest: blocks as large as fit, aligned, from the left.
        let fewest = 0;
        for (let at = 0; at < 32; ) {
          if (!wanted[at]) {
            at++;
            continue;
          }
          let size = 1;
          while (
            at % (2 * size) === 0 &&
            wanted.slice(at, at + 2 * size).length === 2 * size &&
            wanted.slice(at, at + 2 * size).every(Boolean)
          )
            size *= 2;
          fewest++;
          at += size;
        }
        expect(set.of(f)).toHaveLength(fewest);
      }
    }),
  );
});

test('what is small, or a product of one, stays as it can be read', () => {
  expect(flowsOfRules([rule(1, group(4, 0, 3), group(4, 8, 3), ['80'])])).toHaveLength(9);
  expect(flowsOfRules([rule(1, group(4, 0, 500), [{ family: 4, base: 0, bits: 32 }], ['80'])])).toHaveLength(500);
});

/** What a rule costs as a conjunction that shares nothing, halves of everything included. */
function sum({ from, to, service }: ModelRule): number {
  // 16 bits of port are 30 masks at most for each range.
  const spoken = 30 * (service.ports?.length ?? 1);
  return 1 + [4, 6].reduce((n, f) => n + own(from, f) + own(to, f) + spoken, 0);
}

const own = (blocks: readonly Block[], family: number): number =>
  1 + new Set(blocks.filter((b) => b.family === family).map((b) => `${b.base}/${b.bits}`)).size;

test('no two flows are one, and all together are at most twice the sums', () => {
  for (const [arbitrary, compile, scopes] of [
    [accessRules, flowsOfRules, 1],
    [policies, flowsOfPolicies, 2],
  ] as const) {
    fc.assert(
      fc.property(arbitrary, (rules) => {
        const flows = compile(rules);
        expect(new Set(flows.map(keyOf)).size).toBe(flows.length);
        const worthwhile = 16;
        const most = rules.reduce((n, r) => n + 2 * (sum(r) + worthwhile) + 1, 0);
        expect(flows.length).toBeLessThanOrEqual(scopes * most);
      }),
      { numRuns: 100 },
    );
  }
});

for (const { what, arbitrary, statementsOf } of [
  {
    what: 'rules',
    arbitrary: accessRules.map((rules) => rules.map((r) => ({ ...r, holdsIn: [7] }))),
    statementsOf: statements,
  },
  { what: 'policies', arbitrary: policies, statementsOf: policyStatements },
]) {
  const bucket = arbitrary.map((rules) => rules.map((r): ModelRule => ({ ...r, priority: 10, action: 'allow' })));

  test(`${what} of one level share no packets, and of two that share some the lower id is before the other`, () => {
    let shared = 0;
    fc.assert(
      fc.property(bucket, fc.array(packet, { minLength: 100, maxLength: 100 }), (rules, packets) => {
        const placed = arrange(statementsOf(rules));
        const byId = new Map(rules.map((r) => [r.id, r]));
        for (const of of packets) {
          const speaking = placed.filter((p) => speaksOf(byId.get(p.rule.id)!, of));
          // A rule that has no flows is always within one that has: the first to speak is never lost.
          expect(speaking[0]?.rule.id).toBe(winner(rules, of)?.id);
          if (speaking.length === 0) continue;
          expect(speaking.some((p) => p.inBucket)).toBe(true);
          speaking.forEach((one, at) => {
            if (at === 0) return;
            shared++;
            const before = speaking[at - 1]!.level;
            expect(before).toBeDefined();
            if (one.level !== undefined) expect(before).toBeLessThan(one.level);
            if (one.inBucket) expect(one.behind).toBe(true);
          });
        }
      }),
      { numRuns: 150 },
    );
    expect(shared).toBeGreaterThan(100);
  });
}

test('a conjunction names its network in every flow', () => {
  const flows = flowsOfRules([rule(1, group(4, 0, 50), group(4, 50, 50))]);
  expect(flows.some((f) => f.match.conj_id !== undefined)).toBe(true);
  for (const flow of flows) {
    expect(flow.table).toBe(tables.Rules.id);
    expect(flow.match.reg4).toBe(7);
  }
});
