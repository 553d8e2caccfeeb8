/** What a key and a value may be. Breaking it is a mistake in the program, never in a request: TypeError. */

const keyForm = /^[ -~]{1,1024}$/;

/** Printable ASCII: code units, code points and bytes then sort alike, on every medium. */
export function checkKey(key: string): void {
  if (!keyForm.test(key)) throw new TypeError(`${JSON.stringify(key)} is not a valid key`);
}

/** UTF-8 has no lone surrogates: such a value would come back as another one. */
export function checkValue(key: string, value: string): void {
  if (typeof value !== 'string' || !value.isWellFormed()) throw new TypeError(`The value of ${key} is not valid`);
}
