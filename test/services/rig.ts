/** One gateway host with real Open vSwitch (dummy datapath), two tenants with the same addresses, and a stand-in for its services. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type LocalClient } from '../../plugins/openvswitch/local-client.ts';
import type { PacketIn } from '../../src/drivers/switch-plugin.ts';
import { responderId } from '../../src/pipeline/stages/services.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { arpFrame } from '../e2e/frames.ts';
import { differences, joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import type { DummySwitch } from '../support/open-vswitch.ts';

export const acme = 'tenants/acme/networks/shop';
export const bolt = 'tenants/bolt/networks/shop';

/** Of the VM that either tenant has, and of a second one of acme's. */
export const vm = { mac: '02:00:00:00:00:0a', ip: '10.0.1.10', ip6: 'fd00:0:0:1::a' } as const;
export const other = { mac: '02:00:00:00:00:0b', ip: '10.0.1.11' } as const;

/** Ports of the switch: `vm` of acme, `twin` of bolt, `other` of acme, `services`. */
export type Place = 'vm' | 'twin' | 'other' | 'services';

export type Rig = AsyncDisposable & {
  core: TestCore;
  ovs: DummySwitch;
  client: LocalClient;
  /** What came to the program, since the last `forget`. */
  packets: PacketIn[];
  put(path: string, spec: Record<string, unknown>): Promise<void>;
  /** Frames come in there. */
  inject(place: Place, frames: readonly string[]): Promise<void>;
  /** Resolves once the switch is through with what came in. */
  through(): Promise<void>;
  /** Both. */
  send(place: Place, hex: string): Promise<void>;
  /** Frames that went out there since the last `forget`, in hex. */
  sent(place: Place): string[];
  forget(): void;
  number(path: string): number;
  id(path: string): number;
};

const any = { from: { any: true }, to: { any: true }, protocol: 'any', action: 'allow', priority: 100 };

export async function openRig(): Promise<Rig> {
  const core = await startTestCore();
  const put = async (path: string, spec: Record<string, unknown>): Promise<void> => {
    await core.intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });
    await settled(core);
  };
  let ovs: DummySwitch | undefined;
  try {
    ovs = await joinSwitch(core, 'hv1', '192.0.2.1');
    await put('hypervisors/hv1', { admission: 'approved', gateway: true });
    for (const [network, iface] of [
      [acme, 'vm'],
      [bolt, 'twin'],
    ] as const) {
      await put(network.slice(0, network.indexOf('/networks')), {});
      await put(network, { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00::/48' });
      await put(`${network}/tiers/web`, { cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:0:0:1::/64' });
      await put(`${network}/ports/vm`, { tier: 'web', mac: vm.mac, ips: [vm.ip, vm.ip6], ifaceId: iface });
      // Whatever passes nowhere below does so though everything is allowed.
      await put(`${network}/rules/any`, any);
    }
    await put(`${acme}/ports/other`, { tier: 'web', mac: other.mac, ips: [other.ip], ifaceId: 'other' });
    const { directory, vsctl } = ovs;
    const pcap = (place: string): string => join(directory, `${place}.pcap`);
    for (const name of ['vm', 'twin', 'other']) await ovs.addPort(name, name);
    await ovs.addPort('services');
    await vsctl('set', 'Interface', 'services', 'external_ids:keyway-service=gateway-host');
    for (const name of ['vm', 'twin', 'other', 'services'])
      await vsctl('set', 'Interface', name, `options:tx_pcap=${pcap(name)}`);
    await until('ports and services', async () => {
      await settled(core);
      const flows = await ovs!.ofctl('dump-flows', 'table=0');
      return (flows.match(/priority=100,/g)?.length ?? 0) >= 3 && flows.includes('priority=70,');
    });
    const packets: PacketIn[] = [];
    const quiet = (): void => {};
    const client = connect(ovs.managementPath(), {
      controllerId: responderId,
      onPacketIn: (packet) => packets.push(packet),
      onConnected: quiet,
      onDisconnected: quiet,
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    });
    await until('the management socket', () => client.connected);
    const seen = new Map<Place, number>();
    const all = (place: Place): string[] => framesOf(pcap(place));
    let marks = 0;
    const inject = async (place: Place, frames: readonly string[]): Promise<void> => {
      await ovs!.appctl('netdev-dummy/receive', place, ...frames);
    };
    const through = async (): Promise<void> => {
      // A question to the router, which is answered by the same port: what came before it is through.
      const mark = (++marks).toString(16).padStart(4, '0');
      const question = arpFrame({ ethSrc: vm.mac, sha: vm.mac, spa: vm.ip, tpa: '10.0.1.1' }).replace(/0{4}$/, mark);
      await inject('vm', [question]);
      await until('the mark', () => all('vm').some((frame) => isArp(frame) && frame.endsWith(mark)));
      // What goes to the program takes a turn more of the switch's main thread.
      await ovs!.appctl('version');
      await new Promise((resolve) => setTimeout(resolve, 30));
    };
    return {
      core,
      ovs,
      client,
      packets,
      put,
      inject,
      through,
      async send(place, hex) {
        await inject(place, [hex]);
        await through();
      },
      sent: (place) =>
        all(place)
          .slice(seen.get(place) ?? 0)
          .filter((frame) => !isArp(frame) || !/[1-9a-f]/.test(frame.slice(-4))),
      forget() {
        packets.length = 0;
        for (const place of ['vm', 'twin', 'other', 'services'] as const) seen.set(place, all(place).length);
      },
      number: (path) => core.intent.get(path)!.number,
      id: (path) => core.intent.get(path)!.id,
      async [Symbol.asyncDispose]() {
        client.close();
        await core[Symbol.asyncDispose]();
        await ovs![Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await core[Symbol.asyncDispose]();
    await ovs?.[Symbol.asyncDispose]();
    throw error;
  }
}

export { differences };

const isArp = (frame: string): boolean => frame.slice(24, 28) === '0806';

/** Frames of a capture file, in hex; none while there is no file. */
function framesOf(path: string): string[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const frames: string[] = [];
  for (let at = 24; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at + 8);
    if (at + 16 + length > bytes.length) break;
    frames.push(bytes.toString('hex', at + 16, at + 16 + length));
    at += 16 + length;
  }
  return frames;
}

const ipv4 = (text: string): Buffer => Buffer.from(text.split('.').map(Number));
const hexMac = (text: string): string => text.replaceAll(':', '');

export type Ipv4Frame = {
  ethSrc: string;
  ethDst?: string;
  source: string;
  destination: string;
  protocol: 'udp' | 'tcp' | 'icmp';
  ports?: [source: number, destination: number];
  /** More fragments follow, or this is a later one. */
  fragment?: 'first' | 'later';
};

/** An IPv4 packet with 26 bytes behind the ports, in hex. Checksums are not looked at by what is tested here, but for the header's. */
export function ipv4Frame({ ethSrc, ethDst, source, destination, protocol, ports, fragment }: Ipv4Frame): string {
  const number = { udp: 17, tcp: 6, icmp: 1 }[protocol];
  const rest = Buffer.alloc(46);
  if (protocol === 'icmp') rest[0] = 8;
  else {
    rest.writeUInt16BE(ports?.[0] ?? 0, 0);
    rest.writeUInt16BE(ports?.[1] ?? 0, 2);
    if (protocol === 'udp') rest.writeUInt16BE(rest.length, 4);
    else rest.writeUInt16BE(0x5002, 12);
  }
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(header.length + rest.length, 2);
  if (fragment !== undefined) header.writeUInt16BE(fragment === 'first' ? 0x2000 : 0x2001, 6);
  header[8] = 64;
  header[9] = number;
  ipv4(source).copy(header, 12);
  ipv4(destination).copy(header, 16);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += header.readUInt16BE(at);
  header.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 10);
  return `${hexMac(ethDst ?? 'ff:ff:ff:ff:ff:ff')}${hexMac(ethSrc)}0800${header.toString('hex')}${rest.toString('hex')}`;
}

/** What an IPv4 frame says of where it goes. */
export function readIpv4(hex: string): {
  ethDst: string;
  ethSrc: string;
  source: number;
  destination: number;
  ports: number[];
} {
  const bytes = Buffer.from(hex, 'hex');
  return {
    ethDst: hex.slice(0, 12),
    ethSrc: hex.slice(12, 24),
    source: bytes.readUInt32BE(26),
    destination: bytes.readUInt32BE(30),
    ports: [bytes.readUInt16BE(34), bytes.readUInt16BE(36)],
  };
}
