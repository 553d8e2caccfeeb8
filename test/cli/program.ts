// The CLI alone, as the completion scripts call it.
import { processIo } from '../../src/cli/io.ts';
import { runCli } from '../../src/cli/run.ts';

process.exitCode = await runCli(process.argv.slice(2), processIo());
