/** Every flow of the compiler's golden files on real Open vSwitch: taken, and given back byte for byte. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseFlow } from '../../plugins/openvswitch/openflow/text.ts';
import type { Action, Flow, Meter } from '../../src/pipeline/flow.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { PluginUnderTest } from './plugin-under-test.ts';

const directory = fileURLToPath(new URL('../compile/golden', import.meta.url));

function goldenFlows(): Flow[] {
  const numbers = new Map<string, number>(Object.values(tables).map(({ name, id }) => [name, id]));
  // Directories in there are other clouds of flows, on the same matches.
  return readdirSync(directory)
    .filter((file) => file.endsWith('.txt'))
    .flatMap((file) => readFileSync(join(directory, file), 'utf8').split('\n'))
    .filter((line) => line !== '')
    .map((line) => parseFlow(line, { tableNumber: (name) => numbers.get(name) }));
}

function* metersOf(actions: readonly Action[]): Iterable<number> {
  for (const action of actions) {
    if ((action.type === 'meter' || action.type === 'controller') && action.meter !== undefined) yield action.meter;
    if (action.type === 'clone') yield* metersOf(action.actions);
  }
}

test('the pipeline as it is compiled is what a switch has', async (context) => {
  await openVswitchOrSkip(context);
  const flows = goldenFlows();
  expect(flows.length).toBeGreaterThan(300);
  const ids = new Set(flows.flatMap(({ actions }) => [...metersOf(actions)]));
  const meters = Array.from(ids, (id): Meter => ({ id, cookie: 0n, unit: 'pktps', rate: 10, burst: 10 }));
  await using under = await new PluginUnderTest().start();
  await using _ = await startDummySwitch({ manager: under.managers[0]! });
  under.plugin.ready(1);
  await under.seen('connected');
  await under.program(Object.fromEntries(flows.map((flow, n) => [`unit/${n}`, [flow]])), [1], { 'unit/0': meters });
  expect(under.all('rejected').map(([{ error, flow }]) => `${error}: ${flow}`)).toEqual([]);
  expect(await under.plugin.drift(1)).toEqual({ missing: [], extra: [], different: [] });
  const { fallbacks, setAside } = await under.stats();
  expect({ fallbacks, setAside }).toEqual({ fallbacks: 0, setAside: 0 });
});
