import { expect, test } from 'vitest';
import { mistakes, undeclaredUses } from '../../src/pipeline/check.ts';
import { cookie, cookieGeneration, cookieResource, cookieStage, generation } from '../../src/pipeline/cookie.ts';
import { reservedPort } from '../../src/pipeline/flow.ts';
import { load, matching, registers } from '../../src/pipeline/registers.ts';
import { rulePriority, tables } from '../../src/pipeline/tables.ts';

test('registers share no bits, tables no numbers, and the way is only forward', () => {
  expect(mistakes()).toEqual([]);
});

test('a cookie gives back what went in', () => {
  for (const resource of [0, 1, 2 ** 32, 2 ** 40 - 1]) {
    const c = cookie(tables.Rules.id, resource);
    expect([cookieGeneration(c), cookieStage(c), cookieResource(c)]).toEqual([generation, tables.Rules.id, resource]);
    expect(c).toBeLessThan(1n << 64n);
  }
});

test('lower rule priority is matched first, and deny wins a tie', () => {
  expect(rulePriority(1, 'allow')).toBeGreaterThan(rulePriority(2, 'deny'));
  expect(rulePriority(7, 'deny')).toBeGreaterThan(rulePriority(7, 'allow'));
  expect(rulePriority(1, 'deny')).toBeLessThan(65_536);
  expect(rulePriority(32_000, 'allow')).toBeGreaterThan(0);
});

test('two registers of one field are matched together', () => {
  const match = matching(matching({}, registers.zone, 7), { ...registers.zone, offset: 16 }, 9);
  expect(match.reg6).toEqual({ value: 0x0009_0007n, mask: 0xffff_ffffn });
  expect(matching({}, registers.network, 5)).toEqual({ reg4: 5 });
  expect(load(registers.key, 5)).toEqual({ type: 'setField', field: 'metadata', value: 5n, mask: 0xffff_ffffn });
});

test('undeclared tables, priorities, ways and bits are noticed', () => {
  const good = { table: 0, priority: 100, cookie: cookie(0, 1), match: {}, actions: [], goto: tables.PortSecurity.id };
  expect(undeclaredUses(good)).toEqual([]);
  expect(undeclaredUses({ ...good, table: 1 })).toHaveLength(1);
  expect(undeclaredUses({ ...good, priority: 1 })).toHaveLength(1);
  expect(undeclaredUses({ ...good, goto: tables.LocalOutput.id })).toHaveLength(1);
  expect(undeclaredUses({ ...good, actions: [{ type: 'setField', field: 'reg15', value: 1 }] })).toHaveLength(1);
  expect(undeclaredUses({ ...good, cookie: 0n })).not.toEqual([]);
  const wide = { type: 'setField', field: 'xxreg1', value: 0n } as const;
  expect(undeclaredUses({ ...good, actions: [wide] })).toHaveLength(1);
  expect(undeclaredUses({ ...good, actions: [{ ...wide, mask: 0xffff_ffffn << 96n }] })).toEqual([]);
});

test('only resubmit goes back, and only where that is declared', () => {
  const { Hairpin, ProviderIngress, ProviderOutput } = tables;
  const again = { type: 'resubmit', table: ProviderIngress.id } as const;
  const from = ({ id }: { id: number }) => ({ table: id, priority: 100, cookie: cookie(id, 1), match: {} });
  expect(undeclaredUses({ ...from(Hairpin), actions: [again] })).toEqual([]);
  expect(undeclaredUses({ ...from(ProviderOutput), actions: [again] })).not.toEqual([]);
  expect(undeclaredUses({ ...from(Hairpin), actions: [], goto: ProviderIngress.id })).not.toEqual([]);
  expect(undeclaredUses({ ...from(Hairpin), actions: [again], goto: ProviderIngress.id })).not.toEqual([]);
});

test('only tables declared for it send to the controller', () => {
  const flow = { table: 0, priority: 100, cookie: cookie(0, 1), match: {} };
  const controller = { type: 'controller', userdata: new Uint8Array([1]) } as const;
  expect(undeclaredUses({ ...flow, actions: [controller] })).toEqual(['Classifier: sends to the controller']);
  expect(undeclaredUses({ ...flow, actions: [{ type: 'output', port: reservedPort.controller }] })).toHaveLength(1);
  expect(undeclaredUses({ ...flow, actions: [{ type: 'clone', actions: [controller] }] })).toHaveLength(1);
});
