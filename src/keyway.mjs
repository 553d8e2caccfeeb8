#!/usr/bin/env node
// The `keyway` program: plain JavaScript that any Node understands, so that an old one can hand over to Node 24.
import { existsSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { controllerFlags, findNode24, runsHere, wantedMajor } from './node24.mjs';

/** The same process, begun again with the options of a controller, unless somebody has chosen theirs. */
function withControllerFlags() {
  const [command, ...words] = process.argv.slice(2);
  if (command !== 'serve' || words.includes('--help') || words.includes('-h')) return;
  const chosen = `${process.execArgv.join(' ')} ${process.env.NODE_OPTIONS ?? ''}`;
  if (process.execve === undefined || chosen.includes('--max-semi-space-size')) return;
  process.execve(
    process.execPath,
    [process.argv0, ...controllerFlags, ...process.execArgv, ...process.argv.slice(1)],
    process.env,
  );
}

if (runsHere) {
  withControllerFlags();
  // Stripping types and compiling is most of a short command's time. Where the cache can't be written, it is done anew.
  // By way of the environment, so that the processes a sandbox starts use it too.
  process.env.NODE_COMPILE_CACHE ??= join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'keyway', 'compile');
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
  await import('./main.ts');
} else {
  const node = findNode24();
  if (node === undefined) {
    console.error(
      `keyway needs Node ${wantedMajor}; this is ${process.version}. Run "npm start" once, which brings it, or install it.`,
    );
    process.exit(1);
  }
  const { spawn } = await import('node:child_process');
  // So that a kill -9 of this process is not survived by the one that does the work.
  const follow = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));
  const command = [...(follow ? [follow, '--pdeathsig', 'TERM', '--'] : []), node, ...process.argv.slice(1)];
  const child = spawn(command[0], command.slice(1), { stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`keyway: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
