/** The shape of a pino logger, and one whose lines all say whom they are about. */

export type Log = Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>;

/** @param fields asked for with each line: what is known of somebody grows. What a line says itself goes before. */
export function withFields(log: Log, fields: () => object): Log {
  const at =
    (level: keyof Log) =>
    (own: object, message: string): void =>
      log[level]({ ...fields(), ...own }, message);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
