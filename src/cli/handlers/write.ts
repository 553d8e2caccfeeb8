/** `create`, `set`, `delete` and the shortcuts of every kind. */
import type { Client } from '../client.ts';
import type { Handler, Run } from '../command.ts';
import { kindOf, shortcuts } from '../commands/resource.ts';
import { Refused, UsageError } from '../errors.ts';
import type { KindModel } from '../model.ts';
import { rowOf } from '../resources.ts';
import { doneLine, printItem } from '../show.ts';
import { paintState } from '../style.ts';
import { changedElements, notationOf, pairs, specFrom } from '../values.ts';
import { type Located, target, targets } from './target.ts';
import { waitQuery } from './wait.ts';

/** Names the flag a JSON pointer of the body stands for. */
function flagAt(kind: KindModel): (pointer: string) => string {
  return (pointer) => {
    const [, name = '', ...rest] = pointer.split('/');
    if (name === 'labels') return '--label';
    const field = kind.fields.find((one) => one.name === name);
    if (!field) return pointer;
    // As members of objects are written: `fromVm.rateKbps`.
    const inner = rest.filter((part) => !/^\d+$/.test(part)).join('.');
    return `--${field.flag}${inner ? ` ${inner}` : ''}`;
  };
}

/** Runs a request whose body came from flags: what is refused is told by flag. */
async function byFlags<T>(kind: KindModel, advice: Record<string, string>, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof Refused) {
      error.place = flagAt(kind);
      error.advice = advice[error.problem.code];
    }
    throw error;
  }
}

async function finish(run: Run, verb: string, { kind, names }: Located, body: unknown): Promise<number> {
  const { session } = run;
  const row = rowOf(kind, names.slice(0, -1), body as object);
  const format = session.format('text');
  if (!(await printItem(session, format, kind, row))) session.print(doneLine(session, verb, kind, row));
  return 0;
}

/** What would be applied, without doing it. */
async function rehearse(
  run: Run,
  kind: KindModel,
  change: Record<string, unknown>,
  expected?: string,
): Promise<number> {
  const { planOf, printPlan } = await import('./plan.ts');
  const client = await run.session.client();
  const plan = await byFlags(kind, {}, () => planOf(client, { resources: [change] }, { dryRun: true }));
  const outcome = plan.outcomes[0]?.outcome;
  await printPlan(run.session, plan);
  if (expected !== undefined && outcome !== expected) {
    throw new UsageError(`It is there already: ${change.path}`, `Change it: keyway ${kind.kind} set …`);
  }
  return 0;
}

export const create: Handler = async (run) => {
  const { args, session } = run;
  const located = await target(run);
  const { kind, path, names } = located;
  const spec = specFrom(kind, args);
  const labels = args.has('label') ? { labels: pairs(args.all('label'), '--label') } : {};
  if (args.has('dry-run')) return rehearse(run, kind, { path, kind: kind.kind, spec, ...labels }, 'created');
  const client = await session.client();
  const advice = { 'resource.exists': `Change it: keyway ${kind.kind} set ${names.join('/')} …` };
  const { body } = await byFlags(kind, advice, () =>
    client.request('PUT', `/v1/${path}`, {
      body: { ...spec, ...labels },
      headers: { 'if-none-match': '*' },
      ...waitQuery(run),
    }),
  );
  return finish(run, 'created', located, body);
};

type Change = (body: Record<string, unknown>) => void;

/** Reads, changes, writes back under the ETag; again when somebody else wrote in between. */
async function change(run: Run, located: Located, edit: Change): Promise<number> {
  const { kind, path } = located;
  const client = await run.session.client();
  for (let attempt = 1; ; attempt++) {
    const before = await client.request('GET', `/v1/${path}`);
    const body = { ...(before.body as Record<string, unknown>) };
    edit(body);
    if (run.args.has('dry-run')) return rehearse(run, kind, applied(kind, path, body));
    try {
      const { body: after } = await byFlags(kind, {}, () => put(run, client, path, body, before.etag));
      return await finish(run, 'changed', located, after);
    } catch (error) {
      const lost = error instanceof Refused && ['resource.changed', 'store.conflict'].includes(error.problem.code);
      if (!lost || attempt === 5) throw error;
    }
  }
}

function put(run: Run, client: Client, path: string, body: unknown, etag: string | undefined) {
  // What has no ETag is known to the fabric but not to intent yet (a hypervisor that waits): it is brought in.
  const headers: Record<string, string> = etag === undefined ? { 'if-none-match': '*' } : { 'if-match': etag };
  return client.request('PUT', `/v1/${path}`, { body, headers, ...waitQuery(run) });
}

/** The members of an answer that were asked for. */
function applied(kind: KindModel, path: string, body: Record<string, unknown>): Record<string, unknown> {
  const members = kind.fields.map((field) => [field.name, body[field.name]]).filter(([, value]) => value !== undefined);
  return { path, kind: kind.kind, spec: Object.fromEntries(members), labels: body.labels };
}

export const set: Handler = async (run) => {
  const { args } = run;
  const located = await target(run);
  const { kind } = located;
  const spec = specFrom(kind, args);
  const unset = args.all('unset').map((flag) => {
    const field = kind.fields.find((one) => one.flag === flag || one.name === flag);
    if (!field || field.required || field.immutable) {
      throw new UsageError(`--unset ${flag}: cannot be left out`, `See keyway ${kind.kind} set --help`);
    }
    return field.name;
  });
  const labels = args.all('label');
  const lists = kind.fields
    .filter((field) => field.array && !field.immutable)
    .map((field) => ({ field, ...changedElements(field, args) }))
    .filter(({ add, remove: gone }) => add.length + gone.length > 0);
  if (Object.keys(spec).length + unset.length + labels.length + lists.length === 0) {
    throw new UsageError('Nothing to change', `Give what shall change: keyway ${kind.kind} set --help`);
  }
  return change(run, located, (body) => {
    Object.assign(body, spec);
    for (const name of unset) delete body[name];
    for (const { field, add, remove: gone } of lists) {
      const out = new Set(gone.map(notationOf));
      const kept = ((body[field.name] ?? []) as unknown[]).filter((one) => !out.has(notationOf(one)));
      const have = new Set(kept.map(notationOf));
      const all = [...kept, ...add.filter((one) => !have.has(notationOf(one)))];
      // A list that is left empty is left out: several lists must have an element.
      if (all.length > 0 || field.required) body[field.name] = all;
      else delete body[field.name];
    }
    if (labels.length > 0) body.labels = editLabels((body.labels ?? {}) as Record<string, string>, labels);
  });
};

function editLabels(before: Record<string, string>, edits: readonly string[]): Record<string, string> {
  const labels = { ...before };
  for (const edit of edits) {
    if (edit.endsWith('-') && !edit.includes('=')) delete labels[edit.slice(0, -1)];
    else Object.assign(labels, pairs([edit], '--label'));
  }
  return labels;
}

export const shortcut: Handler = async (run) => {
  const located = await target(run);
  const { kind, path } = located;
  const verb = run.command.words[1];
  const found = shortcuts[kind.kind]?.find((one) => one.verb === verb);
  if (!found) throw new Error(`no shortcut ${kind.kind} ${verb}`);
  const value = { [found.member]: found.value };
  try {
    return await change(run, located, (body) => Object.assign(body, value));
  } catch (error) {
    if (!(error instanceof Refused) || error.problem.code !== 'resource.not-found') throw error;
  }
  // Known to the fabric but not to intent yet: this is what brings it in.
  if (run.args.has('dry-run')) return rehearse(run, kind, { path, kind: kind.kind, spec: value });
  const client = await run.session.client();
  const { body } = await byFlags(kind, {}, () =>
    client.request('PUT', `/v1/${path}`, { body: value, headers: { 'if-none-match': '*' }, ...waitQuery(run) }),
  );
  return finish(run, 'created', located, body);
};

export const remove: Handler = async (run) => {
  const { session } = run;
  const all = await targets(run);
  const kind = kindOf(run.command);
  const client = await session.client();
  if (run.args.has('dry-run')) {
    const { planOf, printPlan } = await import('./plan.ts');
    const resources = all.map(({ path }) => ({ path, kind: kind.kind, delete: true }));
    await printPlan(session, await planOf(client, { resources }, { dryRun: true }));
    return 0;
  }
  for (const { path, names } of all) {
    const { body } = await client.request('DELETE', `/v1/${path}`, waitQuery(run));
    const format = session.format('text');
    const row = rowOf(kind, names.slice(0, -1), (body ?? { name: names.at(-1) }) as object);
    if (await session.printAs(format, body ?? null)) continue;
    if (format === 'name') session.print(`${names.join('/')}\n`);
    else {
      const state = (row.item.status as { state?: string } | undefined)?.state;
      const note = state === 'deleting' ? ` (${paintState(session.paint, state)}: switches have yet to confirm)` : '';
      session.print(`deleted ${kind.kind} ${names.join('/')}${note}\n`);
    }
  }
  return 0;
};
