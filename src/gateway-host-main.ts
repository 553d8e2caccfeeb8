/** `keyway gateway-host`: the services of a gateway host in the foreground, until a signal ends it. */
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { type LevelWithSilent, pino } from 'pino';
import { connect } from '../plugins/openvswitch/local-client.ts';
import { watchLocalDatabase } from '../plugins/openvswitch/local-database.ts';
import type { Upstream } from './gateway-host/dns/forwarder.ts';
import { type GatewayHostOptions, runGatewayHost } from './gateway-host/program.ts';

class UsageError extends Error {}

/** @returns exit status: 0 ended by a signal, 1 could not start, 2 wrong usage */
export async function gatewayHost(words: readonly string[]): Promise<number> {
  try {
    const host = await runGatewayHost(readOptions(words));
    const signal = await new Promise<string>((resolve) => {
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => resolve(name));
    });
    console.error(`keyway: ${signal}, ending`);
    await host.stop();
    return 0;
  } catch (error) {
    console.error(`keyway gateway-host: ${(error as Error).message}`);
    if (!(error instanceof UsageError)) return 1;
    console.error('Try: keyway gateway-host --help');
    return 2;
  }
}

/** @throws UsageError */
export function readOptions(words: readonly string[]): GatewayHostOptions {
  const values = parse(words);
  const { controller = [], 'token-file': tokenFile } = values;
  if (controller.length === 0) throw new UsageError('--controller: of the REST API, https://HOST:PORT');
  if (tokenFile === undefined) throw new UsageError('--token-file: a token of role gateway-host:HYPERVISOR');
  for (const url of controller) judgeController(url, values.insecure === true);
  const level = values['log-level'] ?? 'info';
  if (!['debug', 'info', 'warn', 'error'].includes(level))
    throw new UsageError('--log-level: debug, info, warn or error');
  const lease = Number(values.lease ?? 86_400);
  if (!Number.isInteger(lease) || lease < 120 || lease > 2_592_000)
    throw new UsageError('--lease: 120 to 2592000 seconds');
  const log = pino({ level: level as LevelWithSilent });
  return {
    switch: {
      watchDatabase: (path, onChange) => watchLocalDatabase(path, onChange, log.child({ room: 'database' })),
      connectPackets: (path, options) => connect(path, { ...options, log: log.child({ room: 'switch' }) }),
    },
    controllers: controller,
    tokenFile,
    caFile: values['ca-file'],
    hypervisor: values.hypervisor,
    dataDir: values['data-dir'] ?? '/var/lib/keyway-gateway-host',
    database: values.database ?? '/run/openvswitch/db.sock',
    resolvers: (values.resolver ?? []).map(parseResolver),
    leaseDuration: lease,
    log,
  };
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        controller: { type: 'string', multiple: true },
        'token-file': { type: 'string' },
        'ca-file': { type: 'string' },
        hypervisor: { type: 'string' },
        'data-dir': { type: 'string' },
        database: { type: 'string' },
        resolver: { type: 'string', multiple: true },
        lease: { type: 'string' },
        insecure: { type: 'boolean' },
        'log-level': { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** The token is worth what the tenants' metadata is: it goes to another machine encrypted. */
function judgeController(text: string, insecure: boolean): void {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw new UsageError(`--controller ${text}: https://HOST:PORT`);
  const local = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url.protocol === 'http:' && !local && !insecure)
    throw new UsageError(`--controller ${text}: https, or --insecure where nobody else can listen`);
}

/** `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353`. */
function parseResolver(text: string): Upstream {
  if (isIP(text) !== 0) return { address: text, port: 53 };
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? '';
  const number = Number(port ?? 53);
  if (isIP(address) === 0 || number < 1 || number > 65_535) throw new UsageError(`--resolver ${text}: ADDRESS[:PORT]`);
  return { address, port: number };
}
