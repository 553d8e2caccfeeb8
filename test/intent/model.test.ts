/** Random transactions against a second, naive model, and against the indexes' own past. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Intent, Operation, Outcome } from '../../src/intent/intent.ts';
import { Problem } from '../../src/problems.ts';
import { groundwork, type Planned, transaction } from './arbitraries.ts';
import { isTaken } from './reference-addresses.ts';
import { bounds, numberOf, prefixesOf, v6 } from './reference-ip.ts';
import { inside, judge, kindOf, type Model, nameOf, parentOf, targetsOf } from './reference-model.ts';
import { expectStagingHolds } from './staging.ts';
import { admin, everything, open } from './support.ts';

/** Operations as they are to be sent, with the revisions there are. */
function concrete(planned: Planned[], revisionOf: (path: string) => number | undefined): Operation[] {
  return planned.map(({ operation, current }) =>
    current ? { ...operation, ifRevision: revisionOf(operation.path) } : operation,
  );
}

/** The model of what the view shows. */
function modelOf(intent: Intent): Model {
  const shown = everything(intent) as { path: string; kind: string; spec: object; labels: Record<string, string> }[];
  return new Map(shown.map(({ path, kind, spec, labels }) => [path, { path, kind, spec: { ...spec }, labels }]));
}

function expectFilled(model: Model, outcomes: Outcome[]): void {
  for (const { path, kind, outcome } of outcomes) {
    if (kind !== 'port' || outcome !== 'created') continue;
    const network = parentOf(path);
    const { tier, ips } = model.get(path)!.spec as { tier: string; ips: string[] };
    const { cidr, ipv6Cidr } = model.get(`${network}/tiers/${tier}`)!.spec;
    // No lower host address is free once everything is done.
    for (const [i, prefix] of prefixesOf({ cidr, ipv6Cidr }).entries()) {
      const ip = ips[i]!;
      expect(inside(ip, prefix)).toBe(true);
      for (let lower = bounds(prefix).first + 1n; lower < numberOf(ip); lower++)
        expect(isTaken(model, network, lower, v6(ip)), `${path} should have a lower address than ${ip}`).toBe(true);
    }
  }
}

describe('random transactions', () => {
  it('do what the reference model says, or nothing, and are found again after a restart', async () => {
    let taken = 0;
    let tried = 0;
    const codes = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(fc.array(transaction, { minLength: 10, maxLength: 30 }), async (transactions) => {
        const { intent, disk } = await open();
        await admin(intent, groundwork);
        for (const planned of transactions) {
          tried++;
          const before = modelOf(intent);
          const seen = everything(intent);
          const revisionOf = (path: string) => intent.get(path)?.revision;
          const operations = concrete(planned, revisionOf);
          const { own, whole, perhaps, after } = judge(before, revisionOf, operations);
          const result = await admin(intent, operations).catch((error: unknown) => {
            if (error instanceof Problem) return error;
            throw error;
          });
          if (result instanceof Problem) {
            expect(everything(intent)).toEqual(seen);
            codes.set(result.code, (codes.get(result.code) ?? 0) + 1);
            const told = new Set(result.errors.map((e) => e.code));
            if (own.size > 0) expect(own).toContain(result.code);
            // Overlapping tiers make their addresses' errors a matter of taste.
            else if (whole.has('address.overlap')) expect(whole).toContain(result.code);
            else {
              expect([...whole].filter((code) => !told.has(code) && !perhaps.has(code))).toEqual([]);
              expect([...told].filter((code) => !whole.has(code) && !perhaps.has(code))).toEqual([]);
            }
            continue;
          }
          expect([...own, ...whole].filter((code) => !perhaps.has(code))).toEqual([]);
          if (result.outcomes.some((o) => o.outcome !== 'unchanged')) taken++;
          const shown = modelOf(intent);
          expect([...shown.keys()].sort()).toEqual([...after.keys()].sort());
          for (const [path, { spec, labels }] of after) {
            expect(shown.get(path)).toMatchObject({ spec, labels });
            const referrers = [...after.values()].filter((r) => targetsOf(r).includes(path)).map((r) => r.path);
            expect([...intent.referrers(path)].map((r) => r.path).sort()).toEqual(referrers.sort());
          }
          expectFilled(
            shown,
            result.outcomes.filter((o) => {
              const operation = operations.find(({ path }) => path === o.path);
              return operation?.op === 'put' && operation.spec.ips === undefined;
            }),
          );
          for (const alike of [['tenant'], ['network'], ['tier'], ['rule', 'policy', 'steering'], ['hypervisor']]) {
            const ids = [...shown.keys()]
              .filter((path) => alike.includes(kindOf(path)))
              .map((path) => intent.get(path)!.id);
            expect(new Set(ids).size).toBe(ids.length);
            expect(ids).not.toContain(0);
          }
          for (const { path, outcome, after: resource } of result.outcomes) {
            if (outcome === 'deleted') expect(resource).toBeUndefined();
            else expect(resource).toBe(intent.get(path));
            if (outcome === 'created' || outcome === 'replaced') expect(resource!.revision).toBe(result.revision);
            if (resource) expect(resource.name).toBe(nameOf(path));
          }
        }
        const again = await open({}, disk);
        expect(everything(again.intent)).toEqual(everything(intent));
      }),
      { numRuns: 50 },
    );
    // The world is neither too narrow nor too wide to say anything.
    expect(taken / tried).toBeGreaterThan(0.1);
    expect(taken / tried).toBeLessThan(0.9);
    expect([...codes.keys()].sort()).toEqual(
      expect.arrayContaining([
        'address.family-mismatch',
        'address.outside',
        'mac.in-use',
        'peering.self',
        'reference.dangling',
        'resource.changed',
        'resource.immutable',
        'resource.in-use',
        'resource.not-found',
        'route.loop',
        'route.next-hop',
        'steering.loop',
      ]),
    );
  }, 120_000);

  it('staged on each other are taken back without a trace, done again alike, and loaded alike', () => {
    fc.assert(
      fc.property(fc.array(fc.array(transaction, { minLength: 1, maxLength: 5 }), { maxLength: 8 }), (batches) => {
        const offerings: Operation = { op: 'put', path: 'offerings/basic', spec: { services: ['routing'] } };
        const planned = batches.map((batch) => batch.map((one) => one.map(({ operation }) => operation)));
        expectStagingHolds([[[offerings, ...groundwork]], ...planned]);
      }),
      { numRuns: 60 },
    );
  });

  it('called at once end as when called one after the other', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(transaction, { minLength: 2, maxLength: 25 }), async (transactions) => {
        const settings = () => {
          let uid = 0;
          return { now: () => 7, newUid: () => `uid${++uid}` };
        };
        const strip = (shown: unknown) =>
          JSON.parse(JSON.stringify(shown, (key, value: unknown) => (['ifaceId', 'uid'].includes(key) ? 0 : value)));
        const [serial, concurrent] = await Promise.all([open(settings()), open(settings())]);
        const answers: unknown[][] = [[], []];
        const answer = (result: Promise<{ outcomes: Outcome[] }>) =>
          result.then(
            ({ outcomes }) => outcomes.map((o) => o.outcome),
            (error: unknown) => (error as Problem).code,
          );
        // Revisions are not known beforehand when all are called at once.
        const all = transactions.map((planned) => planned.map((p) => p.operation));
        for (const operations of [groundwork, ...all]) answers[0]!.push(await answer(admin(serial.intent, operations)));
        answers[1] = await Promise.all([groundwork, ...all].map((o) => answer(admin(concurrent.intent, o))));
        expect(answers[1]).toEqual(answers[0]);
        expect(strip(everything(concurrent.intent))).toEqual(strip(everything(serial.intent)));
        expect(concurrent.disk.revision).toBe(serial.disk.revision);
        const again = await open({}, concurrent.disk);
        expect(everything(again.intent)).toEqual(everything(concurrent.intent));
      }),
      { numRuns: 60 },
    );
  });
});
