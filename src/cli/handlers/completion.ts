import type { Handler } from '../command.ts';
import { completionScripts, type Shell } from '../completion-scripts.ts';

/** `completion bash|zsh|fish`; the argument is one of the values the command declares. */
export const completion: Handler = async ({ args, session }) => {
  session.print(completionScripts[args.positionals[0] as Shell]);
  return 0;
};
