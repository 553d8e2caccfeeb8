/** `events`: what happens, a line each. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Handler } from '../command.ts';
import { Unreachable, UsageError } from '../errors.ts';
import { type EventMessage, eventStream } from '../event-stream.ts';
import { shortPath } from '../names.ts';
import type { Session } from '../session.ts';
import { type Colour, paintState, safe } from '../style.ts';
import { cell } from '../table.ts';

const colours: Record<string, Colour> = { created: 'green', replaced: 'yellow', deleted: 'red' };

function time(at: string | number | undefined): string {
  const date = at === undefined ? new Date() : new Date(at);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().replace(/\.\d+Z$/, 'Z');
}

type Told = Exclude<EventMessage, { type: 'open' }>;

function lines(session: Session, message: Told): string {
  const { paint } = session;
  if (message.type === 'status') {
    const conditions = (message.status.conditions ?? []) as {
      type: string;
      status: string;
      reason: string;
      message: string;
    }[];
    const wrong = conditions
      .filter((one) => one.message || one.reason)
      .map((one) => `${one.type}=${one.status} ${[one.reason, one.message].filter(Boolean).join(': ')}`);
    const notes = wrong.length > 0 ? `  ${paint('dim', safe(wrong.join('; ')))}` : '';
    return `${paint('dim', time(undefined))}  status  ${safe(shortPath(message.path))}  ${paintState(paint, safe(message.status.state))}${notes}\n`;
  }
  return message.changes
    .map(
      ({ type, path }) =>
        `${paint('dim', time(message.at))}  ${cell(message.revision)}  ${paint(colours[type] ?? 'bold', safe(type))}  ${safe(shortPath(path))}\n`,
    )
    .join('');
}

async function print(session: Session, format: string, message: Told): Promise<void> {
  if (format === 'json') session.print(`${JSON.stringify(message)}\n`);
  else if (format === 'yaml') {
    session.print('---\n');
    await session.printAs('yaml', message);
  } else session.print(lines(session, message));
}

export const events: Handler = async ({ session, args, io }) => {
  const written = args.value('since');
  if (written !== undefined && !/^\d{1,15}$/.test(written)) throw new UsageError(`--since ${written}: not a revision`);
  let since = written === undefined ? undefined : Number(written);
  const client = await session.client();
  const format = session.format('text');
  let seen = false;
  let pause = 500;
  while (!io.signal?.aborted) {
    try {
      for await (const message of eventStream(client, since, io.signal)) {
        seen = true;
        pause = 500;
        if (message.type === 'open') continue;
        if (message.type === 'change') since = message.revision;
        await print(session, format, message);
      }
      return 0;
    } catch (error) {
      if (!(error instanceof Unreachable) || !seen) throw error;
      if (pause === 500) session.note(`${error.message}; trying again.\n`);
    }
    await sleep(pause, undefined, io.signal ? { signal: io.signal } : {}).catch(() => undefined);
    pause = Math.min(15_000, pause * 2);
  }
  return 0;
};
