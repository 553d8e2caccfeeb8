/** Errors of a transaction, gathered: one answer names them all. */
import { type FieldError, Problem, type ProblemCode } from '../problems.ts';

/** A larger answer helps nobody. */
const mostErrors = 1000;

export class Errors {
  readonly #errors: FieldError[] = [];
  #code: ProblemCode | undefined;
  #detail: string | undefined;
  #unlisted = 0;

  get any(): boolean {
    return this.#code !== undefined;
  }

  /** @param field JSON pointer into the request. @param detail what the answer says when this is the first error */
  add(field: string, code: ProblemCode, message: string, detail = message): void {
    this.#note(code, detail, { field, code, message });
  }

  /** What does not fit a schema: each says what its value lacks. */
  addInvalid(error: FieldError): void {
    const where = error.field === '' ? 'The body' : error.field;
    this.#note('request.invalid', `${where}: ${error.message}`, error);
  }

  #note(code: ProblemCode, detail: string, error: FieldError): void {
    this.#code ??= code;
    this.#detail ??= detail;
    if (this.#errors.length < mostErrors) this.#errors.push(error);
    else this.#unlisted++;
  }

  /** The answer: the code of the first error, and all of them. Only after `any`. */
  problem(): Problem {
    const unlisted = this.#unlisted === 0 ? '' : ` (${this.#unlisted} more errors are not listed)`;
    return new Problem(this.#code!, this.#detail! + unlisted, this.#errors);
  }
}
