/** The resources a command line names. */
import type { Run } from '../command.ts';
import { kindOf } from '../commands/resource.ts';
import { pathOf, resolve, type Target } from '../names.ts';

export type Located = Target & {
  /** `tenants/acme/networks/shop`: path in intent, below `/v1/`. */
  path: string;
};

/** The resource each positional names. @throws UsageError when a parent is not known. */
export async function targets(run: Run): Promise<Located[]> {
  const { defaults } = await run.session.settings();
  const kind = kindOf(run.command);
  return run.args.positionals.map((written) => {
    const target = resolve(kind, written, (parent) => run.args.value(parent), defaults);
    return { ...target, path: pathOf(kind, target.names) };
  });
}

/** The one resource the positional names. */
export async function target(run: Run): Promise<Located> {
  const [first] = await targets(run);
  if (!first) throw new Error('the command was run without its argument');
  return first;
}
