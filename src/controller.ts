/** Composes a running controller: store, intent, engine, Open vSwitch plugin, tokens, API. */
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { type LogLevel, OpenVswitchPlugin } from '../plugins/openvswitch/plugin.ts';
import { createApp } from './api/app.ts';
import { listen } from './api/listen.ts';
import { Audit } from './auth/audit.ts';
import { ensureFirstToken } from './auth/first-token.ts';
import { Tokens } from './auth/tokens.ts';
import type { Config, ListenAddress } from './config.ts';
import { type Core, startCore } from './core.ts';
import { tableName } from './pipeline/tables.ts';
import { southboundMetrics } from './southbound-metrics.ts';
import { openLevelStore } from './store/level.ts';
import { careForTokens } from './token-care.ts';
import { openUsageStorage } from './usage/level-storage.ts';
import type { UsageStorage } from './usage/storage.ts';

export type RunningController = {
  core: Core;
  apiUrls: string[];
  /** File of mode 0600 with the first admin token. */
  adminTokenFile: string;
  /** The token was made in this start. */
  madeToken: boolean;
  /** Where hypervisors connect, as ovs-vsctl set-manager takes it. */
  managers: string[];
  /** Idempotent. */
  stop(): Promise<void>;
};

/** What is set beside the configuration file: by the sandbox, benchmarks and tests. */
export type ControllerExtras = {
  /** Write options:local_ip on tunnels; the dummy datapath can't take it. */
  tunnelLocalIp?: boolean;
  log?: Logger;
  /** The switch side has died: nothing is programmed any more. Ends the process unless told. */
  onFatal?(error: Error): void;
};

export async function runController(config: Config, extras: ControllerExtras = {}): Promise<RunningController> {
  const log = extras.log ?? pino({ level: config.log.level });
  const { southbound } = config;
  const store = await openLevelStore(join(config.dataDir, 'store'), {
    changes: config.store.changes,
    report: (message) => log.error({ room: 'store' }, message),
  });
  let core: Core | undefined;
  let usage: UsageStorage | undefined;
  try {
    usage = await openUsageStorage(join(config.dataDir, 'usage'));
    const plugin = new OpenVswitchPlugin({
      listenOvsdb: southbound.ovsdb,
      listenOpenflow: southbound.openflow,
      trustedNetworks: southbound.trustedNetworks,
      insecure: southbound.insecure,
      driftPolicy: southbound.driftPolicy,
      tunnelLocalIp: extras.tunnelLocalIp ?? true,
      tableName,
      log: log.child({ room: 'southbound' }),
      logLevel: southboundLevel(config.log.level),
      onFatal:
        extras.onFatal ??
        ((error) => {
          log.fatal({ err: error }, 'the southbound thread has died; ending, to be started anew');
          process.exit(70);
        }),
    });
    core = await startCore({
      store,
      plugin,
      log,
      usage,
      underlayMtu: config.southbound.underlayMtu,
      checkMtu: config.southbound.checkMtu,
      pluginMetrics: (nameOf) => southboundMetrics(plugin, nameOf),
    });
    const tokens = await Tokens.load(store);
    const audit = await Audit.load(store, {
      onError: (err) => log.warn({ err }, 'old audit records could not be removed'),
    });
    const endCare = await careForTokens(tokens, core.intent, log);
    const { path, made } = await ensureFirstToken(tokens, config.dataDir);
    const app = await createApp({
      intent: core.intent,
      store,
      tokens,
      audit,
      status: core.status,
      fabric: core.fabric,
      upkeep: core.upkeep,
      trace: core.trace,
      usage: core.usage,
      gatewayServices: core.gatewayServices,
      config,
      log,
    });
    const listening = await listen(app, config.api.listen, config.api.tls);
    log.info(
      { api: listening.urls, managers: core.managers, adminTokenFile: path, revision: core.intent.revision },
      'keyway is up',
    );
    const running = core;
    let stopping: Promise<void> | undefined;
    return {
      core,
      apiUrls: listening.urls,
      adminTokenFile: path,
      madeToken: made,
      managers: core.managers,
      stop() {
        stopping ??= (async () => {
          endCare();
          await listening.close();
          await running.stop();
          await store.close();
        })();
        return stopping;
      },
    };
  } catch (error) {
    await core?.stop();
    // A core that has begun closes it.
    if (core === undefined) await usage?.close();
    await store.close();
    throw error;
  }
}

/** The least the southbound thread logs: it knows four levels. */
function southboundLevel(level: Config['log']['level']): LogLevel {
  if (level === 'trace') return 'debug';
  return level === 'fatal' ? 'error' : level;
}

export type ControllerOptions = ControllerExtras & {
  dataDir: string;
  apiListen: { host?: string; port?: number; path?: string }[];
  ovsdbListen: string[];
  openflowListen: { host: string; port: number };
  trustedNetworks: string[];
  insecure?: boolean;
  driftPolicy?: 'mend' | 'report';
  /** Changes the log keeps at least. */
  changes?: number;
  logLevel?: Config['log']['level'];
};

/** A controller without a configuration file. */
export function startController(options: ControllerOptions): Promise<RunningController> {
  const listenAt = options.apiListen.map(
    ({ host = '127.0.0.1', port = 0, path }): ListenAddress =>
      path === undefined ? { kind: 'tcp', host, port } : { kind: 'unix', path },
  );
  const config: Config = {
    dataDir: options.dataDir,
    api: { listen: listenAt, tls: undefined, insecure: false },
    southbound: {
      ovsdb: options.ovsdbListen,
      openflow: options.openflowListen,
      trustedNetworks: options.trustedNetworks,
      insecure: options.insecure ?? false,
      driftPolicy: options.driftPolicy ?? 'mend',
      encapsulation: 'gre',
      underlayMtu: 1500,
      checkMtu: true,
    },
    store: { changes: options.changes ?? 100_000 },
    log: { level: options.logLevel ?? 'info' },
  };
  return runController(config, options);
}
