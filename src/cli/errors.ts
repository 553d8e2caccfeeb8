/** What can end a command early, and the exit status each ends it with. */
import type { ProblemDocument } from '../problems.ts';

export const exitCodes = {
  0: 'done',
  1: 'a difference was found, or the answer is no, or not yet',
  2: 'the command line or a file is wrong; nothing was sent',
  3: 'the controller refused',
  4: 'the controller could not be reached',
  70: 'a fault in the CLI itself',
} as const;

/** The command line, a file or the environment is wrong. */
export class UsageError extends Error {
  /** What to do next. */
  readonly advice: string | undefined;
  /** One line for each of several faults. */
  readonly details: readonly string[];
  constructor(message: string, advice?: string, details: readonly string[] = []) {
    super(message);
    this.advice = advice;
    this.details = details;
  }
}

/** The controller answered with a problem. */
export class Refused extends Error {
  readonly problem: ProblemDocument;
  readonly status: number;
  /** Where the reader finds what a JSON pointer of the request's body means: a flag, a line of a file. */
  place: ((pointer: string) => string) | undefined;
  /** What to do next, where the CLI knows better than the controller. */
  advice: string | undefined;
  constructor(status: number, problem: ProblemDocument) {
    super(`${problem.code}: ${problem.detail}`);
    this.status = status;
    this.problem = problem;
  }
}

/** Nobody who speaks Keyway answered. */
export class Unreachable extends Error {
  readonly advice: string;
  constructor(message: string, advice: string) {
    super(message);
    this.advice = advice;
  }
}
