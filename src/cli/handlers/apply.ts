/** `apply -f` and `plan -f`. */
import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import type { Handler, Run } from '../command.ts';
import { type Entry, entriesOf } from '../documents.ts';
import { Refused, UsageError } from '../errors.ts';
import { type ApplyBody, type ApplyOptions, changes, differences, type Plan, planOf, printPlan } from './plan.ts';
import { defaultWait } from './wait.ts';

async function textOf(run: Run, file: string): Promise<string> {
  if (file === '-') {
    if (run.io.stdin.isTTY) run.session.note('Reading resources from the terminal; end with Ctrl-D.\n');
    return readStream(run.io.stdin);
  }
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

async function read(run: Run): Promise<Entry[]> {
  const { defaults } = await run.session.settings();
  const entries: Entry[] = [];
  for (const file of run.args.all('file')) {
    entries.push(...(await entriesOf(await textOf(run, file), file === '-' ? 'standard input' : file, defaults)));
  }
  if (entries.length === 0 && !run.args.has('prune')) {
    throw new UsageError(
      'There is no resource in what was given',
      'See keyway apply --help for what a file looks like.',
    );
  }
  const seen = new Map<string, Entry>();
  for (const entry of entries) {
    const before = seen.get(entry.resource.path);
    if (before) {
      const places = [await before.place(''), await entry.place('')];
      throw new UsageError(`${entry.resource.path} is given twice`, 'Keep one of them.', places);
    }
    seen.set(entry.resource.path, entry);
  }
  return entries;
}

/** The places in the files that a refusal names. */
async function locate(error: Refused, entries: readonly Entry[]): Promise<void> {
  const places = new Map<string, string>();
  for (const { field } of error.problem.errors) {
    const found = /^\/resources\/(\d+)(.*)$/s.exec(field);
    const entry = found && entries[Number(found[1])];
    if (!entry) continue;
    const inside = found[2] ?? '';
    const member = inside.replace(/^\/spec(?=\/)/, '').slice(1);
    places.set(field, `${await entry.place(inside)}${member ? `: ${member}` : ''}`);
  }
  error.place = (pointer) => {
    const flag = /^\/(prune|wait|timeout)(?=\/|$)/.exec(pointer)?.[1];
    return places.get(pointer) ?? (flag ? `--${flag}` : pointer);
  };
}

async function send(run: Run, entries: readonly Entry[], options: ApplyOptions, limit?: number): Promise<Plan> {
  const body: ApplyBody = { resources: entries.map(({ resource }) => resource) };
  const prune = run.args.value('prune');
  if (prune !== undefined) {
    const label = prune.replace(/^label=(?=.*=)/, '');
    if (!/^[^=]+=/.test(label)) throw new UsageError(`--prune ${prune}: written as label=KEY=VALUE`);
    body.prune = { label };
  }
  try {
    return await planOf(await run.session.client(), body, options, limit);
  } catch (error) {
    if (error instanceof Refused) await locate(error, entries);
    throw error;
  }
}

export const apply: Handler = async (run) => {
  if (run.args.has('dry-run')) return plan(run);
  const entries = await read(run);
  const wait = run.args.value('wait');
  const limit = run.session.timeout() ?? defaultWait;
  const options: ApplyOptions = wait === undefined ? {} : { wait, timeout: `${limit}ms` };
  const done = await send(run, entries, options, wait === undefined ? undefined : limit + 5000);
  await printPlan(run.session, done, { dryRun: false });
  return 0;
};

export const plan: Handler = async (run) => {
  const entries = await read(run);
  const planned = await send(run, entries, { dryRun: true });
  const format = run.session.format('text');
  const wanted = entries.map(({ resource }) => resource);
  const details = ['json', 'yaml', 'name'].includes(format)
    ? new Map<string, string[]>()
    : await differences(await run.session.client(), planned, wanted);
  await printPlan(run.session, planned, { dryRun: true, details });
  return run.args.has('exit-code') && changes(planned) > 0 ? 1 : 0;
};
