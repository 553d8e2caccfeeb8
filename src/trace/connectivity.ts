/**
 * Whether each tunnel carries frames, of every size it should, in both directions: probes are sent out of the tunnel's port
 * at one end and must come to the controller from the other. What is told of a pair is told from what arrived.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { HypervisorNumber, PacketIn, SwitchHealth, SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Fleet, Member } from '../inventory/fleet.ts';
import { reservedPort } from '../pipeline/flow.ts';
import { probeKey } from '../pipeline/stages/probe.ts';
import { Problem } from '../problems.ts';
import { type Direction, type Found, judge, type Pair } from './connectivity-verdict.ts';
import { leastProbe, parseProbe, probeFrame } from './probe-frame.ts';

export type Connectivity = {
  /** Milliseconds since the epoch. */
  at: number;
  worst: Found['state'];
  pairs: Found[];
};

export type ConnectivityOptions = {
  fleet: Fleet;
  plugin: SwitchPlugin;
  now(): number;
};

/** Directions probed at once: what a receiver gets of them stays below its meter. */
const atOnce = 32;
/** Probes a second that one hypervisor gets at most: its meter lets more through. */
const paceTo = 150;
/** How long probes are waited for, milliseconds; the lost ones are sent once more. */
const patience = 800;
/** Bytes of an Ethernet header: MTUs count without it. */
const ethernet = 14;

type Run = { nonce: Buffer; arrived: Map<string, Set<number>> };

export class ConnectivityCheck {
  readonly #options: ConnectivityOptions;
  readonly #runs = new Map<string, Run>();

  constructor(options: ConnectivityOptions) {
    this.#options = options;
  }

  /** A packet that a Probe flow of the hypervisor sent. */
  take(hypervisor: HypervisorNumber, { bytes, length, fields }: PacketIn): void {
    const probe = parseProbe(bytes);
    const run = probe && this.#runs.get(Buffer.from(probe.nonce).toString('hex'));
    if (probe === undefined || run === undefined) return;
    // By the tunnel from there, and no other way, and as long as it was sent.
    const tunnel = this.#options.fleet.get(hypervisor)?.tunnels.get(probe.from);
    if (probe.to !== hypervisor || fields.in_port !== tunnel || length !== probe.size) return;
    run.arrived.get(key(probe.from, hypervisor))?.add(probe.size);
  }

  /**
   * @param names hypervisors: tunnels between them; of one, all it has. All there are when left out.
   * @throws Problem resource.not-found, trace.not-possible
   */
  async check(names?: readonly string[]): Promise<Connectivity> {
    const { fleet, plugin, now } = this.#options;
    if (plugin.sendPacket === undefined)
      throw new Problem('trace.not-possible', 'The switch plugin sends no packets of its own');
    const pairs = this.#pairs(names);
    const members = new Set(pairs.flat());
    const health = new Map<Member, SwitchHealth | Problem>();
    await Promise.all([...members].map(async (m) => health.set(m, await this.#health(m))));
    const directions = pairs.flatMap(([a, b]) => [this.#direction(a, b, health), this.#direction(b, a, health)]);
    const run: Run = { nonce: randomBytes(16), arrived: new Map() };
    const id = run.nonce.toString('hex');
    this.#runs.set(id, run);
    try {
      for (let i = 0; i < directions.length; i += atOnce) await this.#probe(run, directions.slice(i, i + atOnce));
    } finally {
      this.#runs.delete(id);
    }
    const found = pairs.map(([a, b], i): Found => {
      const pair: Pair = {
        a: fleet.name(a.number),
        b: fleet.name(b.number),
        there: directions[2 * i]!,
        back: directions[2 * i + 1]!,
      };
      return judge(pair);
    });
    const order = { fail: 0, warn: 1, ok: 2 };
    found.sort((x, y) => order[x.state] - order[y.state] || (x.a + x.b < y.a + y.b ? -1 : 1));
    return { at: now(), worst: found[0]?.state ?? 'ok', pairs: found };
  }

  /** Of those that should have a tunnel, each once. */
  #pairs(names: readonly string[] | undefined): [Member, Member][] {
    const { fleet } = this.#options;
    const wanted = names?.map((name) => {
      const member = fleet.byPath(`hypervisors/${name}`);
      if (member === undefined) throw new Problem('resource.not-found', `There is no approved hypervisors/${name}`);
      return member;
    });
    const pairs: [Member, Member][] = [];
    for (const a of fleet.all()) {
      for (const b of fleet.all()) {
        if (a.resource.name >= b.resource.name || !(a.tunnels.has(b.number) || b.tunnels.has(a.number))) continue;
        const meant =
          wanted === undefined ||
          (wanted.length === 1 ? wanted.includes(a) || wanted.includes(b) : wanted.includes(a) && wanted.includes(b));
        if (meant) pairs.push([a, b]);
      }
    }
    return spread(pairs, [...fleet.all()]);
  }

  async #health({ number, present, resource }: Member): Promise<SwitchHealth | Problem> {
    const gone = new Problem('hypervisor.not-connected', `${resource.name} is not connected`);
    if (!present || this.#options.plugin.health === undefined) return gone;
    try {
      return await this.#options.plugin.health(number);
    } catch (error) {
      return error instanceof Problem ? error : new Problem('hypervisor.not-connected', String(error));
    }
  }

  #direction(from: Member, to: Member, health: ReadonlyMap<Member, SwitchHealth | Problem>): Direction {
    const [here, there] = [health.get(from)!, health.get(to)!];
    const tunnel = here instanceof Problem ? undefined : here.tunnels.find((t) => t.peer === to.number);
    return {
      from: from.number,
      to: to.number,
      names: [from.resource.name, to.resource.name],
      addresses: [from.facts?.encapIp, to.facts?.encapIp],
      ofport: from.tunnels.get(to.number),
      unreachable: here instanceof Problem ? here.detail : there instanceof Problem ? there.detail : undefined,
      refused: undefined,
      error: tunnel?.error,
      bfd: tunnel?.bfd,
      sizes: here instanceof Problem || there instanceof Problem ? [] : sizesFor(here, there),
      arrived: new Set(),
    };
  }

  async #probe(run: Run, directions: readonly Direction[]): Promise<void> {
    for (const d of directions) run.arrived.set(key(d.from, d.to), d.arrived);
    // Twice: one lost frame is not yet a broken way.
    for (let attempt = 0; attempt < 2; attempt++) {
      const open = directions.filter((d) => sendable(d) && missing(d).length > 0);
      if (open.length === 0) return;
      const began = performance.now();
      const enough = began + (1_000 * mostTo(open)) / paceTo;
      await Promise.all(open.map((d) => this.#send(run, d)));
      const until = performance.now() + patience;
      while (performance.now() < until && open.some((d) => sendable(d) && missing(d).length > 0)) await pause(20);
      await pause(Math.max(0, enough - performance.now()));
    }
  }

  async #send(run: Run, direction: Direction): Promise<void> {
    const { from, to, ofport } = direction;
    if (ofport === undefined) return;
    for (const size of missing(direction)) {
      try {
        await this.#options.plugin.sendPacket!(from, {
          inPort: reservedPort.controller,
          actions: [
            { type: 'setField', field: 'tun_id', value: probeKey },
            { type: 'output', port: ofport },
          ],
          bytes: probeFrame({ nonce: run.nonce, from, to, size }),
        });
      } catch (error) {
        if (error instanceof Problem && error.code === 'hypervisor.not-connected') direction.unreachable = error.detail;
        else direction.refused = error instanceof Problem ? error.detail : String(error);
        return;
      }
    }
  }
}

const key = (from: number, to: number): string => `${from}/${to}`;

function sendable({ ofport, unreachable, refused }: Direction): boolean {
  return ofport !== undefined && unreachable === undefined && refused === undefined;
}

/** So that those that follow each other have different ends: no hypervisor gets the probes of all others at once. */
function spread(pairs: readonly [Member, Member][], all: readonly Member[]): [Member, Member][] {
  const place = new Map(all.map((member, i) => [member, i]));
  const apart = ([a, b]: [Member, Member]): number => Math.abs(place.get(a)! - place.get(b)!);
  return pairs.toSorted((x, y) => apart(x) - apart(y) || place.get(x[0])! - place.get(y[0])!);
}

/** Probes that the hypervisor with the most of them is to get. */
function mostTo(directions: readonly Direction[]): number {
  const counts = new Map<HypervisorNumber, number>();
  for (const d of directions) counts.set(d.to, (counts.get(d.to) ?? 0) + missing(d).length);
  return Math.max(...counts.values());
}

function missing({ sizes, arrived }: Direction): number[] {
  return sizes.filter((size) => !arrived.has(size));
}

/** Frames of VMs as small as they get, of IPv6's least MTU (RFC 8200), and as large as the encapsulation leaves room for. */
function sizesFor(here: SwitchHealth, there: SwitchHealth): number[] {
  const room = [here, there].flatMap(({ underlay, overhead }) =>
    underlay.flatMap(({ mtu }) => (mtu === undefined ? [] : [mtu - overhead + ethernet])),
  );
  const full = room.length === 0 ? undefined : Math.min(...room);
  const some = [leastProbe, 576 + ethernet, 1280 + ethernet].filter((size) => full === undefined || size < full);
  return full === undefined ? some : [...some, full];
}
