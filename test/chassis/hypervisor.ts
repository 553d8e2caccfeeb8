/** A hypervisor's database, seen from the hypervisor. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../src/sandbox/ephemeral.ts';
import type { DummySwitch } from '../support/open-vswitch.ts';

/** Every transaction of ours says who it is from (ovsdb-tool show-log). */
export const OUR_WRITES = '"_comment":"keyway: ';

/** All that was ever written to a hypervisor's database; ovsdb-server keeps a journal. */
export const journal = (vswitch: DummySwitch): string => readFileSync(join(vswitch.directory, 'conf.db'), 'utf8');

export const get = async (vswitch: DummySwitch, table: string, row: string, column: string): Promise<string> =>
  (await vswitch.vsctl('get', table, row, column)).trim();

export const bridgeMade = (vswitch: DummySwitch): Promise<void> =>
  until('br-int', async () => (await vswitch.vsctl('--columns=name', 'list', 'Bridge')).includes('br-int'));

/** The journal, once nothing is added to it any more. */
export async function quiet(vswitch: DummySwitch): Promise<string> {
  let before = '';
  await until('the database to settle', async () => {
    const now = journal(vswitch);
    const settled = now === before;
    before = now;
    await sleep(100);
    return settled;
  });
  return before;
}
