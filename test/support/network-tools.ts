/** Clients and decoders of somebody else's, for tests: the machine's own, else Debian's packages unpacked into the cache. */
import { delimiter } from 'node:path';
import type { TestContext } from 'vitest';
import {
  findPackageSet,
  libraryDirectories,
  type PackageSet,
  programDirectories,
  searchPath,
  type Unavailable,
} from '../../src/sandbox/open-vswitch/package-set.ts';
import { attempt } from '../../src/sandbox/run.ts';

/** Program, then arguments: with what to put before it so that it finds its libraries. */
export type Command = readonly [string, ...string[]];

type Tool = { command: Command };

/** @param knows arguments to which it answers with something that matches, whatever its status */
function toolSet(program: string, packageName: string, knows: { args: string[]; says: RegExp }): PackageSet<Tool> {
  return {
    title: program,
    name: program,
    layout: 1,
    packages: () => [packageName],
    async describe(root) {
      const path = searchPath(program, programDirectories(root));
      if (path === undefined) return `${program} is missing`;
      const libraries = root === undefined ? [] : [`LD_LIBRARY_PATH=${libraryDirectories(root).join(delimiter)}`];
      const command = ['env', ...libraries, path] as const;
      const { stdout, stderr } = await attempt(command[0], [...command.slice(1), ...knows.args]);
      return knows.says.test(stdout + stderr) ? { command } : `${stderr}${stdout}`.trim();
    },
  };
}

const sets = {
  dig: toolSet('dig', 'bind9-dnsutils', { args: ['-v'], says: /DiG \d/ }),
  busybox: toolSet('busybox', 'busybox', { args: ['udhcpc', '--help'], says: /udhcpc/ }),
  rdisc6: toolSet('rdisc6', 'ndisc6', { args: ['--version'], says: /Discovery/ }),
  tshark: toolSet('tshark', 'tshark', { args: ['--version'], says: /TShark/ }),
};

export type ToolName = keyof typeof sets;

const found = new Map<ToolName, Promise<Tool | Unavailable>>();

/** Where it cannot be had the test is skipped, and the report says why. */
export async function toolOrSkip(name: ToolName, context: Pick<TestContext, 'skip'>): Promise<Command> {
  let looking = found.get(name);
  if (looking === undefined) {
    looking = findPackageSet(sets[name]);
    found.set(name, looking);
  }
  const tool = await looking;
  if ('unavailable' in tool) return context.skip(`no ${name}: ${tool.unavailable}`);
  return tool.command;
}
