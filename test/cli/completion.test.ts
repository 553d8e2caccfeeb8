import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { flagsOf } from '../../src/cli/command.ts';
import { commands, groups } from '../../src/cli/commands/index.ts';
import { complete } from '../../src/cli/complete.ts';
import { shells } from '../../src/cli/completion-scripts.ts';
import { processIo } from '../../src/cli/io.ts';
import { splitLine } from '../../src/cli/shell-words.ts';
import { Double } from './double.ts';
import { bareEnv, cli } from './support.ts';

let double: Double;
beforeEach(async () => {
  double = await Double.start();
  for (const path of [
    'hypervisors/hv1',
    'tenants/acme',
    'tenants/globex',
    'tenants/acme/networks/shop',
    'tenants/acme/networks/store',
    'tenants/acme/networks/shop/tiers/web',
    'tenants/acme/networks/shop/tiers/db',
    'tenants/acme/networks/shop/ports/web1',
    'tenants/acme/networks/shop/groups/front',
  ]) {
    double.put(path);
  }
});
afterEach(() => double.stop());

const patient = { KEYWAY_COMPLETION_TIMEOUT: '5000' };

/** Candidates at the end of the line. */
async function at(line: string, env: Record<string, string> = {}): Promise<string[]> {
  const { words, open } = splitLine(line);
  const all = open ? words : [...words, ''];
  const io = { ...processIo(), env: { ...bareEnv, KEYWAY_URL: double.url, ...patient, ...env } };
  return (await complete(all.slice(1), io)).map(({ value }) => value);
}

test('first words and verbs', async () => {
  expect(await at('keyway ')).toEqual(groups.map(({ word }) => word));
  expect(await at('keyway fl')).toEqual(['flows']);
  expect(await at('keyway flows ')).toEqual(['dump', 'diff', 'explain']);
  expect(await at('keyway -o json por')).toEqual(['port']);
  expect(await at('keyway help por')).toEqual(['port']);
  expect(await at('keyway help port cr')).toEqual(['create']);
  expect(await at('keyway nonsense ')).toEqual([]);
});

test('every flag of every command', async () => {
  for (const command of commands) {
    const names = flagsOf(command).map(({ name }) => `--${name}`);
    expect((await at(`keyway ${command.words.join(' ')} --`)).sort()).toEqual([...names].sort());
  }
});

test('a flag given once is not offered again, a repeatable one is', async () => {
  const flags = await at('keyway port create acme/shop/x --tier web --ip 10.0.0.1 --');
  expect(flags).not.toContain('--tier');
  expect(flags).toContain('--ip');
});

test('fixed values', async () => {
  expect(await at('keyway port list -o ')).toEqual(['table', 'wide', 'json', 'yaml', 'name']);
  expect(await at('keyway port list --output=j')).toEqual(['--output=json']);
  expect(await at('keyway rule create x --action ')).toEqual(['allow', 'deny']);
  expect(await at('keyway port create x --wait=')).toEqual(['--wait=programmed', '--wait=all']);
  expect(await at('keyway offering create x --service routing,fire')).toEqual(['routing,firewall']);
  expect(await at('keyway completion ')).toEqual(shells);
});

test('live names: paths part by part', async () => {
  expect(await at('keyway tenant get ')).toEqual(['acme', 'globex']);
  expect(await at('keyway port get ')).toEqual(['acme/', 'globex/']);
  expect(await at('keyway port get acme/s')).toEqual(['acme/shop/', 'acme/store/']);
  expect(await at('keyway port get acme/shop/')).toEqual(['acme/shop/web1']);
  expect(await at('keyway port delete acme/shop/web1 acme/shop/')).toEqual(['acme/shop/web1']);
  expect(await at('keyway port list acme/s')).toEqual(['acme/shop', 'acme/store']);
  expect(await at('keyway flows dump ')).toEqual(['hv1']);
  expect(await at('keyway where acme/shop/')).toEqual(['acme/shop/web1']);
});

test('live names: with parents from flags or the environment', async () => {
  const env = { KEYWAY_TENANT: 'acme', KEYWAY_NETWORK: 'shop' };
  expect(await at('keyway port get we', env)).toEqual(['web1']);
  expect(await at('keyway port get shop/', env)).toEqual(['shop/web1']);
  expect(await at('keyway port get --tenant acme --network shop ')).toContain('web1');
  expect(await at('keyway port create --network ', env)).toEqual(['shop', 'store']);
});

test('live names: references, and the members of ends', async () => {
  expect(await at('keyway port create acme/shop/x --tier ')).toEqual(['db', 'web']);
  expect(await at('keyway port create acme/shop/x --group ')).toEqual(['front']);
  expect(await at('keyway port create acme/shop/x --hypervisor=')).toEqual(['--hypervisor=hv1']);
  expect(await at('keyway rule create acme/shop/x --from ')).toEqual([
    'tier=',
    'group=',
    'port=',
    'cidr=',
    'cidrs=',
    'any',
  ]);
  expect(await at('keyway rule create acme/shop/x --protocol icm')).toEqual(['icmp', 'icmpv6']);
  expect(await at('keyway peering create acme/x --network ')).toEqual(['shop', 'store']);
  const qos = ['fromVm.rateKbps=', 'fromVm.burstKb=', 'toVm.rateKbps=', 'toVm.burstKb=', 'dscp='];
  expect(await at('keyway port create acme/shop/x --qos ')).toEqual(qos);
  expect(await at('keyway rule create acme/shop/x --from tier=w')).toEqual(['tier=web']);
  expect(await at('keyway rule create acme/shop/x --to port=')).toEqual(['port=web1']);
});

test('live names: whose token it is', async () => {
  expect(await at('keyway token create ci --role ')).toEqual([
    'admin',
    'operator',
    'orchestrator',
    'tenant:',
    'gateway-host:',
  ]);
  expect(await at('keyway token create ci --role tenant:a')).toEqual(['tenant:acme']);
});

test('silent and quick when nobody answers', async () => {
  const asked = (url: string) => cli(['__complete', '--', 'tenant', 'get', ''], { env: { KEYWAY_URL: url } });
  const closed = double.url;
  await double.stop();
  expect(await asked(closed)).toEqual({ status: 0, stdout: '', stderr: '' });
  double = await Double.start();

  const silent = createServer();
  const sockets: import('node:net').Socket[] = [];
  silent.on('connection', (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const start = performance.now();
  expect(await asked(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`)).toEqual({
    status: 0,
    stdout: '',
    stderr: '',
  });
  expect(performance.now() - start).toBeLessThan(1000);
  for (const socket of sockets) socket.destroy();
  silent.close();

  double.refuse('GET /v1/tenants', 'auth.missing', 'No token');
  expect(await asked(double.url)).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(await asked('nonsense:')).toEqual({ status: 0, stdout: '', stderr: '' });
});

const program = fileURLToPath(new URL('../../src/keyway.mjs', import.meta.url));

function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: {
        ...bareEnv,
        ...patient,
        HOME: process.env.HOME,
        XDG_CACHE_HOME: process.env.XDG_CACHE_HOME,
        PATH: process.env.PATH,
        NODE: process.execPath,
        KEYWAY_URL: double.url,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    let errors = '';
    child.stdout.on('data', (part: Buffer) => (text += part.toString()));
    child.stderr.on('data', (part: Buffer) => (errors += part.toString()));
    child.on('error', reject);
    child.on('close', (status) => (status === 0 ? resolve(text) : reject(new Error(`exit ${status}: ${errors}`))));
  });
}

describe('bash', () => {
  /** What bash offers at the end of the line, by its own machinery of words and breaks. */
  async function offered(line: string): Promise<string[]> {
    const script = `
      keyway() { "$NODE" ${JSON.stringify(program)} "$@"; }
      compopt() { [[ $* == '-o nospace' ]] && echo '(nospace)'; return 0; }
      source <(keyway completion bash)
      COMP_LINE=$1 COMP_POINT=\${#1}
      # Bash breaks words at blanks and at each of = and :, which are words themselves.
      read -ra COMP_WORDS < <(sed 's/[=:]/ & /g' <<<"$COMP_LINE")
      [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
      COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
      _keyway
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    return (await output('bash', ['-c', script, 'bash', line])).trim().split('\n');
  }

  test.skipIf(!existsSync('/usr/bin/bash') && !existsSync('/bin/bash'))(
    'replaces what bash thinks the word is',
    async () => {
      expect(await offered('keyway fl')).toEqual(['flows']);
      expect(await offered('keyway port get acme/sh')).toEqual(['(nospace)', 'acme/shop/']);
      expect(await offered('keyway port list --output=j')).toEqual(['json']);
      expect(await offered('keyway rule create acme/shop/x --from tier=')).toEqual(['db', 'web']);
      expect(await offered('keyway rule create acme/shop/x --from tier=w')).toEqual(['web']);
      expect(await offered('keyway apply -f ')).toEqual(['']);
    },
  );
});

describe.each([
  ['zsh', ['-n']],
  ['fish', ['--no-execute']],
])('%s', (shell, flags) => {
  const there = (process.env.PATH ?? '').split(':').some((folder) => existsSync(`${folder}/${shell}`));
  test.skipIf(!there)(`${shell} reads its script`, async () => {
    const { stdout } = await cli(['completion', shell]);
    await output('sh', ['-c', `printf %s "$1" | ${shell} ${flags.join(' ')} /dev/stdin`, 'sh', stdout]);
  });
});
