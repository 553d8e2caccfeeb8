/** Follows a packet from switch to switch: out by a tunnel is in at the peer, out by a VM's port is its end. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import { responderId } from '../pipeline/stages/services.ts';
import { tableById } from '../pipeline/tables.ts';
import { Problem } from '../problems.ts';
import { Connections } from './connections.ts';
import type { FlowTables } from './flow-tables.ts';
import { interpret, type Live, type Lookup, type TraceEvent } from './interpreter.ts';
import type { Packet } from './packet.ts';

/** What is behind an OpenFlow port. */
export type Attached =
  | { kind: 'vm'; port: Path }
  | { kind: 'tunnel'; peer: HypervisorNumber }
  | { kind: 'provider'; network: Path }
  /** Of a gateway host: names and metadata. */
  | { kind: 'services' };

/** Switches as a walk needs them. */
export interface Switches {
  /** Undefined: nothing that Keyway knows of. */
  attached(hypervisor: HypervisorNumber, ofport: number): Attached | undefined;
  /** OpenFlow port of the tunnel to the peer. */
  tunnelTo(hypervisor: HypervisorNumber, peer: HypervisorNumber): number | undefined;
  /** Installed flows, read from the switch. @throws Problem hypervisor.not-connected */
  tables(hypervisor: HypervisorNumber): Promise<FlowTables>;
  /** Which of its ports are live in the switch's own eyes. */
  live(hypervisor: HypervisorNumber): Promise<Live>;
  /** The hypervisor is taken to be dead. */
  isDown(hypervisor: HypervisorNumber): boolean;
}

export type Hop = {
  hypervisor: HypervisorNumber;
  inPort: number;
  /** Undefined where the packet came in by a port that Keyway does not know. */
  from: Attached | undefined;
  /** The VM there has been given the packet, and is taken to pass it on as a router does. */
  passedOn?: true;
  events: TraceEvent[];
};

/** How the packet, or one copy of it, ended; `hop` counts from 0. */
export type End =
  | { kind: 'delivered'; hop: number; port: Path; packet: Packet }
  /** The switch sent something back out of the VM's port it came in by: an answer. */
  | { kind: 'answered'; hop: number; packet: Packet }
  /** Nothing went out: the look-up it ended at. */
  | { kind: 'refused'; hop: number; at: Lookup }
  | { kind: 'to-controller'; hop: number; at: Lookup }
  | { kind: 'ttl-expired'; hop: number; at: Lookup }
  /** It left by a provider network: what becomes of it there is not Keyway's. */
  | { kind: 'outside'; hop: number; network: Path; packet: Packet }
  /** The services of a gateway host have it: names and metadata, or the program itself (addresses, routers). */
  | { kind: 'services'; hop: number; by: 'port' | 'program'; packet: Packet }
  /** To a hypervisor that is taken to be dead. */
  | { kind: 'down'; hop: number; peer: HypervisorNumber }
  /** The peer's flows cannot be read, or it has no tunnel back: what it does with the packet is not known. */
  | { kind: 'unknown'; hop: number; peer: HypervisorNumber; why: string }
  | { kind: 'unknown-port'; hop: number; ofport: number }
  | { kind: 'group'; hop: number; group: number }
  | { kind: 'too-deep'; hop: number };

export type Walk = { hops: Hop[]; ends: End[] };

/** More switches than a frame that never goes from tunnel to tunnel can come to, steering included. */
const mostHops = 32;

/** Connections of each switch that are assumed to be there. */
export type Assumed = ReadonlyMap<HypervisorNumber, Connections>;

export async function walk(
  switches: Switches,
  start: { hypervisor: HypervisorNumber; packet: Packet },
  assumed: Assumed = new Map(),
): Promise<Walk> {
  const hops: Hop[] = [];
  const ends: End[] = [];
  const waiting = [start];
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { hypervisor, packet } = next;
    const inPort = Number(packet.get('in_port'));
    const tables = await switches.tables(hypervisor);
    const live = tables.asksWhatIsLive ? await switches.live(hypervisor) : () => true;
    const events = interpret(tables, packet, assumed.get(hypervisor) ?? new Connections(), live);
    const hop = hops.push({ hypervisor, inPort, from: switches.attached(hypervisor, inPort), events }) - 1;
    const outputs = events.filter((e) => e.kind === 'output');
    for (const { port, packet: leaving } of outputs) {
      const onward = await leave(switches, hypervisor, inPort, port, leaving, hop);
      if ('kind' in onward) ends.push(onward);
      else if (hops.length + waiting.length >= mostHops) ends.push({ kind: 'too-deep', hop });
      else waiting.push(onward);
    }
    const group = events.find((e) => e.kind === 'group');
    if (group !== undefined) ends.push({ kind: 'group', hop, group: group.group });
    else if (outputs.length === 0) ends.push(inside(events, hop));
  }
  return { hops, ends };
}

type Onward = { hypervisor: HypervisorNumber; packet: Packet };

async function leave(
  switches: Switches,
  hypervisor: HypervisorNumber,
  inPort: number,
  ofport: number,
  packet: Packet,
  hop: number,
): Promise<Onward | End> {
  const behind = switches.attached(hypervisor, ofport);
  if (behind === undefined) return { kind: 'unknown-port', hop, ofport };
  if (behind.kind === 'vm') {
    const end = { hop, packet: packet.onWire() };
    return ofport === inPort ? { kind: 'answered', ...end } : { kind: 'delivered', port: behind.port, ...end };
  }
  if (behind.kind === 'services') return { kind: 'services', hop, by: 'port', packet: packet.onWire() };
  if (behind.kind === 'provider') {
    const end = { hop, packet: packet.onWire() };
    return ofport === inPort ? { kind: 'answered', ...end } : { kind: 'outside', network: behind.network, ...end };
  }
  const { peer } = behind;
  if (switches.isDown(peer)) return { kind: 'down', hop, peer };
  const back = switches.tunnelTo(peer, hypervisor);
  if (back === undefined) return { kind: 'unknown', hop, peer, why: 'it has no tunnel back' };
  try {
    await switches.tables(peer);
  } catch (error) {
    if (error instanceof Problem) return { kind: 'unknown', hop, peer, why: error.detail };
    throw error;
  }
  const arriving = packet.onWire();
  arriving.set('in_port', back);
  arriving.set('tun_id', packet.get('tun_id') ?? 0n);
  return { hypervisor: peer, packet: arriving };
}

/** The end of a packet that left by no port: where its own line of tables, not a subroutine's, stopped. */
function inside(events: readonly TraceEvent[], hop: number): End {
  if (events.some((e) => e.kind === 'too-deep')) return { kind: 'too-deep', hop };
  const at = lastLookup(events);
  if (events.some((e) => e.kind === 'ttl-expired')) return { kind: 'ttl-expired', hop, at };
  const last = events.findLast((e) => e.kind === 'controller');
  if (last?.kind === 'controller' && last.id === responderId)
    return { kind: 'services', hop, by: 'program', packet: last.packet.onWire() };
  return { kind: last === undefined ? 'refused' : 'to-controller', hop, at };
}

/**
 * What a VM that routes makes of a packet it was given: one to the router that gave it, with a lower time to live.
 * Undefined where it has none left.
 */
export function passedOn(given: Packet, inPort: number): Packet | undefined {
  const packet = given.copy();
  const ttl = packet.get('ip_ttl') ?? 0n;
  if (ttl <= 1n) return undefined;
  packet.set('ip_ttl', ttl - 1n);
  packet.set('eth_src', given.get('eth_dst') ?? 0n);
  packet.set('eth_dst', given.get('eth_src') ?? 0n);
  packet.set('in_port', inPort);
  return packet;
}

/** Both as one: the second begins where an end of the first was. */
export function joined(first: Walk, end: End, second: Walk): Walk {
  const offset = first.hops.length;
  const hops = second.hops.map((hop, i): Hop => (i === 0 ? { ...hop, passedOn: true } : hop));
  const ends = second.ends.map((e): End => ({ ...e, hop: e.hop + offset }));
  return { hops: [...first.hops, ...hops], ends: [...first.ends.filter((e) => e !== end), ...ends] };
}

function lastLookup(events: readonly TraceEvent[]): Lookup {
  const own = events.findLastIndex((e) => e.kind === 'lookup' && e.depth === 0);
  const found = events[own];
  if (found?.kind !== 'lookup') throw new Error('a run over tables that looked nothing up');
  if ((tableById(found.table)?.back ?? []).length === 0) return found;
  // It went through the tables once more: its line of them goes on there, one deeper.
  return events.findLast((e, at): e is Lookup => at > own && e.kind === 'lookup' && e.depth === 1) ?? found;
}
