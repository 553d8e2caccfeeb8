import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { type Daemon, startDaemon, until } from '../ephemeral.ts';
import { run } from '../run.ts';
import type { OpenVswitch } from './find.ts';

/** A private ovsdb-server and ovs-vswitchd in a directory of their own. */
export type SwitchInstance = AsyncDisposable & {
  /** Holds conf.db, sockets and logs. */
  directory: string;
  /** Of the OVSDB server, as ovs-vsctl --db takes it. */
  database: string;
  vsctl(...args: string[]): Promise<string>;
  /** ovs-ofctl -O OpenFlow15 over a bridge's management socket: `ofctl('br-int', 'dump-flows', 'table=0')`. */
  ofctl(bridge: string, command: string, ...args: string[]): Promise<string>;
  appctl(...args: string[]): Promise<string>;
  running(daemon: DaemonName): boolean;
  kill(daemon: DaemonName, signal?: NodeJS.Signals): Promise<void>;
  /** Starts a daemon that was killed; ovs-vswitchd has its bridges (and no flows) when this resolves. */
  start(daemon: DaemonName): Promise<void>;
};

export type DaemonName = 'ovsdb-server' | 'ovs-vswitchd';

export type InstanceOptions = {
  openVswitch: OpenVswitch;
  /** Must exist and be empty. */
  directory: string;
  /** Options of ovs-vswitchd beside those for its sockets, e.g. --enable-dummy. */
  vswitchdArgs?: readonly string[];
  /** Put before every daemon and tool: ['ip', 'netns', 'exec', NAME] or ['nsenter', …]. It has to exec. */
  prefix?: readonly string[];
  /** ovs-vsctl commands for the new database, carried out before ovs-vswitchd starts. */
  configure?: readonly string[];
};

export async function startSwitch(options: InstanceOptions): Promise<SwitchInstance> {
  const { openVswitch, directory, vswitchdArgs = [], prefix = [], configure = [] } = options;
  const { programs } = openVswitch;
  const path = (name: string): string => join(directory, name);
  const env = { ...openVswitch.env, OVS_RUNDIR: directory, OVS_LOGDIR: directory, OVS_DBDIR: directory };
  const database = `unix:${path('db.sock')}`;
  const daemons = new Map<DaemonName, Daemon>();

  const tool = (name: string, args: readonly string[]): Promise<string> => {
    const [program, ...rest] = [...prefix, programs[name] ?? name, ...args];
    return run(program ?? name, rest, { env });
  };
  const launch = async (name: DaemonName, args: readonly string[], ready: string): Promise<void> => {
    const [program, ...rest] = [
      ...prefix,
      programs[name] ?? name,
      ...args,
      `--log-file=${path(`${name}.log`)}`,
      '-vconsole:off',
    ];
    const daemon = startDaemon(program ?? name, rest, { env, cwd: directory });
    daemons.set(name, daemon);
    await until(`${name} to start`, () => {
      const { exitCode, signalCode } = daemon.process;
      if (exitCode !== null || signalCode !== null)
        throw new Error(`${name} ended at once: ${lastLines(path(`${name}.log`))}`);
      return accepts(ready);
    });
  };
  const vsctl: SwitchInstance['vsctl'] = (...args) => tool('ovs-vsctl', [`--db=${database}`, '--timeout=20', ...args]);
  const appctl: SwitchInstance['appctl'] = (...args) => tool('ovs-appctl', ['-t', path('ovs-vswitchd.ctl'), ...args]);
  const start = async (name: DaemonName): Promise<void> => {
    if (name === 'ovsdb-server') {
      const remotes = [`--remote=p${database}`, '--remote=db:Open_vSwitch,Open_vSwitch,manager_options'];
      const files = [`--unixctl=${path('ovsdb-server.ctl')}`, `--pidfile=${path('ovsdb-server.pid')}`];
      await launch(name, [path('conf.db'), ...remotes, ...files], path('db.sock'));
    } else {
      const files = [`--unixctl=${path('ovs-vswitchd.ctl')}`, `--pidfile=${path('ovs-vswitchd.pid')}`];
      await launch(name, [database, ...files, ...vswitchdArgs], path('ovs-vswitchd.ctl'));
      const bridges = (await vsctl('list-br')).split('\n').filter((bridge) => bridge !== '');
      await until('ovs-vswitchd to have its bridges', async () => {
        // Its control socket is there before all of its commands are.
        const list = await appctl('ofproto/list').catch((error: Error) => {
          if (error.message.includes('is not a valid command')) return '';
          throw error;
        });
        const running = list.split('\n');
        return bridges.every((bridge) => running.includes(bridge));
      });
    }
  };
  const kill = async (name: DaemonName, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    await daemons.get(name)?.stop(signal);
    daemons.delete(name);
    // A killed daemon leaves its sockets; the next start must not take them for a sign of life.
    for (const left of name === 'ovsdb-server' ? ['db.sock', 'ovsdb-server.ctl'] : ['ovs-vswitchd.ctl']) {
      rmSync(path(left), { force: true });
    }
  };

  await run(programs['ovsdb-tool'] ?? 'ovsdb-tool', ['create', path('conf.db'), openVswitch.schema], { env });
  await start('ovsdb-server');
  await tool('ovs-vsctl', [
    `--db=${database}`,
    '--no-wait',
    '--',
    'init',
    ...(configure.length > 0 ? ['--', ...configure] : []),
  ]);
  await start('ovs-vswitchd');

  return {
    directory,
    database,
    vsctl,
    ofctl: (bridge, command, ...args) =>
      tool('ovs-ofctl', ['-O', 'OpenFlow15', command, `unix:${path(`${bridge}.mgmt`)}`, ...args]),
    appctl,
    running: (name) => daemons.has(name),
    kill,
    start,
    async [Symbol.asyncDispose]() {
      await Promise.all([...daemons.keys()].map((name) => kill(name)));
    },
  };
}

function lastLines(log: string): string {
  return existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').slice(-3).join(' / ') : 'it wrote no log';
}

/** Whether somebody listens on the unix socket: it is there a moment before that. */
function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
