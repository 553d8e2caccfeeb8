/** Rules of the model as the compiler takes them, and their flows. */
import { AddressSet } from '../../src/compile/address-set.ts';
import { servicesOf } from '../../src/compile/alternatives.ts';
import { arrange } from '../../src/compile/arrangement.ts';
import { bucketFlows, type Deciding } from '../../src/compile/bucket.ts';
import { ServiceSet } from '../../src/compile/service-set.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import type { IpPrefix } from '../../src/pipeline/stages/ports.ts';
import type { Block, ModelRule } from './bucket-model.ts';

const v4 = 0x0a000000;
const v6 = 0xfd00n << 112n;

export function prefixOf({ family, base, bits }: Block): IpPrefix {
  if (family === 4)
    return bits === 32 ? { family, value: 0, length: 0 } : { family, value: v4 + base, length: 32 - bits };
  return bits === 32 ? { family, value: 0n, length: 0 } : { family, value: v6 + BigInt(base), length: 128 - bits };
}

/** Rules that have the same end have the same set, as the compiler sees to. */
export function statements(rules: readonly ModelRule[]): Deciding[] {
  const sets = new Map<string, AddressSet>();
  const setOf = (blocks: readonly Block[]): AddressSet => {
    const key = JSON.stringify(blocks);
    const set = sets.get(key) ?? new AddressSet(blocks.map(prefixOf));
    sets.set(key, set);
    return set;
  };
  return rules.map((rule) => statement(rule, setOf));
}

function statement(
  { id, from, to, service, action, log }: ModelRule,
  setOf: (blocks: readonly Block[]) => AddressSet,
): Deciding {
  return {
    id,
    sources: setOf(from),
    destinations: setOf(to),
    services: new ServiceSet(servicesOf(service)),
    decider: { number: id, id, epoch: id + 1, action, log },
  };
}

/** The same of policies, with the tenants they are for. */
export function policyStatements(rules: readonly ModelRule[]): Deciding[] {
  return statements(rules).map((one, at) => {
    const { holdsIn } = rules[at]!;
    return { ...one, tenants: holdsIn === 'all' ? undefined : new Set(holdsIn.map(String)) };
  });
}

function buckets(rules: readonly ModelRule[]): ModelRule[][] {
  const found = new Map<string, ModelRule[]>();
  for (const rule of rules) {
    const key = `${rule.priority} ${rule.action}`;
    found.set(key, [...(found.get(key) ?? []), rule]);
  }
  return [...found.values()];
}

/** Of access rules, a network each. */
export function flowsOfRules(rules: readonly ModelRule[]): Flow[] {
  return [7, 8].flatMap((network) =>
    buckets(rules.filter(({ holdsIn }) => holdsIn.includes(network as never))).flatMap((bucket) => {
      const { priority, action } = bucket[0]!;
      return bucketFlows(arrange(statements(bucket)), { scope: { network }, priority, action, owner: network });
    }),
  );
}

/** Of policies, as a switch has them that hosts tenants 7 and 8. */
export function flowsOfPolicies(rules: readonly ModelRule[]): Flow[] {
  return buckets(rules).flatMap((bucket) => {
    const { priority, action } = bucket[0]!;
    const common = { priority, action, owner: 0 };
    const placed = arrange(policyStatements(bucket));
    return [
      ...bucketFlows(
        placed.filter(({ rule }) => rule.tenants === undefined),
        { scope: 'all', ...common },
      ),
      ...[7, 8].flatMap((key) =>
        bucketFlows(
          placed.filter(({ rule }) => rule.tenants?.has(String(key))),
          { scope: { key }, ...common },
        ),
      ),
    ];
  });
}
