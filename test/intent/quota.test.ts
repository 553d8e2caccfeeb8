/** Quotas, against a plain count of what a tenant has. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Intent } from '../../src/intent/intent.ts';
import { Problem } from '../../src/problems.ts';
import { admin, open, openWith, problemOf, put, remove } from './support.ts';

const network = (tenant: string, name: string) => `tenants/${tenant}/networks/${name}`;
const basic = { offering: 'basic', cidr: '10.0.0.0/16' };
const rule = { action: 'allow', priority: 1, from: { any: true }, to: { any: true }, protocol: 'any' };

describe('a quota', () => {
  test('refuses what would be one too many, of each kind it names, in all networks of the tenant together', async () => {
    const { intent } = await openWith(
      put(network('acme', 'two'), basic),
      put('quotas/acme', { networks: 2, rules: 1 }),
    );
    await admin(intent, [put(`${network('acme', 'shop')}/rules/a`, rule)]);
    for (const path of [network('acme', 'three'), `${network('acme', 'two')}/rules/b`]) {
      const problem = await problemOf(admin(intent, [put(path, path.includes('rules') ? rule : basic)]));
      expect([problem.code, problem.status]).toEqual(['quota.exceeded', 409]);
      expect(intent.get(path)).toBe(undefined);
    }
    const { detail } = await problemOf(admin(intent, [put(network('acme', 'three'), basic)]));
    expect(detail).toBe('Tenant acme would have 3 networks; its quota is 2 (networks of quotas/acme)');
    // What it does not name, and other tenants.
    await admin(intent, [put(`${network('acme', 'shop')}/ports/p`, { tier: 'web' }), put('tenants/globex')]);
    await admin(
      intent,
      ['a', 'b', 'c'].map((name) => put(network('globex', name), basic)),
    );
  });

  test('is told once of a transaction, whatever it holds, with the first that is too many', async () => {
    const { intent } = await openWith(put('quotas/acme', { networks: 2, rules: 0 }));
    const many = ['a', 'b', 'c'].map((name) => put(network('acme', name), basic));
    const rules = ['a', 'b'].map((name) => put(`${network('acme', name)}/rules/r`, rule));
    const problem = await problemOf(admin(intent, [...many, ...rules]));
    expect(problem.errors.map(({ field, code }) => [field, code])).toEqual([
      ['/resources/0/spec', 'quota.exceeded'],
      ['/resources/3/spec', 'quota.exceeded'],
    ]);
  });

  test('lets be replaced and deleted what is there, however low it is set later', async () => {
    const { intent } = await openWith(put('quotas/acme', { networks: 5 }));
    await admin(
      intent,
      ['a', 'b'].map((name) => put(network('acme', name), basic)),
    );
    await admin(intent, [put('quotas/acme', { networks: 1 })]);
    await admin(intent, [put(network('acme', 'a'), { ...basic, description: 'other' })]);
    await admin(intent, [remove(network('acme', 'b'))]);
    expect((await problemOf(admin(intent, [put(network('acme', 'b'), basic)]))).code).toBe('quota.exceeded');
    // One for another, in one transaction; and more with a larger quota in it.
    await admin(intent, [put('quotas/acme', { networks: 2 })]);
    await admin(intent, [remove(network('acme', 'a')), put(network('acme', 'c'), basic)]);
    await admin(intent, [put('quotas/acme', { networks: 3 }), put(network('acme', 'd'), basic)]);
    await admin(intent, [remove('quotas/acme'), put(network('acme', 'e'), basic)]);
  });

  test('is counted anew after a restart', async () => {
    const { intent, store, disk } = await openWith(put('quotas/acme', { rules: 2 }));
    const at = (name: string) => put(`${network('acme', 'shop')}/rules/${name}`, rule);
    await admin(intent, [at('a'), at('b'), at('c')]).catch(() => undefined);
    await admin(intent, [at('a'), at('b')]);
    await store.close();
    const again = (await open({}, disk)).intent;
    expect(again.heldBy('rule', 'tenants/acme')).toBe(2);
    expect((await problemOf(admin(again, [at('c')]))).code).toBe('quota.exceeded');
  });

  test('holds among transactions that are written together', async () => {
    const { intent } = await openWith(put('quotas/acme', { rules: 3 }));
    const all = Array.from({ length: 10 }, (_, i) =>
      admin(intent, [put(`${network('acme', 'shop')}/rules/r${i}`, rule)]),
    );
    const done = await Promise.allSettled(all);
    expect(done.map(({ status }) => status === 'fulfilled')).toEqual(done.map((_, i) => i < 3));
    expect(intent.heldBy('rule', 'tenants/acme')).toBe(3);
  });
});

const names = ['a', 'b', 'c'];
const tenants = ['acme', 'globex'];
const paths = tenants.flatMap((tenant) =>
  names.flatMap((name) => [network(tenant, name), ...names.map((r) => `${network(tenant, name)}/rules/${r}`)]),
);

type Step = {
  put: string[];
  remove: string[];
  quota: { tenant: string; networks?: number; rules?: number } | undefined;
};

const step: fc.Arbitrary<Step> = fc.record({
  put: fc.uniqueArray(fc.constantFrom(...paths), { maxLength: 5 }),
  remove: fc.uniqueArray(fc.constantFrom(...paths), { maxLength: 3 }),
  quota: fc.option(
    fc.record(
      { tenant: fc.constantFrom(...tenants), networks: fc.nat(3), rules: fc.nat(6) },
      { requiredKeys: ['tenant'] },
    ),
    { nil: undefined, freq: 2 },
  ),
});

test('a transaction is refused for a quota exactly if it creates something and leaves too many', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const { intent } = await open();
      await admin(
        intent,
        tenants.map((tenant) => put(`tenants/${tenant}`)),
      );
      for (const one of steps) {
        const gone = one.remove.filter((path) => intent.get(path) !== undefined);
        const wanted = one.put.filter((path) => !gone.includes(path));
        const { tenant, ...limits } = one.quota ?? {};
        const quota = tenant === undefined ? [] : [put(`quotas/${tenant}`, limits)];
        const operations = [
          ...gone.map((path) => remove(path)),
          ...wanted.map((path) => put(path, path.includes('/rules/') ? rule : basic)),
          ...quota,
        ];
        const now = present(intent);
        const then = new Set([...now, ...wanted].filter((path) => !gone.includes(path)));
        const created = wanted.filter((path) => !now.has(path));
        const quotas = new Map(tenants.map((name) => [name, intent.getAs('quota', `quotas/${name}`)?.spec ?? {}]));
        if (tenant !== undefined) quotas.set(tenant, limits);
        const exceeded = tenants.some((name) =>
          (['networks', 'rules'] as const).some((field) => {
            const of = (path: string) =>
              path.startsWith(`tenants/${name}/`) && (field === 'rules') === path.includes('/rules/');
            const most = quotas.get(name)![field];
            return most !== undefined && created.some(of) && [...then].filter(of).length > most;
          }),
        );
        const codes = await codesOf(intent, operations);
        expect(codes.includes('quota.exceeded')).toBe(exceeded);
        if (codes.length === 0) expect(present(intent)).toEqual(then);
        else expect(present(intent)).toEqual(now);
        for (const name of tenants) {
          const below = [...present(intent)].filter((path) => path.startsWith(`tenants/${name}/`));
          const rules = below.filter((path) => path.includes('/rules/')).length;
          expect(intent.heldBy('rule', `tenants/${name}`)).toBe(rules);
          expect(intent.heldBy('network', `tenants/${name}`)).toBe(below.length - rules);
        }
      }
    }),
    { numRuns: 60 },
  );
});

function present(intent: Intent): Set<string> {
  return new Set(paths.filter((path) => intent.get(path) !== undefined));
}

/** What it is refused for; nothing: it was done. */
async function codesOf(intent: Intent, operations: Parameters<typeof admin>[1]): Promise<string[]> {
  try {
    await admin(intent, operations);
    return [];
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return [error.code, ...error.errors.map(({ code }) => code)];
  }
}
