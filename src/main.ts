/** The `keyway` program: `serve`, `restore`, `gateway-host`, `sandbox`, or a command of the CLI. Each is loaded only when it is asked for. */
const [command, ...rest] = process.argv.slice(2);

if (command === 'serve' && !asksHelp(rest)) {
  const { serve } = await import('./serve.ts');
  process.exitCode = await serve(rest);
} else if (command === 'restore' && !asksHelp(rest)) {
  const { restore } = await import('./restore.ts');
  process.exitCode = await restore(rest);
} else if (command === 'gateway-host' && !asksHelp(rest)) {
  const { gatewayHost } = await import('./gateway-host-main.ts');
  process.exitCode = await gatewayHost(rest);
} else if (command === 'sandbox' && !asksHelp(rest)) {
  const { sandboxCommand } = await import('./sandbox/command.ts');
  process.exitCode = await sandboxCommand(rest);
} else {
  const [{ runCli }, { processIo }] = await Promise.all([import('./cli/run.ts'), import('./cli/io.ts')]);
  process.exitCode = await runCli(process.argv.slice(2), processIo());
}

function asksHelp(words: readonly string[]): boolean {
  return words.includes('--help') || words.includes('-h');
}
