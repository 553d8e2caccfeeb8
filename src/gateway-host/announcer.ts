/**
 * Says where public addresses are now (gratuitous ARP, RFC 5227 section 3): to routers outside that remember the gateway which
 * died. Only the host sees that in time, by BFD of its tunnel to that gateway; the controller may be dead too. Each gateway
 * also announces what it is first in charge of when it starts, and when the other one is back in its sight, as whoever was
 * cut off does not know whether others took it for dead.
 */
import { parseIpv4, parseMac } from '../intent/addresses.ts';
import { broadcastMac } from './frame.ts';
import type { Network } from './served.ts';

export type AnnouncerOptions = {
  networks(): Iterable<Network>;
  /** OpenFlow port of a patch to a provider network. */
  patch(key: string): number | undefined;
  /** False when it is not sent. */
  send(ofport: number, frame: Buffer): boolean;
  log(fields: { addresses: number; reason: string }): void;
};

/**
 * Milliseconds a tunnel that has never been alive is waited for: one that was just made, by a gateway that has just come, is
 * about to be, and announcing meanwhile would draw traffic from who has it.
 */
const newborn = 3_000;

/** Milliseconds after the event: one may be lost, and a switch may be about to learn. */
const times = [0, 200, 1_000, 3_000] as const;

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Whether the tunnel to each peer is alive. */
  #tunnels: ReadonlyMap<number, boolean> = new Map();
  /** Peers whose tunnels are not alive yet, and are waited for. */
  readonly #young = new Map<number, NodeJS.Timeout>();
  #self: number | undefined;
  /** Patches of which nothing was announced yet, as they were not there. */
  #patches: ReadonlyMap<string, number> = new Map();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Number of the hypervisor this is. */
  set self(number: number) {
    this.#self = number;
  }

  /** Whether this host is in charge of the network's way out, in its own eyes. */
  inCharge({ told }: Network): boolean {
    const [first, second] = told.gateways;
    if (first === this.#self) return true;
    return (
      second === this.#self && first !== undefined && this.#tunnels.get(first) === false && !this.#young.has(first)
    );
  }

  /** What the local database says. */
  update(tunnels: ReadonlyMap<number, boolean>, patches: ReadonlyMap<string, number>): void {
    const changed = new Set<number>();
    for (const [peer, alive] of tunnels) {
      if (this.#tunnels.get(peer) === alive) continue;
      changed.add(peer);
      if (alive) this.#grown(peer);
      else if (!this.#tunnels.has(peer)) this.#born(peer);
    }
    for (const peer of this.#young.keys()) if (!tunnels.has(peer)) this.#grown(peer);
    const fresh = new Set<string>();
    for (const [key, ofport] of patches) if (this.#patches.get(key) !== ofport) fresh.add(key);
    this.#tunnels = new Map(tunnels);
    this.#patches = new Map(patches);
    if (changed.size > 0) {
      const concerned = this.#networksWith((other) => changed.has(other));
      this.#announce(concerned, 'a tunnel between gateways came or went');
    }
    if (fresh.size > 0)
      this.#announce(
        [...this.#options.networks()].filter(({ told }) => told.publicAddresses.some(({ patch }) => fresh.has(patch))),
        'a provider network is there',
      );
  }

  /** The network has other gateways or public addresses. */
  networkChanged(network: Network): void {
    if (network.told.publicAddresses.length > 0) this.#announce([network], 'public addresses changed');
  }

  #born(peer: number): void {
    const timer = setTimeout(() => {
      this.#young.delete(peer);
      this.#announce(
        this.#networksWith((other) => other === peer),
        'the other gateway is not there',
      );
    }, newborn);
    this.#young.set(peer, timer);
  }

  #grown(peer: number): void {
    clearTimeout(this.#young.get(peer));
    this.#young.delete(peer);
  }

  close(): void {
    for (const timer of this.#young.values()) clearTimeout(timer);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #networksWith(isOther: (gateway: number) => boolean): Network[] {
    const found: Network[] = [];
    for (const network of this.#options.networks()) {
      const { gateways, publicAddresses } = network.told;
      if (publicAddresses.length > 0 && gateways.some((gateway) => gateway !== this.#self && isOther(gateway)))
        found.push(network);
    }
    return found;
  }

  #announce(networks: readonly Network[], reason: string): void {
    if (!networks.some((network) => this.inCharge(network))) return;
    for (const time of times) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        let addresses = 0;
        // As it is by then: the other one may be back.
        for (const network of networks) if (this.inCharge(network)) addresses += this.#say(network);
        if (time === times[0] && addresses > 0) this.#options.log({ addresses, reason });
      }, time);
      this.#timers.add(timer);
    }
  }

  #say({ told }: Network): number {
    let said = 0;
    for (const { address, mac, patch } of told.publicAddresses) {
      const ofport = this.#options.patch(patch);
      const ip = parseIpv4(address);
      const from = parseMac(mac);
      if (ofport === undefined || ip === undefined || from === undefined) continue;
      for (const operation of [arp.request, arp.reply])
        if (this.#options.send(ofport, gratuitousArp(from, ip, operation))) said++;
    }
    return said / 2;
  }
}

const arp = { request: 1, reply: 2 } as const;

/** RFC 826, RFC 5227: both forms, as some heed requests only and some replies only. */
export function gratuitousArp(mac: number, ip: number, operation: number): Buffer {
  const frame = Buffer.alloc(42);
  frame.writeUIntBE(broadcastMac, 0, 6);
  frame.writeUIntBE(mac, 6, 6);
  frame.writeUInt16BE(0x0806, 12);
  frame.writeUInt16BE(1, 14);
  frame.writeUInt16BE(0x0800, 16);
  frame[18] = 6;
  frame[19] = 4;
  frame.writeUInt16BE(operation, 20);
  frame.writeUIntBE(mac, 22, 6);
  frame.writeUInt32BE(ip, 28);
  frame.writeUIntBE(operation === arp.request ? 0 : mac, 32, 6);
  frame.writeUInt32BE(ip, 38);
  return frame;
}
