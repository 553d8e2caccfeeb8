import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, run } from '../run.ts';

type Line = (text: string) => void;

/**
 * Of the packages that ours depend on, those that only maintainer scripts and Python tools need, and the C library,
 * which has to be the one the machine's own loader belongs to.
 */
const notNeeded =
  /^(python|libpython|perl|libperl|media-types|mailcap|kmod|uuid-runtime|netbase|lsb-base|sysvinit|init-|systemd|libc6$|libc-bin$|debconf|dpkg|tar$|adduser|passwd|bash$|dash$|coreutils)/;

/** The hooks of the machine's own configuration look after its desktop and its package database, not after ours. */
const configuration = `#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-large::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
`;

/**
 * Downloads Debian (or Ubuntu) packages and what they depend on beyond what is installed, and unpacks them under
 * `target`. Nothing is installed, no maintainer script runs, and the machine's package database is only read.
 * @throws Error that says what apt said.
 */
export async function unpackPackages(
  packages: readonly string[],
  target: string,
  work: string,
  line: Line,
): Promise<void> {
  const apt = join(work, 'apt');
  for (const part of ['state/lists/partial', 'cache/archives/partial', 'packages']) {
    mkdirSync(join(apt, part), { recursive: true });
  }
  writeFileSync(join(apt, 'apt.conf'), configuration);
  writeFileSync(join(apt, 'nothing-installed'), '');
  const common = ['-c', join(apt, 'apt.conf'), '-o', `Dir::Cache=${apt}/cache`, '-o', 'Debug::NoLocking=1'];
  const own = ['-o', `Dir::State=${apt}/state`, '-o', `Dir::State::lists=${apt}/state/lists`];
  const ownStatus = ['-o', `Dir::State::status=${apt}/nothing-installed`];
  const status = ['-o', 'Dir::State::status=/var/lib/dpkg/status'];

  let updated = false;
  const failures: string[] = [];
  // The machine's own package lists are quickest; they may be missing or old. Its status may be unsound (held or half
  // installed packages), and then dependencies are resolved as if nothing were installed.
  for (const source of [[], [...own, ...status], [...own, ...ownStatus]]) {
    if (source.length > 0 && !updated) {
      updated = true;
      line('reading the package lists (apt, with a state of its own)');
      const update = await attempt('apt-get', [...common, ...own, ...status, 'update'], { timeout: 300_000 });
      // One source that fails does not matter when the others have what we want, so the next step is the judge.
      if (update.status !== 0) failures.push(update.stderr.trim());
    }
    const failure = await download(packages, [...common, ...source], join(apt, 'packages'), line);
    if (failure === undefined) {
      for (const name of readdirSync(join(apt, 'packages'))) {
        await run('dpkg', ['-x', join(apt, 'packages', name), target]);
      }
      return;
    }
    failures.push(failure);
  }
  throw new Error([...new Set(failures)].filter((text) => text !== '').join('\n'));
}

async function download(
  packages: readonly string[],
  apt: string[],
  directory: string,
  line: Line,
): Promise<string | undefined> {
  const plan = await attempt('apt-get', [...apt, '--simulate', '--no-install-recommends', 'install', ...packages]);
  if (plan.status !== 0) return plan.stderr.trim();
  const wanted = [...plan.stdout.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+)/gm)]
    .map(([, name, version]) => ({ name: name ?? '', version: version ?? '' }))
    .filter(({ name }) => !notNeeded.test(name));
  line(`downloading ${wanted.length} packages: ${wanted.map(({ name }) => name).join(' ')}`);
  const got = await attempt(
    'apt-get',
    [...apt, '-q', 'download', ...wanted.map(({ name, version }) => `${name}=${version}`)],
    {
      cwd: directory,
      timeout: 300_000,
    },
  );
  return got.status === 0 ? undefined : got.stderr.trim();
}
