/** `keyway serve`: the controller in the foreground, until a signal ends it. */
import { parseArgs } from 'node:util';
import { ConfigError, loadConfig } from './config.ts';
import { runController } from './controller.ts';
import { Problem } from './problems.ts';

/** @returns exit status: 0 ended by a signal, 1 could not start, 2 wrong usage or configuration */
export async function serve(words: readonly string[]): Promise<number> {
  let options: { config?: string | undefined; 'data-dir'?: string | undefined };
  try {
    options = parseArgs({
      args: [...words],
      options: { config: { type: 'string' }, 'data-dir': { type: 'string' } },
    }).values;
  } catch (error) {
    console.error(`keyway serve: ${(error as Error).message}\nTry: keyway serve --help`);
    return 2;
  }
  try {
    const overrides = options['data-dir'] === undefined ? {} : { dataDir: options['data-dir'] };
    const controller = await runController(loadConfig(options.config, overrides));
    const signal = await new Promise<string>((resolve) => {
      // Ctrl-C arrives twice under npm; the second one changes nothing.
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => resolve(name));
    });
    console.error(`keyway: ${signal}, ending`);
    await controller.stop();
    return 0;
  } catch (error) {
    if (error instanceof ConfigError) {
      console.error(`keyway serve: ${error.message}`);
      return 2;
    }
    if (error instanceof Problem) {
      console.error(`keyway serve: ${error.detail}\n${error.toJSON().advice}`);
      return 1;
    }
    console.error(`keyway serve: ${(error as Error).message}`);
    return 1;
  }
}
