/** Checks by example: what is taken, and what is refused with which code at which field, and nothing changed then. */
import { describe, expect, it } from 'vitest';
import type { Operation } from '../../src/intent/intent.ts';
import { admin, everything, openWith, problemOf } from './support.ts';

export type Case = {
  what: string;
  /** Done before, one by one; must be taken. */
  given?: Operation[];
  when: Operation[] | Operation;
  /** Code and field expected; taken when left out. */
  code?: string;
  field?: string;
  says?: RegExp;
  /** What it is afterwards, in part, by path; of what was taken. */
  gives?: Record<string, object>;
};

export type Cases = Record<string, Case[]>;

export const bad = (code: string, field: string, says?: RegExp) => ({ code, field, says });

export function runCases(cases: Cases): void {
  for (const [concern, list] of Object.entries(cases))
    describe(concern, () => {
      for (const { what, given = [], when, code, field, says, gives = {} } of list)
        it(`${what}: ${code ?? 'taken'}`, async () => {
          const { intent } = await openWith();
          for (const operation of given) await admin(intent, [operation]);
          const before = everything(intent);
          const attempt = admin(intent, Array.isArray(when) ? when : [when]);
          if (code === undefined) {
            await attempt;
            for (const [path, spec] of Object.entries(gives)) expect(intent.get(path)?.spec).toMatchObject(spec);
            return;
          }
          const problem = await problemOf(attempt);
          expect(problem.code).toBe(code);
          const error = problem.errors.find((e) => e.field === field);
          expect(error, JSON.stringify(problem.errors)).toBeDefined();
          if (says) expect(`${problem.detail} ${error!.message}`).toMatch(says);
          expect(everything(intent)).toEqual(before);
        });
    });
}
