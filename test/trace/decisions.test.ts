import { expect, test } from 'vitest';
import { tables } from '../../src/pipeline/tables.ts';
import { stopAt } from '../../src/trace/decisions.ts';

/** Subroutines, which no packet ends in, and tables no packet of a VM comes to. */
const noEnds = new Set([
  'Judge',
  'Policies',
  'Rules',
  'Precedence',
  'LivePorts',
  'LiveNetworks',
  'LiveRules',
  'Log',
  'GatewayAlive',
  'Probe',
  'Canary',
]);

test('of every table where a packet may end, somebody has said what that means', () => {
  const unexplained = Object.values(tables).filter(({ id, name }) => !noEnds.has(name) && stopAt(id) === 'elsewhere');
  expect(unexplained.map(({ name }) => name)).toEqual([]);
  const names = new Set<string>(Object.values(tables).map(({ name }) => name));
  expect([...noEnds].filter((name) => !names.has(name))).toEqual([]);
});
