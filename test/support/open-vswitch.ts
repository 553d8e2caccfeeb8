/** Real Open vSwitch for tests, without privileges: ovsdb-server and ovs-vswitchd with the dummy datapath. */
import { join } from 'node:path';
import type { TestContext } from 'vitest';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { findOpenVswitch, type OpenVswitch } from '../../src/sandbox/open-vswitch/find.ts';
import { type DaemonName, startSwitch } from '../../src/sandbox/open-vswitch/instance.ts';

export type { OpenVswitch } from '../../src/sandbox/open-vswitch/find.ts';

export type DummySwitchOptions = {
  /** external_ids:system-id; `hv1` unless told. */
  systemId?: string;
  /**
   * A bridge to make (dummy datapath, fail_mode=secure, OpenFlow15), which is what `ofctl` talks to. `br-int` unless told;
   * with `manager` none is made unless named here, because the controller makes its own.
   */
  bridge?: string;
  /** Where to connect, e.g. tcp:127.0.0.1:6640. */
  manager?: string;
  /** external_ids:keyway-encap-ip; none unless told. */
  encapIp?: string;
};

export type DummySwitch = AsyncDisposable & {
  directory: string;
  /** OVSDB socket: `unix:/…/db.sock`. */
  database: string;
  /** Path of db.sock. */
  databasePath: string;
  /** Path of the bridge's OpenFlow management socket (no controller needed, every protocol version). */
  managementPath(bridge?: string): string;
  vsctl(...args: string[]): Promise<string>;
  /** `ofctl('dump-flows', 'table=3')` on the switch's bridge, -O OpenFlow15. */
  ofctl(command: string, ...args: string[]): Promise<string>;
  appctl(...args: string[]): Promise<string>;
  /** Adds a dummy port to the bridge, with external_ids:iface-id when given. Resolves with its OpenFlow port number. */
  addPort(name: string, ifaceId?: string): Promise<number>;
  kill(daemon: DaemonName, signal?: NodeJS.Signals): Promise<void>;
  /** Kills the daemon when it still runs (SIGKILL), and starts it again. */
  restart(daemon: DaemonName): Promise<void>;
};

let found: Promise<OpenVswitch | { unavailable: string }> | undefined;

/** The Open vSwitch to test with; looked for once in a process. */
export function openVswitch(): Promise<OpenVswitch | { unavailable: string }> {
  found ??= findOpenVswitch();
  return found;
}

/** The Open vSwitch to test with; where there is none the test is skipped, and the report says why. */
export async function openVswitchOrSkip(context: Pick<TestContext, 'skip'>): Promise<OpenVswitch> {
  const result = await openVswitch();
  if ('unavailable' in result) return context.skip(`no Open vSwitch: ${result.unavailable}`);
  return result;
}

/** Runs one of its programs (`ovs-ofctl`, `ovsdb-client`, `tcpdump` …) that needs no switch, e.g. ofp-print. */
export { attempt, run } from '../../src/sandbox/run.ts';

/** @throws Error when there is no Open vSwitch: call openVswitchOrSkip first. */
export async function startDummySwitch(options: DummySwitchOptions = {}): Promise<DummySwitch> {
  const vswitch = await openVswitch();
  if ('unavailable' in vswitch) throw new Error(vswitch.unavailable);
  const { systemId = 'hv1', manager, encapIp } = options;
  const made = options.bridge ?? (manager === undefined ? 'br-int' : undefined);
  const bridge = made ?? 'br-int';
  const directory = ephemeralDirectory('kw-ovs-');
  const configure = [
    'set',
    'Open_vSwitch',
    '.',
    `external_ids:system-id=${systemId}`,
    'external_ids:hostname=localhost',
  ];
  configure.push('external_ids:keyway-datapath-type=dummy');
  if (encapIp !== undefined) configure.push(`external_ids:keyway-encap-ip=${encapIp}`);
  if (made !== undefined) {
    configure.push('--', 'add-br', made, '--', 'set', 'Bridge', made, 'datapath_type=dummy', 'fail_mode=secure');
    configure.push('protocols=OpenFlow15', 'other_config:disable-in-band=true');
  }
  if (manager !== undefined) configure.push('--', 'set-manager', manager);
  try {
    const instance = await startSwitch({
      openVswitch: vswitch,
      directory: directory.path,
      vswitchdArgs: ['--enable-dummy', '--disable-system', '--disable-system-route'],
      configure,
    });
    return {
      directory: directory.path,
      database: instance.database,
      databasePath: join(directory.path, 'db.sock'),
      managementPath: (name = bridge) => join(directory.path, `${name}.mgmt`),
      vsctl: instance.vsctl,
      ofctl: (command, ...args) => instance.ofctl(bridge, command, ...args),
      appctl: instance.appctl,
      async addPort(name, ifaceId) {
        const identity = ifaceId === undefined ? [] : [`external_ids:iface-id=${ifaceId}`];
        await instance.vsctl('add-port', bridge, name, '--', 'set', 'Interface', name, 'type=dummy', ...identity);
        return Number(await instance.vsctl('get', 'Interface', name, 'ofport'));
      },
      kill: instance.kill,
      async restart(daemon) {
        await instance.kill(daemon);
        await instance.start(daemon);
      },
      async [Symbol.asyncDispose]() {
        await instance[Symbol.asyncDispose]();
        await directory[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await directory[Symbol.asyncDispose]();
    throw error;
  }
}
