/** Full recompute beside the living system: finds what is wrong, mends it by a normal pass, and is never wrong itself. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { recompute } from '../../src/engine/recompute.ts';
import type { Recomputation } from '../../src/reconcile/upkeep.ts';
import { type FakeCloud, openFakeCloud, quiet } from '../support/fake-cloud.ts';

const shape = { hypervisors: 4, networks: 6, ports: 20, rules: 3 };

let cloud: FakeCloud;
beforeEach(async () => {
  cloud = await openFakeCloud(shape);
});
afterEach(() => cloud[Symbol.asyncDispose]());

const run = (mend: boolean): Promise<Recomputation> =>
  recompute({ engine: cloud.core.engine, progress: cloud.core.progress, plugin: cloud.fake }, mend);

const recomputes = async (): Promise<number> => {
  const metrics = await cloud.core.fabric.metrics();
  return metrics.find(({ name }) => name === 'keyway_full_recomputes_total')!.values[0]!.value;
};

/** Ports get other OpenFlow ports, and nobody tells the compiler. */
function rebindUnseen(count: number, tenant = ''): string[] {
  const { placement } = cloud.core.engine.bindings;
  const ports = [...placement.ports()].filter(([path]) => path.startsWith(`tenants/${tenant}`)).slice(0, count);
  for (const [path, bound] of ports) placement.bind(path, { ...bound, ofport: bound.ofport + 5_000 });
  return ports.map(([path]) => path);
}

test('nothing differs, and everything was looked at', async () => {
  const oracle = cloud.core.engine.compiler.recompute();
  const passes = cloud.fake.passes;
  const found = await run(false);
  expect(found).toMatchObject({ different: [], unsettled: [], mended: false });
  expect(found.units).toBe(oracle.units);
  expect(found.subjects).toBe([...cloud.core.engine.compiler.allSubjects()].length);
  expect(cloud.fake.passes).toBe(passes);
});

test('what the compiler missed is told, left alone by a rehearsal, and mended when asked', async () => {
  const before = cloud.fake.texts();
  const count = await recomputes();
  const moved = rebindUnseen(50);
  const told = await run(false);
  expect(told.different.map(({ subject }) => subject).sort()).toEqual(moved.map((path) => `port:${path}`).sort());
  for (const { where, what, hypervisors } of told.different) {
    expect([where, what]).toEqual(['compiler', 'other flows']);
    expect(hypervisors).toEqual([expect.stringMatching(/^hv\d$/)]);
  }
  expect(told.mended).toBe(false);
  expect(cloud.fake.texts()).toEqual(before);
  expect(await recomputes()).toBe(count);

  const mended = await run(true);
  expect(mended.different).toHaveLength(50);
  expect(mended).toMatchObject({ mended: true, unsettled: [] });
  expect(await recomputes()).toBe(count + 1);
  await quiet(cloud.core);
  const after = cloud.fake.texts();
  expect(after.filter((line) => !before.includes(line)).some((line) => /in_port=5\d{3}/.test(line))).toBe(true);
  expect(cloud.core.engine.compiler.recompute().different).toEqual([]);
  expect(await run(false)).toMatchObject({ different: [] });
});

test('subjects that should be gone, and ones that never came', async () => {
  const { placement } = cloud.core.engine.bindings;
  const [gone, ...others] = [...placement.ports()];
  placement.unbind(gone![0]);
  const told = await run(false);
  expect(told.different.every(({ what }) => what === 'should be gone' || what === 'other flows')).toBe(true);
  expect(told.different.some(({ subject }) => subject === `port:${gone![0]}`)).toBe(true);
  await run(true);
  await quiet(cloud.core);
  expect(cloud.core.engine.compiler.recompute().different).toEqual([]);
  placement.bind(gone![0], gone![1]);
  expect((await run(false)).different).toEqual([
    expect.objectContaining({ subject: `port:${gone![0]}`, what: 'never emitted' }),
    ...new Array(told.different.length - 1).fill(expect.anything()),
  ]);
  await run(true);
  await quiet(cloud.core);
  expect(cloud.core.engine.compiler.recompute().different).toEqual([]);
  expect(others.length).toBeGreaterThan(100);
});

test('units the southbound lost, has otherwise, or has too many of are told and sent anew', async () => {
  const before = cloud.fake.texts();
  const [one, two] = [cloud.fake.units.get(1)!, cloud.fake.units.get(2)!];
  const own = [...one.keys()].filter((unit) => !two.has(unit));
  const [lost, changed] = own;
  const stranger = own[2]!;
  one.delete(lost!);
  one.set(changed!, one.get(own[3]!)!.slice());
  two.set(stranger, one.get(stranger)!);
  two.set('port/nowhere', one.get(stranger)!);
  const told = await run(false);
  expect(told.different).toHaveLength(4);
  expect(told.different).toEqual(
    expect.arrayContaining([
      { unit: lost, subject: undefined, where: 'southbound', what: 'is missing there', hypervisors: ['hv1'] },
      { unit: changed, subject: undefined, where: 'southbound', what: 'other flows there', hypervisors: ['hv1'] },
      { unit: stranger, subject: undefined, where: 'southbound', what: 'should not be there', hypervisors: ['hv2'] },
      {
        unit: 'port/nowhere',
        subject: undefined,
        where: 'southbound',
        what: 'should not be there',
        hypervisors: ['hv2'],
      },
    ]),
  );
  expect(await run(true)).toMatchObject({ mended: true, different: told.different });
  await quiet(cloud.core);
  expect(cloud.fake.texts()).toEqual(before);
  expect(await run(false)).toMatchObject({ different: [], unsettled: [] });
});

test('among changes that do not stop it tells what is wrong, and nothing that is only on its way', {
  timeout: 180_000,
}, async () => {
  const { core } = cloud;
  let changing = true;
  let changes = 0;
  const churn = async (lane: number) => {
    while (changing) {
      // The last network is left alone.
      const n = (changes++ + lane) % (shape.networks - 1);
      const path = `tenants/t${n}/networks/n/rules/r${lane}`;
      const spec = {
        action: 'allow',
        priority: 100 + lane,
        from: { tier: 'web' },
        to: { tier: 'db' },
        protocol: 'tcp',
      };
      await core.intent.transact([{ op: 'put', path, spec: { ...spec, ports: [`${2000 + changes}`] } }]);
      if (changes % 5 === 0) {
        const p = changes % shape.ports;
        await core.intent.transact([
          {
            op: 'put',
            path: cloud.port(n, p),
            spec: { tier: p % 2 === 0 ? 'web' : 'db', groups: [changes % 2 === 0 ? 'red' : 'blue'] },
          },
        ]);
      }
      if (changes % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const lanes = [churn(0), churn(1), churn(2)];
  try {
    for (let round = 0; round < 15; round++) {
      const found = await run(round % 2 === 1);
      expect(found).toMatchObject({ different: [], unsettled: [] });
    }
    const moved = rebindUnseen(10, `t${shape.networks - 1}`);
    const found = await run(true);
    expect(found.unsettled).toEqual([]);
    expect(found.different.map(({ subject }) => subject).sort()).toEqual(moved.map((path) => `port:${path}`).sort());
  } finally {
    changing = false;
    await Promise.all(lanes);
  }
  await quiet(core);
  expect(changes).toBeGreaterThan(100);
  expect(core.engine.compiler.recompute().different).toEqual([]);
});
