/** Errors for people, and the exit status of each. */
import { Refused, Unreachable, UsageError } from './errors.ts';
import type { Io } from './io.ts';
import { paintFor, safe, safeLines } from './style.ts';

/** Advice of the controller speaks of requests; where a command says it better, the command does. */
const commandAdvice = new Map<string, string>([
  [
    'auth.missing',
    'Give a token: --token-file FILE, KEYWAY_TOKEN or KEYWAY_TOKEN_FILE, or keep it: keyway profile set NAME --token-file FILE',
  ],
  [
    'auth.invalid',
    'It may have expired or been revoked, or belong to another controller; an admin makes a new one: keyway token create NAME --role ROLE',
  ],
  ['resource.not-found', 'The list command of its kind shows the names there are'],
  ['request.invalid', 'Mend what is named above; --help shows what each flag takes'],
  ['reference.dangling', 'Create what it refers to first, or all of it together: keyway apply -f FILE'],
  ['wait.timeout', 'The write stands. See what is outstanding: keyway status; wait longer with --timeout'],
]);

/** Prints the error to standard error and returns the exit status. */
export function report(io: Io, error: unknown): number {
  const paint = paintFor(io, io.stderr);
  const say = (text: string) => io.stderr.write(`${text}\n`);
  const head = (text: string) => say(`${paint('red', 'Error:')} ${safeLines(text)}`);
  const next = (text: string | undefined) => {
    if (text) say(`${paint('bold', 'Next:')} ${safeLines(text)}`);
  };
  if (error instanceof UsageError) {
    head(error.message);
    for (const line of error.details) say(`  ${safe(line)}`);
    next(error.advice);
    return 2;
  }
  if (error instanceof Unreachable) {
    head(error.message);
    next(error.advice);
    return 4;
  }
  if (error instanceof Refused) {
    const { title, code, detail, errors, advice } = error.problem;
    head(`${title} (${code})`);
    const lines = errors.map(({ field, message }) => {
      // Parameters of a query come from flags of the same name.
      const place = field.startsWith('?') ? `--${field.slice(1)}` : (error.place?.(field) ?? field);
      return place === '' ? message : `${place}: ${message}`;
    });
    if (detail && !errors.some(({ message }) => message === detail)) say(`  ${safe(detail)}`);
    for (const line of lines) say(`  ${safe(line)}`);
    next(error.advice ?? commandAdvice.get(code) ?? advice);
    const { instance } = error.problem as { instance?: string };
    if (code === 'internal' && instance) say(`  ${safe(instance)}`);
    return code === 'wait.timeout' ? 1 : 3;
  }
  head(`Something went wrong in keyway itself: ${error instanceof Error ? error.message : String(error)}`);
  if (io.env.KEYWAY_DEBUG && error instanceof Error) say(safeLines(error.stack ?? ''));
  else next('Set KEYWAY_DEBUG=1 to see where, and report it.');
  return 70;
}
