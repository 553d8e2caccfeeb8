/** What `POST /v1/apply` answers, for people. */

import type { Client } from '../client.ts';
import { Refused } from '../errors.ts';
import { parsePath, shortPath } from '../names.ts';
import { eachOf } from '../resources.ts';
import type { Session } from '../session.ts';
import { type Colour, safe } from '../style.ts';
import { cell, Table } from '../table.ts';

export type Resource = {
  path: string;
  kind: string;
  spec?: Record<string, unknown>;
  labels?: unknown;
  delete?: boolean;
};

export type ApplyBody = { resources: Record<string, unknown>[]; prune?: { label: string } };

export type Outcome = {
  path: string;
  kind: string;
  outcome: 'created' | 'replaced' | 'deleted' | 'unchanged';
  /** Members of the spec, and labels, that a replacement changes. */
  changed?: string[];
};

export type Plan = {
  revision: number;
  outcomes: Outcome[];
  flows?: { hypervisor: string; added: number; changed: number; removed: number }[];
};

export type ApplyOptions = { dryRun?: boolean; wait?: string; timeout?: string };

/** Sends resources as one transaction. @throws Refused, Unreachable */
export async function planOf(client: Client, body: ApplyBody, options: ApplyOptions, limit?: number): Promise<Plan> {
  const { body: answer } = await client.request('POST', '/v1/apply', {
    body: { ...body, ...options },
    ...(limit === undefined ? {} : { timeout: limit }),
  });
  return answer as Plan;
}

const signs: Record<Outcome['outcome'], { sign: string; colour: Colour; word: string }> = {
  created: { sign: '+', colour: 'green', word: 'create' },
  replaced: { sign: '~', colour: 'yellow', word: 'change' },
  deleted: { sign: '-', colour: 'red', word: 'delete' },
  unchanged: { sign: ' ', colour: 'dim', word: 'leave as it is' },
};

/** `4 created, 1 replaced`: counts of each outcome there was. */
function counts(outcomes: readonly Outcome[], words: (outcome: Outcome['outcome']) => string): string {
  return (Object.keys(signs) as Outcome['outcome'][])
    .map((outcome) => [outcome, outcomes.filter((one) => one.outcome === outcome).length] as const)
    .filter(([, count]) => count > 0)
    .map(([outcome, count]) => `${count} ${words(outcome)}`)
    .join(', ');
}

export function changes(plan: Plan): number {
  return plan.outcomes.filter(({ outcome }) => outcome !== 'unchanged').length;
}

function flowTable(session: Session, flows: NonNullable<Plan['flows']>): string {
  const numbers = ['ADDED', 'CHANGED', 'REMOVED'].map((title) => ({ title, right: true }));
  const rows = flows.map((one) => [cell(one.hypervisor), String(one.added), String(one.changed), String(one.removed)]);
  return new Table([{ title: 'HYPERVISOR' }, ...numbers], session.paint, session.columns).whole(rows);
}

/** Prints what an apply did, or with `dryRun` would do. `details` are lines under a path. */
export async function printPlan(
  session: Session,
  plan: Plan,
  options: { dryRun: boolean; details?: ReadonlyMap<string, string[]> } = { dryRun: true },
): Promise<void> {
  const format = session.format('text');
  if (await session.printAs(format, plan)) return;
  if (format === 'name') {
    for (const { path, outcome } of plan.outcomes) {
      if (outcome !== 'unchanged') session.print(`${safe(parsePath(path)?.names.join('/') ?? path)}\n`);
    }
    return;
  }
  for (const { path, outcome } of plan.outcomes) {
    if (outcome === 'unchanged') continue;
    const { sign, colour } = signs[outcome];
    session.print(`${session.paint(colour, `${sign} ${safe(shortPath(path))}`)}\n`);
    for (const line of options.details?.get(path) ?? []) session.print(`    ${safe(line)}\n`);
  }
  if (plan.flows && plan.flows.length > 0) session.print(`\n${flowTable(session, plan.flows)}\n`);
  else if (plan.flows && changes(plan) > 0) session.print('No flow would change on any switch.\n');
  if (plan.outcomes.length === 0) session.print('Nothing to do.\n');
  else if (options.dryRun)
    session.print(`Plan: ${counts(plan.outcomes, (outcome) => `to ${signs[outcome].word}`)}. Nothing was changed.\n`);
  else session.print(`Revision ${plan.revision}: ${counts(plan.outcomes, (outcome) => outcome)}.\n`);
}

/** What replacements would change, member by member: what is there now, read from the controller, and what is wanted. */
export async function differences(
  client: Client,
  plan: Plan,
  wanted: readonly Resource[],
): Promise<Map<string, string[]>> {
  const byPath = new Map(wanted.map((one) => [one.path, one]));
  const replaced = plan.outcomes.filter(({ changed = [], path }) => changed.length > 0 && byPath.has(path));
  const found = await eachOf(replaced, 8, async ({ path, changed = [] }): Promise<[string, string[]]> => {
    const { spec = {}, labels } = byPath.get(path)!;
    let now: Record<string, unknown>;
    try {
      now = (await client.request('GET', `/v1/${path}`)).body as Record<string, unknown>;
    } catch (error) {
      // It may go between the plan and this look at it; the plan itself stands.
      if (error instanceof Refused) return [path, changed];
      throw error;
    }
    const then: Record<string, unknown> = { ...spec, labels };
    return [path, changed.map((name) => `${name}: ${cell(now[name])} -> ${cell(then[name])}`)];
  });
  return new Map(found);
}
