import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { arch } from 'node:os';
import { delimiter, join } from 'node:path';
import { lock } from '../../lock.mjs';
import { attempt } from '../run.ts';
import { cacheDirectory } from './cache-directory.ts';
import { unpackPackages } from './debian.ts';

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
const layout = 1;

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

function searchPath(name: string, directories: readonly string[]): string | undefined {
  return directories.map((directory) => join(directory, name)).find((path) => existsSync(path));
}

/** sbin belongs to the search: on Debian it is not on an ordinary user's PATH. */
function machineDirectories(): string[] {
  const path = (process.env.PATH ?? '').split(delimiter).filter((part) => part.startsWith('/'));
  return [...new Set([...path, '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'])];
}

async function describe(root: string | undefined): Promise<OpenVswitch | string> {
  const own = root === undefined ? [] : ['links', 'usr/sbin', 'usr/bin', 'sbin', 'bin'].map((part) => join(root, part));
  const directories = [...own, ...machineDirectories()];
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

/** Directories under the unpacked root that hold shared libraries, e.g. usr/lib/x86_64-linux-gnu. */
function libraryDirectories(root: string): string[] {
  const found: string[] = [];
  for (const part of ['usr/lib', 'lib']) {
    const base = join(root, part);
    if (!existsSync(base)) continue;
    for (const entry of readdirSync(base, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name.includes('linux-gnu')) found.push(join(base, entry.name));
    }
  }
  return found;
}

/** debian-12-x64 and the like; part of the cache's path, since binaries belong to a release. */
function release(): string {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const value = (key: string): string =>
    (new RegExp(`^${key}="?([^"\n]*)`, 'm').exec(text)?.[1] ?? 'unknown').replace(/[^a-z0-9.-]/gi, '-');
  return `${value('ID')}-${value('VERSION_ID')}-${arch()}`;
}

/**
 * The machine's Open vSwitch with the tools beside it, else Debian's packages unpacked into the user's cache: nothing is
 * installed and no service started. `unavailable` says why neither could be had. Never throws.
 */
export async function findOpenVswitch(options: FindOptions = {}): Promise<OpenVswitch | { unavailable: string }> {
  const line = options.line ?? (() => {});
  try {
    const machine = await describe(undefined);
    if (typeof machine !== 'string') return machine;
    const cache = cacheDirectory();
    const root = join(cache, `open-vswitch-${release()}-${layout}`);
    const cached = existsSync(root) ? await describe(root) : 'nothing unpacked';
    if (typeof cached !== 'string') return cached;
    if (
      searchPath('apt-get', machineDirectories()) === undefined ||
      searchPath('dpkg', machineDirectories()) === undefined
    ) {
      return {
        unavailable: `${machine}, and packages can be unpacked only where apt-get and dpkg are (Debian, Ubuntu)`,
      };
    }
    const unlock = await lock(`${root}.lock`, (holder) =>
      line(`waiting for process ${holder}, which is unpacking Open vSwitch`),
    );
    try {
      // Whoever held the lock may have done the work, or found the cache sound.
      const now = existsSync(root) ? await describe(root) : 'nothing unpacked';
      if (typeof now !== 'string') return now;
      return await unpack(cache, root, line);
    } finally {
      unlock();
    }
  } catch (error) {
    return { unavailable: error instanceof Error ? error.message : String(error) };
  }
}

async function unpack(
  cache: string,
  root: string,
  line: (text: string) => void,
): Promise<OpenVswitch | { unavailable: string }> {
  const started = performance.now();
  // Left by a process that was killed: we hold the lock, so nobody works there now.
  for (const name of readdirSync(cache)) {
    if (name.startsWith('unpacking-')) rmSync(join(cache, name), { recursive: true, force: true });
  }
  const work = mkdtempSync(join(cache, 'unpacking-'));
  try {
    const fresh = join(work, 'root');
    mkdirSync(join(fresh, 'links'), { recursive: true });
    const directories = machineDirectories();
    const packages = Object.entries(tools)
      .filter(([name]) => searchPath(name, directories) === undefined)
      .map(([, name]) => name);
    const hasSwitch = openVswitchPrograms.every((name) => searchPath(name, directories)) && existsSync(machineSchema);
    if (!hasSwitch) packages.unshift('openvswitch-switch');
    line(`Open vSwitch is not installed: unpacking ${packages.join(' ')} into ${root} (nothing is installed)`);
    await unpackPackages(packages, fresh, work, line);
    // Debian links ovs-vswitchd into /usr/sbin when the package is configured (update-alternatives).
    if (existsSync(join(fresh, 'usr/lib/openvswitch-switch/ovs-vswitchd'))) {
      symlinkSync('../usr/lib/openvswitch-switch/ovs-vswitchd', join(fresh, 'links/ovs-vswitchd'));
    }
    writeFileSync(join(fresh, 'packages.txt'), `${packages.join('\n')}\n`);
    const check = await describe(fresh);
    if (typeof check === 'string') return { unavailable: `the unpacked Open vSwitch does not run: ${check}` };
    rmSync(root, { recursive: true, force: true });
    renameSync(fresh, root);
    const found = await describe(root);
    if (typeof found === 'string') return { unavailable: found };
    line(`Open vSwitch ${found.version} unpacked in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    return found;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
