/** OVN's central part: both databases and ovn-northd. Intent is written over OVSDB, as Neutron's driver does. */
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type OperationResult, OvsdbConnection } from '../../plugins/openvswitch/ovsdb/client.ts';
import { mutate, type Operation } from '../../plugins/openvswitch/ovsdb/operations.ts';
import { type Daemon, ephemeralDirectory, startDaemon, until } from '../../src/sandbox/ephemeral.ts';
import { run } from '../../src/sandbox/run.ts';
import type { OpenVswitch } from '../../test/support/open-vswitch.ts';
import type { Ovn } from './find.ts';

const database = 'OVN_Northbound';

export type Central = AsyncDisposable & {
  /** Where ovn-controllers connect. */
  southbound: string;
  pids: { northd: number; northbound: number; southbound: number };
  /** One durable transaction. Resolves with the result of each operation. */
  transact(operations: Operation[]): Promise<OperationResult[]>;
  /** What `ovn-nbctl --wait=hv sync` does, without the cost of its process: every hypervisor has confirmed all of it. */
  sync(): Promise<void>;
};

/** Resolves when something listens on the unix socket. */
export async function connectUnix(path: string): Promise<OvsdbConnection> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve());
    socket.once('error', reject);
  });
  return new OvsdbConnection(socket, { maxBytes: 256 << 20 });
}

export async function startCentral(ovn: Ovn, openVswitch: OpenVswitch): Promise<Central> {
  const files = ephemeralDirectory('kw-ovn-');
  const path = (name: string): string => join(files.path, name);
  const env = {
    ...ovn.env,
    OVN_RUNDIR: files.path,
    OVN_LOGDIR: files.path,
    OVN_DBDIR: files.path,
    OVS_RUNDIR: files.path,
  };
  const daemons: Daemon[] = [];
  const start = (program: string, args: string[], log: string): number => {
    const daemon = startDaemon(program, [...args, '-vconsole:off', `--log-file=${path(log)}`], {
      env,
      cwd: files.path,
    });
    daemons.push(daemon);
    return daemon.process.pid!;
  };
  const { programs } = openVswitch;
  const serve = async (name: 'nb' | 'sb', schema: string): Promise<number> => {
    const tool = { env: openVswitch.env };
    await run(programs['ovsdb-tool']!, ['create', path(`${name}.db`), schema], tool);
    const files = [path(`${name}.db`), `--remote=punix:${path(`${name}.sock`)}`, `--unixctl=${path(`${name}.ctl`)}`];
    return start(programs['ovsdb-server']!, files, `${name}.log`);
  };
  try {
    const northboundPid = await serve('nb', ovn.schemas.northbound);
    const southboundPid = await serve('sb', ovn.schemas.southbound);
    const remotes = { nb: `unix:${path('nb.sock')}`, sb: `unix:${path('sb.sock')}` };
    for (const name of ['nb.sock', 'sb.sock']) await until(`${name} to be there`, () => existsSync(path(name)));
    // Both make the one row of their global table.
    await run(ovn.programs['ovn-nbctl'], [`--db=${remotes.nb}`, '--timeout=20', 'init'], { env });
    await run(ovn.programs['ovn-sbctl'], [`--db=${remotes.sb}`, '--timeout=20', 'init'], { env });
    const northd = start(
      ovn.programs['ovn-northd'],
      [`--ovnnb-db=${remotes.nb}`, `--ovnsb-db=${remotes.sb}`, `--unixctl=${path('northd.ctl')}`],
      'northd.log',
    );
    const connection = await connectUnix(path('nb.sock'));
    let wanted = 0;
    let confirmed = 0;
    const waiting = new Set<() => void>();
    await connection.monitor(database, { NB_Global: ['nb_cfg', 'hv_cfg'] }, (tables) => {
      for (const change of Object.values(
        (tables.NB_Global ?? {}) as Record<string, Record<string, Record<string, number>>>,
      )) {
        const row = change.initial ?? change.insert ?? change.modify ?? {};
        wanted = Math.max(wanted, row.nb_cfg ?? 0);
        confirmed = Math.max(confirmed, row.hv_cfg ?? 0);
      }
      for (const look of waiting) look();
    });
    const transact = (operations: Operation[]): Promise<OperationResult[]> => connection.transact(database, operations);
    return {
      southbound: remotes.sb,
      pids: { northd, northbound: northboundPid, southbound: southboundPid },
      transact,
      async sync() {
        const before = wanted;
        await transact([mutate('NB_Global', [], [['nb_cfg', '+=', 1]])]);
        const target = Math.max(wanted, before + 1);
        await new Promise<void>((resolve, reject) => {
          const late = setTimeout(() => {
            waiting.delete(look);
            const log = readFileSync(path('northd.log'), 'utf8').split('\n').slice(-5).join('\n');
            reject(new Error(`hypervisors confirmed ${confirmed} of ${target} within 300 s\n${log}`));
          }, 300_000);
          const look = (): void => {
            if (confirmed < target) return;
            waiting.delete(look);
            clearTimeout(late);
            resolve();
          };
          waiting.add(look);
          look();
        });
      },
      async [Symbol.asyncDispose]() {
        connection.close('the benchmark ends');
        await Promise.all(daemons.map((daemon) => daemon.stop()));
        await files[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    await files[Symbol.asyncDispose]();
    throw error;
  }
}
