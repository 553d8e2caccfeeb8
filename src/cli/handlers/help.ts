import type { Handler } from '../command.ts';
import { helpFor, helpStyle } from '../help.ts';

/** `help [WORD…]`. */
export const help: Handler = async ({ io, args }) => {
  io.stdout.write(helpFor(args.positionals, helpStyle(io, io.stdout)));
  return 0;
};
