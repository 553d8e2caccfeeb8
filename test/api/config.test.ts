import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError, isLoopback, loadConfig, parseListen } from '../../src/config.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyway-config-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function yaml(text: string): string {
  const path = join(directory, 'keyway.yaml');
  writeFileSync(path, text);
  return path;
}

function refusal(text: string): string {
  try {
    loadConfig(yaml(text));
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error('the configuration was accepted');
}

describe('keyway.yaml', () => {
  test('without a file everything is on loopback', () => {
    const config = loadConfig(undefined);
    expect(config.api.listen).toEqual([{ kind: 'tcp', host: '127.0.0.1', port: 8080 }]);
    expect(config.southbound.openflow).toEqual({ kind: 'tcp', host: '127.0.0.1', port: 6653 });
    expect(config.southbound.ovsdb).toEqual(['ptcp:6640:127.0.0.1']);
    expect(config.southbound).toMatchObject({ insecure: false, driftPolicy: 'mend', encapsulation: 'gre' });
    expect(config.store.changes).toBe(100_000);
  });

  test('an empty file is the defaults', () => {
    expect(loadConfig(yaml('# nothing yet\n'))).toEqual(loadConfig(undefined));
  });

  test('what is written is read', () => {
    const config = loadConfig(
      yaml(`
dataDir: /srv/keyway
api: { listen: ['127.0.0.1:0', 'unix:/run/keyway.sock', '[::1]:8080'] }
southbound: { ovsdb: ['punix:/run/ovsdb.sock'], driftPolicy: report, trustedNetworks: [10.0.0.0/8] }
store: { changes: 5000 }
log: { level: debug }
`),
    );
    expect(config.dataDir).toBe('/srv/keyway');
    expect(config.api.listen).toEqual([
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
      { kind: 'unix', path: '/run/keyway.sock' },
      { kind: 'tcp', host: '::1', port: 8080 },
    ]);
    expect(config.southbound).toMatchObject({ driftPolicy: 'report', trustedNetworks: ['10.0.0.0/8'] });
    expect(config.store.changes).toBe(5000);
    expect(config.log.level).toBe('debug');
  });

  test('overrides stand above the file and are checked too', () => {
    const path = yaml('dataDir: /srv/keyway\napi: { listen: ["127.0.0.1:9000"], insecure: true }\n');
    const config = loadConfig(path, { dataDir: '/srv/other', api: { listen: ['0.0.0.0:80'] } });
    expect(config.dataDir).toBe('/srv/other');
    expect(config.api.listen).toEqual([{ kind: 'tcp', host: '0.0.0.0', port: 80 }]);
    expect(() => loadConfig(path, { dataDir: '' })).toThrow(/command line: dataDir/);
  });

  test('an unknown key is refused with its line', () => {
    const message = refusal('dataDir: /srv/keyway\napi:\n  listen: ["127.0.0.1:1"]\n  lissen: []\n');
    expect(message).toMatch(/keyway\.yaml:4: api\.lissen: There is no such field/);
  });

  test('every fault is told at once', () => {
    const message = refusal('dataDir: 7\nlog:\n  level: loud\nstore:\n  changes: 3\n');
    expect(message).toMatch(/:1: dataDir: Must be string/);
    expect(message).toMatch(/:3: log\.level: Must be one of: fatal, error/);
    expect(message).toMatch(/:5: store\.changes: Must be >= 1000/);
  });

  test('broken YAML and a missing file are told', () => {
    expect(refusal('api: [')).toMatch(/not valid YAML/);
    expect(() => loadConfig(join(directory, 'nowhere.yaml'))).toThrow(/Cannot read .*nowhere\.yaml/);
  });

  test('plain HTTP beyond loopback is refused unless TLS or insecure is set', () => {
    for (const address of ['0.0.0.0:8080', '[::]:8080', '192.0.2.1:80', 'controller.example:80'])
      expect(refusal(`api: { listen: ["${address}"] }`)).toMatch(/:1: api\.listen\.0: .*reachable from outside/);
    expect(loadConfig(yaml('api: { listen: ["0.0.0.0:8080"], insecure: true }')).api.insecure).toBe(true);
    const tls = '{ certificateFile: /etc/keyway/cert.pem, keyFile: /etc/keyway/key.pem }';
    expect(loadConfig(yaml(`api: { listen: ["0.0.0.0:8080"], tls: ${tls} }`)).api.tls?.keyFile).toMatch(/key\.pem/);
  });

  test('addresses that mean nothing are refused', () => {
    expect(refusal('api: { listen: ["8080"] }')).toMatch(/neither ADDRESS:PORT nor unix/);
    expect(refusal('southbound: { openflow: "unix:/x" }')).toMatch(/is not ADDRESS:PORT/);
    expect(refusal('southbound: { trustedNetworks: [10.0.0.0/33] }')).toMatch(/is not a prefix/);
    expect(refusal('southbound: { ovsdb: ["tcp:1.2.3.4:6640"] }')).toMatch(/southbound\.ovsdb\.0/);
  });
});

test.each([
  ['127.0.0.1:0', { kind: 'tcp', host: '127.0.0.1', port: 0 }],
  ['localhost:1', { kind: 'tcp', host: 'localhost', port: 1 }],
  ['[fe80::1]:65535', { kind: 'tcp', host: 'fe80::1', port: 65535 }],
  ['unix:/a b', { kind: 'unix', path: '/a b' }],
  ['unix:a', undefined],
  ['127.0.0.1:65536', undefined],
  ['[127.0.0.1]:1', undefined],
  ['::1:80', undefined],
  [':80', undefined],
  ['', undefined],
])('parseListen %s', (text, expected) => {
  expect(parseListen(text)).toEqual(expected);
});

test.each([
  ['127.0.0.1', true],
  ['127.255.0.9', true],
  ['::1', true],
  ['localhost', true],
  ['0.0.0.0', false],
  ['::', false],
  ['128.0.0.1', false],
  ['localhost.example', false],
])('isLoopback %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});
