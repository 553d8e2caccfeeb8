/** iperf3: the machine's own, else Debian's package unpacked into the cache; nothing is installed. */
import { delimiter } from 'node:path';
import {
  findPackageSet,
  libraryDirectories,
  type PackageSet,
  programDirectories,
  searchPath,
  type Unavailable,
} from '../../src/sandbox/open-vswitch/package-set.ts';
import { attempt } from '../../src/sandbox/run.ts';

export type Iperf3 = {
  /** e.g. 3.12. */
  version: string;
  /** With what to put before it so that it finds its libraries: program, then arguments. */
  command: readonly [string, ...string[]];
};

const iperf3: PackageSet<Iperf3> = {
  title: 'iperf3',
  name: 'iperf3',
  layout: 1,
  packages: () => ['iperf3'],
  async describe(root) {
    const program = searchPath('iperf3', programDirectories(root));
    if (program === undefined) return 'iperf3 is missing';
    const libraries = root === undefined ? [] : [`LD_LIBRARY_PATH=${libraryDirectories(root).join(delimiter)}`];
    const command = ['env', ...libraries, program] as const;
    const { stdout, stderr } = await attempt(command[0], [...command.slice(1), '--version']);
    const version = /^iperf (\S+)/m.exec(stdout)?.[1];
    return version === undefined ? `${stderr}${stdout}`.trim() : { version, command };
  },
};

/** `unavailable` says why it could not be had. Never throws. */
export function findIperf3(line?: (text: string) => void): Promise<Iperf3 | Unavailable> {
  return findPackageSet(iperf3, line);
}
