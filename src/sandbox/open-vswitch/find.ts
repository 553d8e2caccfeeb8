import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { attempt } from '../run.ts';
import {
  findPackageSet,
  libraryDirectories,
  machineDirectories,
  type PackageSet,
  programDirectories,
  searchPath,
  type Unavailable,
} from './package-set.ts';

/** Programs of Open vSwitch, and what the sandbox and the tests need beside them. */
const openVswitchPrograms = [
  'ovs-vswitchd',
  'ovsdb-server',
  'ovs-vsctl',
  'ovs-ofctl',
  'ovs-appctl',
  'ovsdb-tool',
  'ovsdb-client',
];
const tools: Record<string, string> = {
  ping: 'iputils-ping',
  tcpdump: 'tcpdump',
  socat: 'socat',
  ethtool: 'ethtool',
  ip: 'iproute2',
};
const machineSchema = '/usr/share/openvswitch/vswitch.ovsschema';

export type OpenVswitch = {
  /** Where the programs are: installed on the machine, or unpacked into the cache. */
  source: 'machine' | 'cache';
  /** As `ovs-vswitchd --version` tells it, e.g. 3.1.0. */
  version: string;
  /** Path of vswitch.ovsschema. */
  schema: string;
  /** Absolute paths by program name (ovs-vswitchd, ovsdb-server, …, ping, tcpdump, socat, ethtool, ip). */
  programs: Record<string, string>;
  /** Environment for these programs, and for these only: PATH, LD_LIBRARY_PATH, OVS_PKGDATADIR. */
  env: NodeJS.ProcessEnv;
};

export type FindOptions = { /** Progress, one line at a time. */ line?: (text: string) => void };

async function describe(root: string | undefined): Promise<OpenVswitch | string> {
  const directories = programDirectories(root);
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: directories.join(delimiter), LC_ALL: 'C' };
  if (root !== undefined) {
    const libraries = libraryDirectories(root);
    if (libraries.length > 0) env.LD_LIBRARY_PATH = libraries.join(delimiter);
    env.OVS_PKGDATADIR = join(root, 'usr/share/openvswitch');
  }
  const programs: Record<string, string> = {};
  for (const name of [...openVswitchPrograms, ...Object.keys(tools)]) {
    const path = searchPath(name, directories);
    if (path === undefined) return `${name} is missing`;
    programs[name] = path;
  }
  const unpackedSchema = join(root ?? '/', 'usr/share/openvswitch/vswitch.ovsschema');
  const schema = existsSync(unpackedSchema) ? unpackedSchema : machineSchema;
  if (!existsSync(schema)) return `${schema} is missing`;
  const fromCache = root !== undefined && programs['ovs-vswitchd']?.startsWith(root);
  if (!fromCache) delete env.OVS_PKGDATADIR;
  // Both daemons: a library the cache relied on may have gone from the machine since.
  const [vswitchd, server] = await Promise.all(
    ['ovs-vswitchd', 'ovsdb-server'].map((name) => attempt(programs[name] ?? name, ['--version'], { env })),
  );
  const version = /Open vSwitch\) (\S+)/.exec(vswitchd?.stdout ?? '')?.[1];
  if (version === undefined || server?.status !== 0) return `${vswitchd?.stderr}${server?.stderr}`.trim();
  return { source: fromCache ? 'cache' : 'machine', version, schema, programs, env };
}

const openVswitch: PackageSet<OpenVswitch> = {
  title: 'Open vSwitch',
  name: 'open-vswitch',
  layout: 1,
  packages() {
    const directories = machineDirectories();
    const packages = Object.entries(tools)
      .filter(([name]) => searchPath(name, directories) === undefined)
      .map(([, name]) => name);
    const hasSwitch = openVswitchPrograms.every((name) => searchPath(name, directories)) && existsSync(machineSchema);
    if (!hasSwitch) packages.unshift('openvswitch-switch');
    return packages;
  },
  prepare(root) {
    // Debian links ovs-vswitchd into /usr/sbin when the package is configured (update-alternatives).
    mkdirSync(join(root, 'links'), { recursive: true });
    if (existsSync(join(root, 'usr/lib/openvswitch-switch/ovs-vswitchd'))) {
      symlinkSync('../usr/lib/openvswitch-switch/ovs-vswitchd', join(root, 'links/ovs-vswitchd'));
    }
  },
  describe,
};

/**
 * The machine's Open vSwitch with the tools beside it, else Debian's packages unpacked into the user's cache: nothing is
 * installed and no service started. `unavailable` says why neither could be had. Never throws.
 */
export function findOpenVswitch(options: FindOptions = {}): Promise<OpenVswitch | Unavailable> {
  return findPackageSet(openVswitch, options.line);
}
