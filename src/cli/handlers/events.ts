/** `events`: what happens, a line each. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Handler } from '../command.ts';
import { Unreachable, UsageError } from '../errors.ts';
import { type EventMessage, eventStream, Position, type Wanted } from '../event-stream.ts';
import { kindModel } from '../model.ts';
import { parsePath, pathOf, shortPath } from '../names.ts';
import { parentKinds } from '../profiles.ts';
import type { Session } from '../session.ts';
import { type Colour, paintState, safe } from '../style.ts';

const colours: Record<string, Colour> = { created: 'green', replaced: 'yellow', deleted: 'red' };

type Told = Extract<EventMessage, { type: 'change' | 'status' }>;

type Condition = { type: string; status: string; reason: string; message: string };

function conditionText({ type, status, reason, message }: Condition): string {
  return `${type}=${status} ${[reason, message].filter(Boolean).join(': ')}`.trim();
}

function line({ paint }: Session, message: Told): string {
  const time = paint('dim', new Date().toISOString().replace(/\.\d+Z$/, 'Z'));
  const path = safe(shortPath(message.path));
  if (message.type === 'change') {
    const { revision, change } = message;
    return `${time}  ${revision}  ${paint(colours[change] ?? 'bold', safe(change))}  ${path}\n`;
  }
  if (message.status === null) return `${time}  status  ${path}  ${paint('dim', 'gone from every switch')}\n`;
  const conditions = (message.status.conditions ?? []) as Condition[];
  const notes = conditions.length > 0 ? `  ${paint('dim', safe(conditions.map(conditionText).join('; ')))}` : '';
  return `${time}  status  ${path}  ${paintState(paint, safe(message.status.state))}${notes}\n`;
}

async function print(session: Session, format: string, message: Told): Promise<void> {
  if (format === 'json') session.print(`${JSON.stringify(message)}\n`);
  else if (format === 'yaml') {
    session.print('---\n');
    await session.printAs('yaml', message);
  } else session.print(line(session, message));
}

/** The path that `acme`, `acme/shop` or a whole path names. @throws UsageError */
function placeOf(written: string | undefined): string | undefined {
  if (written === undefined) return undefined;
  const whole = parsePath(written);
  if (whole) return pathOf(whole.kind, whole.names);
  const names = written.replace(/^\/|\/$/g, '').split('/');
  const kind = parentKinds[names.length - 1];
  if (kind === undefined || names.includes('')) {
    throw new UsageError(
      `"${written}" is no place to follow`,
      `Write TENANT, TENANT/NETWORK, or a path such as tenants/acme`,
    );
  }
  return pathOf(kindModel(kind), names);
}

export const events: Handler = async ({ session, args, io }) => {
  const written = args.value('since');
  if (written !== undefined && !/^\d{1,15}$/.test(written)) throw new UsageError(`--since ${written}: not a revision`);
  const position = new Position(written === undefined ? undefined : Number(written));
  const path = placeOf(args.positionals[0]);
  const status = (args.value('status') ?? 'changes') as Wanted['status'];
  const client = await session.client();
  const format = session.format('text');
  let seen = false;
  let pause = 500;
  while (!io.signal?.aborted) {
    try {
      for await (const message of eventStream(client, { since: position.since, path, status }, io.signal)) {
        seen = true;
        pause = 500;
        const news = position.take(message);
        if (news && (message.type === 'change' || message.type === 'status')) await print(session, format, message);
      }
      return 0;
    } catch (error) {
      // Ended by its user in the middle of a request: nothing has failed.
      if (io.signal?.aborted) return 0;
      if (!(error instanceof Unreachable) || !seen) throw error;
      if (pause === 500) session.note(`${error.message}; trying again.\n`);
    }
    await sleep(pause, undefined, io.signal ? { signal: io.signal } : {}).catch(() => undefined);
    pause = Math.min(15_000, pause * 2);
  }
  return 0;
};
