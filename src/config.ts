/**
 * keyway.yaml: its schema, defaults and meaning. Unknown keys are refused with the place named; secrets are given by
 * file, never by value.
 */
import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import Type, { type Static } from 'typebox';
import { isNode, LineCounter, parseDocument } from 'yaml';
import type { FieldError } from './problems.ts';
import { validator } from './validate.ts';

const closed = { additionalProperties: false } as const;

export const ConfigSchema = Type.Object(
  {
    dataDir: Type.Optional(
      Type.String({ minLength: 1, description: 'Directory of the embedded store', default: '/var/lib/keyway' }),
    ),
    api: Type.Optional(
      Type.Object(
        {
          listen: Type.Optional(
            Type.Array(Type.String({ minLength: 1 }), {
              minItems: 1,
              maxItems: 16,
              uniqueItems: true,
              description: 'ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH (mode 0600), each',
              default: ['127.0.0.1:8080'],
            }),
          ),
          tls: Type.Optional(
            Type.Object(
              {
                certificateFile: Type.String({ minLength: 1, description: 'PEM, the whole chain' }),
                keyFile: Type.String({ minLength: 1, description: 'PEM' }),
              },
              { ...closed, description: 'HTTPS on every ADDRESS:PORT' },
            ),
          ),
          insecure: Type.Optional(
            Type.Boolean({ description: 'Allow plain HTTP beyond loopback: tokens can be read', default: false }),
          ),
        },
        closed,
      ),
    ),
    southbound: Type.Optional(
      Type.Object(
        {
          ovsdb: Type.Optional(
            Type.Array(Type.String({ pattern: '^(ptcp:\\d{1,5}(:\\S+)?|punix:/\\S+)$' }), {
              minItems: 1,
              maxItems: 16,
              uniqueItems: true,
              description: 'Where hypervisors connect: ptcp:PORT[:ADDRESS] or punix:PATH, each',
              default: ['ptcp:6640:127.0.0.1'],
            }),
          ),
          openflow: Type.Optional(
            Type.String({
              minLength: 1,
              description: 'ADDRESS:PORT the switches connect to',
              default: '127.0.0.1:6653',
            }),
          ),
          trustedNetworks: Type.Optional(
            Type.Array(Type.String(), {
              maxItems: 64,
              uniqueItems: true,
              description: 'Prefixes from which plain tcp is accepted, beside loopback',
              default: [],
            }),
          ),
          insecure: Type.Optional(
            Type.Boolean({
              description: 'Accept plain tcp from anywhere: whoever can connect can pose',
              default: false,
            }),
          ),
          driftPolicy: Type.Optional(
            Type.Union([Type.Literal('mend'), Type.Literal('report')], {
              description: 'What happens to flows that differ from what is meant',
              default: 'mend',
            }),
          ),
          encapsulation: Type.Optional(
            Type.Union([Type.Literal('gre'), Type.Literal('vxlan'), Type.Literal('geneve')], {
              description: 'Tunnels between hypervisors',
              default: 'gre',
            }),
          ),
          underlayMtu: Type.Optional(
            Type.Integer({
              minimum: 618,
              maximum: 65_535,
              description:
                'Bytes of the IP packets that pass between hypervisors: networks get what the encapsulation leaves of them. On an IPv6 underlay 20 less than it has',
              default: 1500,
            }),
          ),
          checkMtu: Type.Optional(
            Type.Boolean({
              description:
                'Whether routers tell senders of packets larger than the MTU of the network. Linux before 5.2 would handle every routed packet in user space for it: false there',
              default: true,
            }),
          ),
        },
        closed,
      ),
    ),
    store: Type.Optional(
      Type.Object(
        {
          changes: Type.Optional(
            Type.Integer({
              minimum: 1_000,
              maximum: 100_000_000,
              description: 'Changes the log keeps at least',
              default: 100_000,
            }),
          ),
        },
        closed,
      ),
    ),
    log: Type.Optional(
      Type.Object(
        {
          level: Type.Optional(
            Type.Union(
              (['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const).map((l) => Type.Literal(l)),
              { default: 'info' },
            ),
          ),
        },
        closed,
      ),
    ),
  },
  closed,
);

/** keyway.yaml as written: everything may be left out. */
export type ConfigFile = Static<typeof ConfigSchema>;

export type ListenAddress = { kind: 'tcp'; host: string; port: number } | { kind: 'unix'; path: string };

/** keyway.yaml with defaults filled in and addresses taken apart. */
export type Config = {
  dataDir: string;
  api: {
    listen: ListenAddress[];
    tls: { certificateFile: string; keyFile: string } | undefined;
    insecure: boolean;
  };
  southbound: {
    ovsdb: string[];
    openflow: { host: string; port: number };
    trustedNetworks: string[];
    insecure: boolean;
    driftPolicy: 'mend' | 'report';
    encapsulation: 'gre' | 'vxlan' | 'geneve';
    /** Bytes. */
    underlayMtu: number;
    checkMtu: boolean;
  };
  store: { changes: number };
  log: { level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent' };
};

/** A configuration that cannot be used; the message names the file, line and key of every fault. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly errors: FieldError[];

  constructor(message: string, errors: FieldError[] = []) {
    super(message);
    this.errors = errors;
  }
}

/**
 * Reads keyway.yaml (all defaults when no path is given), puts `overrides` above it, and checks the whole.
 * @throws ConfigError
 */
export function loadConfig(path: string | undefined, overrides: ConfigFile = {}): Config {
  const { value, place } = path === undefined ? { value: {}, place: () => 'defaults' } : readYaml(path);
  const errors = check(value);
  if (errors.length > 0) throw configError(errors, place);
  const merged = merge(value as ConfigFile, overrides);
  const overridden = check(merged);
  if (overridden.length > 0) throw configError(overridden, () => 'command line');
  const { config, faults } = interpret(merged);
  if (faults.length > 0) throw configError(faults, place);
  return config;
}

const check = validator(ConfigSchema);

function configError(errors: FieldError[], place: (field: string) => string): ConfigError {
  const lines = errors.map((e) => `${place(e.field)}: ${e.field.slice(1).replaceAll('/', '.') || 'top'}: ${e.message}`);
  return new ConfigError(`The configuration cannot be used:\n  ${lines.join('\n  ')}`, errors);
}

type Read = { value: unknown /** `FILE:LINE` of a JSON pointer. */; place: (field: string) => string };

function readYaml(path: string): Read {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`Cannot read ${path}: ${(error as Error).message}`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: true });
  const fault = document.errors[0];
  if (fault) throw new ConfigError(`${path} is not valid YAML: ${fault.message}`);
  const value: unknown = document.toJS() ?? {};
  return {
    value,
    place(field) {
      const steps = field.split('/').slice(1);
      for (let length = steps.length; length > 0; length--) {
        const node = document.getIn(steps.slice(0, length), true);
        if (isNode(node) && node.range) return `${path}:${lines.linePos(node.range[0]).line}`;
      }
      return path;
    },
  };
}

function merge(file: ConfigFile, overrides: ConfigFile): ConfigFile {
  return {
    ...file,
    ...overrides,
    api: { ...file.api, ...overrides.api },
    southbound: { ...file.southbound, ...overrides.southbound },
    store: { ...file.store, ...overrides.store },
    log: { ...file.log, ...overrides.log },
  };
}

function interpret(file: ConfigFile): { config: Config; faults: FieldError[] } {
  const faults: FieldError[] = [];
  const fault = (field: string, message: string) => faults.push({ field, code: 'value', message });
  const { api = {}, southbound = {}, store = {}, log = {} } = file;

  const listen = (api.listen ?? ['127.0.0.1:8080']).flatMap((text, i) => {
    const address = parseListen(text);
    if (!address) fault(`/api/listen/${i}`, `${text} is neither ADDRESS:PORT nor unix:/PATH`);
    else if (address.kind === 'tcp' && !isLoopback(address.host) && !api.tls && !api.insecure)
      fault(
        `/api/listen/${i}`,
        `${text} is reachable from outside, where plain HTTP shows tokens to others: set api.tls, listen on loopback, or set api.insecure: true`,
      );
    return address ? [address] : [];
  });

  const openflowText = southbound.openflow ?? '127.0.0.1:6653';
  const openflow = parseListen(openflowText);
  if (openflow?.kind !== 'tcp') fault('/southbound/openflow', `${openflowText} is not ADDRESS:PORT`);

  const trustedNetworks = southbound.trustedNetworks ?? [];
  for (const [i, prefix] of trustedNetworks.entries())
    if (!isPrefix(prefix)) fault(`/southbound/trustedNetworks/${i}`, `${prefix} is not a prefix such as 10.0.0.0/8`);

  return {
    config: {
      dataDir: file.dataDir ?? '/var/lib/keyway',
      api: { listen, tls: api.tls, insecure: api.insecure ?? false },
      southbound: {
        ovsdb: southbound.ovsdb ?? ['ptcp:6640:127.0.0.1'],
        openflow: openflow?.kind === 'tcp' ? openflow : { host: '127.0.0.1', port: 6653 },
        trustedNetworks,
        insecure: southbound.insecure ?? false,
        driftPolicy: southbound.driftPolicy ?? 'mend',
        encapsulation: southbound.encapsulation ?? 'gre',
        underlayMtu: southbound.underlayMtu ?? 1500,
        checkMtu: southbound.checkMtu ?? true,
      },
      store: { changes: store.changes ?? 100_000 },
      log: { level: log.level ?? 'info' },
    },
    faults,
  };
}

/** `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` or `unix:/path`; undefined when it is none of them. */
export function parseListen(text: string): ListenAddress | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    return path.startsWith('/') ? { kind: 'unix', path } : undefined;
  }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const [, bracketed, plain, digits] = match ?? [];
  const port = Number(digits);
  const host = bracketed ?? plain;
  if (host === undefined || port > 65_535) return undefined;
  if (bracketed !== undefined ? isIP(bracketed) !== 6 : isIP(host) !== 4 && !/^[A-Za-z0-9][-A-Za-z0-9.]*$/.test(host))
    return undefined;
  return { kind: 'tcp', host, port };
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether the address, or the name localhost, means this machine only. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  const family = isIP(host);
  return family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
}

function isPrefix(text: string): boolean {
  const [address = '', length = '', ...rest] = text.split('/');
  const family = isIP(address);
  return family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(length) && Number(length) <= (family === 6 ? 128 : 32);
}
