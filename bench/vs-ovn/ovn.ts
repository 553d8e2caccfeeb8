/**
 * OVN with the benchmark's cloud: a logical switch for each tier, no routers; a port group for each tier with its rules as
 * ACLs (allow-related), everything sent is allowed and everything else received is dropped; port security. One ACL for
 * what is sent, where Keyway judges every rule at both ends: that is how OVN is used, and in its favour.
 */
import { join } from 'node:path';
import type { OvsdbConnection } from '../../plugins/openvswitch/ovsdb/client.ts';
import { insert, mutate, type Operation, update } from '../../plugins/openvswitch/ovsdb/operations.ts';
import { type JsonRow, namedUuid, set } from '../../plugins/openvswitch/ovsdb/types.ts';
import { type Daemon, startDaemon, until } from '../../src/sandbox/ephemeral.ts';
import { openVswitch } from '../../test/support/open-vswitch.ts';
import { type Farm, startFarm } from '../support/farm.ts';
import { type CloudShape, encapIp, firstAllowedPort, type Place, type Tier, tierPrefix } from '../support/shape.ts';
import { carriedKey, Tracer } from '../support/trace.ts';
import { type Central, connectUnix, startCentral } from './central.ts';
import type { Contender } from './contender.ts';
import { findOvn, type Ovn } from './find.ts';

const switchName = (network: number, tier: Tier): string => `t${network}-${tier}`;
const groupName = (network: number, tier: Tier): string => `pg_t${network}_${tier}`;

const ruleMatch = (network: number, tier: Tier, tcpPort: number): string =>
  `outport == @${groupName(network, tier)} && ip4.src == ${tierPrefix[tier]} && tcp.dst == ${tcpPort}`;

/** @throws Error where OVN cannot be had here */
export async function openOvn(shape: CloudShape, line: (text: string) => void): Promise<Contender> {
  const ovn = await findOvn(line);
  if ('unavailable' in ovn) throw new Error(`no OVN: ${ovn.unavailable}`);
  const vswitch = await openVswitch();
  if ('unavailable' in vswitch) throw new Error(`no Open vSwitch: ${vswitch.unavailable}`);
  const central = await startCentral(ovn, vswitch);
  let farm: Farm | undefined;
  const controllers: Daemon[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(controllers.map((daemon) => daemon.stop()));
    await farm?.[Symbol.asyncDispose]();
    await central[Symbol.asyncDispose]();
  };
  try {
    farm = await startFarm(shape.hypervisors);
    for (const host of farm.switches.keys()) controllers.push(await startController(ovn, central, farm, host));
    await meshOfTunnels(farm);
    await central.sync();
    return await contender(shape, ovn, central, farm, controllers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function startController(ovn: Ovn, central: Central, farm: Farm, host: number): Promise<Daemon> {
  const s = farm.switches[host]!;
  const settings = {
    'ovn-remote': central.southbound,
    'ovn-encap-type': 'geneve',
    'ovn-encap-ip': encapIp(host),
    // Probes of a loaded machine's peers are no part of what is measured.
    'ovn-remote-probe-interval': '180000',
    'ovn-openflow-probe-interval': '180',
  };
  const words = Object.entries(settings).map(([key, value]) => `external_ids:${key}="${value}"`);
  await s.vsctl('set', 'Open_vSwitch', '.', ...words);
  const env = { ...ovn.env, OVS_RUNDIR: s.directory, OVN_RUNDIR: s.directory, OVN_LOGDIR: s.directory };
  const args = [s.database, '-vconsole:off', `--log-file=${join(s.directory, 'ovn-controller.log')}`];
  // With the console off, what still comes is why it could not start.
  const line = (text: string): void => console.error(`ovn-controller of hv${host}: ${text}`);
  return startDaemon(ovn.programs['ovn-controller'], args, { env, cwd: s.directory, line });
}

/** Every hypervisor has a tunnel to each other one, before anything is ordered. */
async function meshOfTunnels(farm: Farm): Promise<void> {
  for (const s of farm.switches) {
    const others = farm.switches.length - 1;
    await until(
      'tunnels between all hypervisors',
      async () => {
        const text = await s.vsctl('--bare', '--columns=ofport', 'find', 'Interface', 'type=geneve');
        return text.split('\n').filter((ofport) => Number(ofport) > 0).length === others;
      },
      120_000,
      100,
    );
  }
}

async function contender(
  shape: CloudShape,
  ovn: Ovn,
  central: Central,
  farm: Farm,
  controllers: Daemon[],
  close: () => Promise<void>,
): Promise<Contender> {
  const installed = await Promise.all(farm.switches.map((s) => InstalledWatch.open(s.databasePath)));
  const { northd, northbound, southbound } = central.pids;
  return {
    name: `OVN ${ovn.version}`,
    farm,
    tracer: new Tracer({ switches: farm.switches, tunnel: 'geneve', carried }),
    central: { northd: [northd], northbound: [northbound], southbound: [southbound] },
    agents: controllers.map((daemon) => daemon.process.pid!),
    async orderFrame() {
      for (let network = 0; network < shape.networks; network++)
        await central.transact([...tierOperations(shape, network, 'web'), ...tierOperations(shape, network, 'db')]);
      await central.sync();
    },
    async orderPorts(places) {
      await central.transact(places.flatMap(portOperations));
      // Where it is, a port is bound by its own hypervisor; the others learn that from what it has told by then.
      await Promise.all(places.map((p) => installed[p.host]!.wait(p.ifaceId)));
      await central.sync();
    },
    async changeRule(network, tier, tcpPort) {
      const name = `${switchName(network, tier)}-0`;
      await central.transact([update('ACL', [['name', '==', name]], { match: ruleMatch(network, tier, tcpPort) })]);
      await central.sync();
    },
    async [Symbol.asyncDispose]() {
      for (const watch of installed) watch.close();
      await close();
    },
  };
}

function tierOperations(shape: CloudShape, network: number, tier: Tier): Operation[] {
  const group = groupName(network, tier);
  const name = switchName(network, tier);
  const acls: JsonRow[] = Array.from({ length: shape.rules }, (_, rule) => ({
    direction: 'to-lport',
    priority: 2000 - rule,
    match: ruleMatch(network, tier, firstAllowedPort + rule),
    action: 'allow-related',
    name: `${name}-${rule}`,
  }));
  acls.push(
    { direction: 'to-lport', priority: 1000, match: `outport == @${group} && ip`, action: 'drop' },
    { direction: 'from-lport', priority: 1001, match: `inport == @${group} && ip4`, action: 'allow-related' },
    { direction: 'from-lport', priority: 1000, match: `inport == @${group} && ip`, action: 'drop' },
  );
  const rows = acls.map((acl, i) => insert('ACL', acl, `acl_${tier}_${i}`));
  const acl = set(acls.map((_, i) => namedUuid(`acl_${tier}_${i}`)));
  return [...rows, insert('Logical_Switch', { name }), insert('Port_Group', { name: group, acls: acl })];
}

function portOperations({ network, tier, ifaceId, mac, ip }: Place): Operation[] {
  const row = `lsp_${ifaceId.replaceAll('-', '_')}`;
  const addresses = `${mac} ${ip}`;
  return [
    insert('Logical_Switch_Port', { name: ifaceId, addresses, port_security: addresses }, row),
    mutate('Logical_Switch', [['name', '==', switchName(network, tier)]], [['ports', 'insert', namedUuid(row)]]),
    mutate('Port_Group', [['name', '==', groupName(network, tier)]], [['ports', 'insert', namedUuid(row)]]),
  ];
}

/** The datapath's key is the tunnel's; the ports' are its option: receiver's in the lower half, sender's in the upper. */
function carried(trace: string): string | undefined {
  const key = carriedKey(trace);
  const receiver = [...trace.matchAll(/set_field:(0x[0-9a-f]+)->tun_metadata0/g)].at(-1)?.[1];
  const sender = [...trace.matchAll(/TUN_METADATA0\[16\.\.30\] is now (0x[0-9a-f]+)/g)].at(-1)?.[1];
  if (key === undefined || receiver === undefined || sender === undefined) return undefined;
  return `${key},tun_metadata0=0x${((Number(sender) << 16) | Number(receiver)).toString(16)}`;
}

/** Sees `ovn-installed` come up on the interfaces of one hypervisor, which ovn-controller sets when it has their flows. */
class InstalledWatch {
  readonly #connection: OvsdbConnection;
  readonly #names = new Map<string, string>();
  readonly #installed = new Set<string>();
  readonly #waiting = new Map<string, () => void>();

  private constructor(connection: OvsdbConnection) {
    this.#connection = connection;
  }

  static async open(path: string): Promise<InstalledWatch> {
    const watch = new InstalledWatch(await connectUnix(path));
    await watch.#connection.monitor('Open_vSwitch', { Interface: ['name', 'external_ids'] }, (tables) =>
      watch.#updated((tables.Interface ?? {}) as Record<string, Record<string, Record<string, unknown>>>),
    );
    return watch;
  }

  /** @param ifaceId which is the interface's name too */
  wait(ifaceId: string): Promise<void> {
    if (this.#installed.has(ifaceId)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(ifaceId, resolve));
  }

  close(): void {
    this.#connection.close('the benchmark ends');
  }

  #updated(rows: Record<string, Record<string, Record<string, unknown>>>): void {
    for (const [uuid, change] of Object.entries(rows)) {
      const row = change.initial ?? change.insert ?? change.modify ?? {};
      if (typeof row.name === 'string') this.#names.set(uuid, row.name);
      const name = this.#names.get(uuid);
      if (name === undefined || !JSON.stringify(row.external_ids ?? '').includes('["ovn-installed","true"]')) continue;
      this.#installed.add(name);
      this.#waiting.get(name)?.();
      this.#waiting.delete(name);
    }
  }
}
