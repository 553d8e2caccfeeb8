/**
 * MACs of the next hops of pools, where nobody gave them: asked for by ARP (RFC 826, as a probe of RFC 5227 section 1.1: from
 * no address) through the patch of some hypervisor. An answer is taken from who was asked, while it was asked; what was
 * learnt is durable, and in force while nobody answers.
 */
import type { Logger } from 'pino';
import type { HypervisorNumber, PacketIn, SwitchPlugin } from '../drivers/switch-plugin.ts';
import { formatMac, generatedMac, isMulticastMac, parseIpv4, parseMac } from '../intent/addresses.ts';
import type { Path, Resource, ResourceChange, View } from '../intent/model.ts';
import type { Fleet } from '../inventory/fleet.ts';
import { providerNetworkOf } from '../inventory/gateways.ts';
import { providerPatch } from '../inventory/patch-keys.ts';
import { reservedPort } from '../pipeline/flow.ts';
import { packetInCode, parseNextHopUserdata } from '../pipeline/packet-in.ts';
import type { Progress } from '../reconcile/progress.ts';
import { type ArpMessage, arpRequest, parseArp } from './arp.ts';
import type { PacketTakers } from './switch-events.ts';

/** What is durable of a next hop. */
export type LearntHop = { gateway: string; mac: string };

type Asking = {
  /** Milliseconds of the clock: when it is to be asked again, and when it was. */
  next: number;
  /** Through whom lately. A switch that learns late may bring the answer to who asked before. */
  asked: Map<HypervisorNumber, number>;
  /** Questions since the last answer. */
  unanswered: number;
};

export type NextHopOptions = {
  view: View;
  fleet: Fleet;
  progress: Progress;
  plugin: SwitchPlugin;
  log: Logger;
  now(): number;
  /** A next hop has another MAC than was known. */
  learnt(pool: Path, hop: LearntHop): void;
};

/** Milliseconds between questions: to who has answered, and to who has not, at first, soon after, and later. */
const pause = { answered: 30_000, soon: 200, first: 1_000, later: 10_000 };
/** Questions at the first paces: the first may be gone before the flow is there that brings the answer. */
const [most, eager] = [3, 10];
/** Milliseconds in which an answer is taken. */
const answerTime = 3_000;

export class NextHops {
  readonly #options: NextHopOptions;
  /** Pools whose next hop is asked for. */
  readonly #asking = new Map<Path, Asking>();
  readonly #learnt = new Map<Path, LearntHop>();
  readonly takers: PacketTakers = new Map([[packetInCode.nextHop, (h, packet) => this.take(h, packet)]]);
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: NextHopOptions) {
    this.#options = options;
  }

  /** @param remembered by the number of the pool */
  load(remembered: ReadonlyMap<number, LearntHop>): void {
    for (const pool of this.#options.view.children('ip-pool', '')) {
      const known = remembered.get(pool.number);
      if (known !== undefined && known.gateway === pool.spec.gateway) this.#learnt.set(pool.path, known);
      this.#review(pool);
    }
  }

  /** @returns number of a pool of which nothing is to be kept any more */
  touchedBy({ kind, before, after }: ResourceChange): number | undefined {
    if (kind !== 'ip-pool') return undefined;
    if (after !== undefined && after.uid === before?.uid && after.spec.gateway === before.spec.gateway) {
      this.#review(after);
      return undefined;
    }
    if (before !== undefined) {
      this.#asking.delete(before.path);
      this.#learnt.delete(before.path);
    }
    if (after !== undefined) this.#review(after);
    return before?.number;
  }

  /** MAC of the next hop as it was learnt; undefined: nobody has answered yet. */
  learntMac(pool: Path): number | undefined {
    const mac = this.#learnt.get(pool)?.mac;
    return mac === undefined ? undefined : parseMac(mac);
  }

  /** Questions that nobody has answered since the last answer; undefined: it is not asked for. */
  unanswered(pool: Path): number | undefined {
    return this.#asking.get(pool)?.unanswered;
  }

  /** Pools whose next hop is asked for, by name. */
  open(): { pool: string; unanswered: number }[] {
    return [...this.#asking].flatMap(([path, { unanswered }]) => {
      const pool = this.#options.view.get(path)?.name;
      return pool === undefined ? [] : [{ pool, unanswered }];
    });
  }

  /** It may be asked for now: at once, where it is not known. */
  soon(pool: Path): void {
    const asking = this.#asking.get(pool);
    if (asking === undefined || this.#learnt.has(pool)) return;
    asking.next = 0;
    this.#schedule();
  }

  /** A packet that a flow of a pool sent. */
  take(hypervisor: HypervisorNumber, { userdata, bytes }: PacketIn): void {
    const { view, now } = this.#options;
    const number = parseNextHopUserdata(userdata);
    const pool = number === undefined ? undefined : view.byNumber(number);
    const message = parseArp(bytes);
    if (pool?.kind !== 'ip-pool' || message === undefined) return;
    const asking = this.#asking.get(pool.path);
    if (asking === undefined || !isOf(pool, message)) return;
    const known = this.#learnt.get(pool.path);
    const mac = formatMac(message.sha);
    const { asked } = asking;
    const isAnswer =
      message.op === 2 && now() - (asked.get(hypervisor) ?? -Infinity) <= answerTime && isStation(message.sha);
    if (!isAnswer) {
      // It announces itself, maybe under another MAC: it is asked, since anybody can say so.
      if (known?.mac !== mac && now() - Math.max(-Infinity, ...asked.values()) > pause.first) {
        asking.next = 0;
        this.#schedule();
      }
      return;
    }
    asked.clear();
    asking.unanswered = 0;
    asking.next = now() + pause.answered;
    if (known?.mac === mac) return;
    const hop = { gateway: pool.spec.gateway, mac };
    this.#learnt.set(pool.path, hop);
    this.#options.learnt(pool.path, hop);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #review(pool: Resource<'ip-pool'>): void {
    if (pool.spec.gatewayMac !== undefined) this.#asking.delete(pool.path);
    else if (!this.#asking.has(pool.path)) {
      this.#asking.set(pool.path, { next: 0, asked: new Map(), unanswered: 0 });
      this.#schedule();
    }
  }

  #schedule(): void {
    if (this.#stopped) return;
    let next = Number.POSITIVE_INFINITY;
    for (const asking of this.#asking.values()) next = Math.min(next, asking.next);
    clearTimeout(this.#timer);
    if (next === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#ask(), Math.max(0, next - this.#options.now())).unref();
  }

  #ask(): void {
    const now = this.#options.now();
    for (const [path, asking] of this.#asking) {
      if (asking.next > now) continue;
      const known = this.#learnt.has(path);
      const isEager = asking.unanswered < eager;
      const first = asking.unanswered < most ? pause.soon : pause.first;
      asking.next = now + (isEager ? first : known ? pause.answered : pause.later);
      const pool = this.#options.view.getAs('ip-pool', path);
      const from = pool === undefined ? undefined : this.#asker(path, asking.unanswered);
      if (pool === undefined || from === undefined) {
        // Nobody can ask: whoever gets a patch says so, but its switch may not be connected by then.
        asking.next = now + (known ? pause.answered : pause.first);
        continue;
      }
      for (const [hypervisor, at] of asking.asked) if (now - at > answerTime) asking.asked.delete(hypervisor);
      asking.asked.set(from.hypervisor, now);
      asking.unanswered++;
      this.#send(pool, from);
    }
    this.#schedule();
  }

  /** Connected hypervisors with the patch take turns while there is no answer. */
  #asker(pool: Path, turn: number): { hypervisor: HypervisorNumber; ofport: number } | undefined {
    const { view, fleet, progress } = this.#options;
    const provider = providerNetworkOf(view, pool);
    if (provider === undefined) return undefined;
    const key = providerPatch(provider.number);
    const able: { hypervisor: HypervisorNumber; ofport: number }[] = [];
    for (const { number, patches } of fleet.all()) {
      const ofport = patches.get(key) ?? 0;
      if (ofport > 0 && progress.of(number)?.connected === true) able.push({ hypervisor: number, ofport });
    }
    return able[turn % able.length];
  }

  #send(pool: Resource<'ip-pool'>, { hypervisor, ofport }: { hypervisor: HypervisorNumber; ofport: number }): void {
    const { plugin, log } = this.#options;
    const bytes = arpRequest(generatedMac(pool.number), parseIpv4(pool.spec.gateway)!);
    const packet = { inPort: reservedPort.controller, actions: [{ type: 'output', port: ofport } as const], bytes };
    plugin.sendPacket?.(hypervisor, packet).catch((error: unknown) => {
      // It went away in the meantime; another one is asked through next time.
      log.debug({ hypervisor, pool: pool.name, err: error }, 'a question for a next hop was not sent');
    });
  }
}

function isOf(pool: Resource<'ip-pool'>, { spa }: ArpMessage): boolean {
  return spa === parseIpv4(pool.spec.gateway);
}

function isStation(mac: number): boolean {
  return mac !== 0 && !isMulticastMac(mac);
}
