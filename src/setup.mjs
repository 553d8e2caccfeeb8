// What a fresh machine needs before `npm start` and `npm test`: the packages, Node 24, Open vSwitch. Plain JavaScript for
// Node 18 and later, standard library only. Does nothing when everything is there.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { lock } from './lock.mjs';
import { findNode24, packagedNode, root, wantedMajor } from './node24.mjs';

const modules = join(root, 'node_modules');
const stampPath = join(modules, '.keyway-setup');
const say = (text) => console.log(`setup: ${text}`);

function stop(...lines) {
  for (const line of lines) console.error(`setup: ${line}`);
  process.exitCode = 1;
}

/** What the installed packages depend on: another lock file, platform or .npmrc means another installation. */
function wantedStamp() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`);
  for (const name of ['package-lock.json', '.npmrc']) hash.update(readFileSync(join(root, name)));
  return hash.digest('hex');
}

function installed() {
  return existsSync(stampPath) && readFileSync(stampPath, 'utf8') === wantedStamp();
}

/** npm's own Node: its global configuration (cafile, proxy, registry) is found beside the Node that runs it. */
function machinePath() {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((part) => !/(^|\/)node_modules\/\.bin\/?$/.test(part))
    .join(delimiter);
}

function installPackages() {
  const started = Date.now();
  say('installing the packages of package-lock.json (npm ci) …');
  const args = [
    'ci',
    '--ignore-scripts',
    '--include=dev',
    '--include=optional',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ];
  // Under `npm start` this output belongs to the user's terminal; npm says itself what it could not fetch.
  const result = spawnSync('npm', args, { cwd: root, stdio: 'inherit', env: { ...process.env, PATH: machinePath() } });
  if (result.error) return `npm could not be started: ${result.error.message}`;
  if (result.status !== 0)
    return `npm ci ended with ${result.signal ?? `status ${result.status}`}; what it said is above`;
  say(`packages installed in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return undefined;
}

function link(name, target) {
  const path = join(modules, '.bin', name);
  mkdirSync(join(modules, '.bin'), { recursive: true });
  try {
    if (readlinkSync(path) === target) return;
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EINVAL') throw error;
  }
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

async function preparePackages() {
  if (installed()) return true;
  mkdirSync(join(root, '.cache'), { recursive: true });
  const unlock = await lock(join(root, '.cache', 'setup.lock'), (holder) =>
    say(`waiting for the set-up that process ${holder} runs`),
  );
  try {
    if (installed()) return true;
    const failure = installPackages();
    if (failure !== undefined) {
      stop(failure, 'Keyway can neither start nor be tested without its packages.');
      stop(
        'Look at the network, or at the registry and proxy npm is set to (npm config list), and run the command again.',
      );
      return false;
    }
    // npm links neither: the platform's Node comes without an install script, and a package's own bin is not linked in it.
    if (packagedNode()) link('node', `../node-${process.platform}-${process.arch}/bin/node`);
    link('keyway', '../../src/keyway.mjs');
    chmodSync(join(root, 'src', 'keyway.mjs'), 0o755);
    writeFileSync(stampPath, wantedStamp());
    return true;
  } finally {
    unlock();
  }
}

function prepareNode() {
  const node = findNode24();
  if (node === undefined) {
    stop(
      `Keyway runs on Node ${wantedMajor}; this is ${process.version}, and npm has none for ${process.platform} ${process.arch}.`,
    );
    stop(`Install Node ${wantedMajor} or later and run the command again.`);
    return undefined;
  }
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (version.status !== 0) {
    stop(`${node} does not run here: ${(version.error?.message ?? version.stderr).trim()}`);
    stop(
      `Install Node ${wantedMajor} or later yourself (the packaged one needs glibc 2.28) and run the command again.`,
    );
    return undefined;
  }
  return node;
}

function prepareOpenVswitch(node) {
  if (process.platform !== 'linux') {
    say('no Linux, so no sandbox: the tests that need Open vSwitch will be skipped.');
    return;
  }
  const result = spawnSync(node, [join(root, 'src/sandbox/open-vswitch/prepare.ts')], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0)
    say('Open vSwitch was not prepared: see above. The tests that need it will be skipped and will say so.');
}

if (await preparePackages()) {
  const node = prepareNode();
  if (node !== undefined) prepareOpenVswitch(node);
}
