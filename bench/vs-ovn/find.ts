/** Debian's OVN: the machine's own, else its packages unpacked into the cache as those of Open vSwitch are. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import {
  findPackageSet,
  libraryDirectories,
  type PackageSet,
  programDirectories,
  searchPath,
  type Unavailable,
} from '../../src/sandbox/open-vswitch/package-set.ts';
import { attempt } from '../../src/sandbox/run.ts';

const names = ['ovn-northd', 'ovn-controller', 'ovn-nbctl', 'ovn-sbctl', 'ovn-appctl'] as const;

export type Ovn = {
  /** As `ovn-northd --version` tells it, e.g. 23.03.1. */
  version: string;
  programs: Record<(typeof names)[number], string>;
  schemas: { northbound: string; southbound: string };
  /** PATH and LD_LIBRARY_PATH for these programs. */
  env: NodeJS.ProcessEnv;
};

async function describe(root: string | undefined): Promise<Ovn | string> {
  const directories = programDirectories(root);
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: directories.join(delimiter), LC_ALL: 'C' };
  if (root !== undefined) env.LD_LIBRARY_PATH = libraryDirectories(root).join(delimiter);
  const programs: Partial<Ovn['programs']> = {};
  for (const name of names) {
    const path = searchPath(name, directories);
    if (path === undefined) return `${name} is missing`;
    programs[name] = path;
  }
  const [northbound, southbound] = ['nb', 'sb'].map((which) =>
    join(root ?? '/', `usr/share/ovn/ovn-${which}.ovsschema`),
  );
  for (const schema of [northbound!, southbound!]) if (!existsSync(schema)) return `${schema} is missing`;
  const [northd, controller] = await Promise.all(
    (['ovn-northd', 'ovn-controller'] as const).map((name) => attempt(programs[name]!, ['--version'], { env })),
  );
  const version = /^ovn-northd (\S+)/m.exec(northd!.stdout)?.[1];
  if (version === undefined || controller!.status !== 0) return `${northd!.stderr}${controller!.stderr}`.trim();
  return {
    version,
    programs: programs as Ovn['programs'],
    schemas: { northbound: northbound!, southbound: southbound! },
    env,
  };
}

const ovn: PackageSet<Ovn> = {
  title: 'OVN',
  name: 'ovn',
  layout: 1,
  packages: () => ['ovn-central', 'ovn-host', 'ovn-common'],
  describe,
};

/** `unavailable` says why it could not be had. Never throws. */
export function findOvn(line?: (text: string) => void): Promise<Ovn | Unavailable> {
  return findPackageSet(ovn, line);
}
