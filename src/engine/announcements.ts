/**
 * Tells provider networks where a public address is now: an announcement (RFC 5227 section 3) by the switch it has come to,
 * once that has its flows. The MAC stays the same, so it is the neighbours' switches that learn. Among gateways that take over
 * from each other the program there does it, as no controller may be around.
 */
import type { Logger } from 'pino';
import type { Delta } from '../compile/compiler.ts';
import { patchKeyOf, publicHomes } from '../compile/public-address.ts';
import type { CompileState } from '../compile/state.ts';
import type { HypervisorNumber, SwitchPlugin } from '../drivers/switch-plugin.ts';
import { parseIpv4, publicMac } from '../intent/addresses.ts';
import { reservedPort } from '../pipeline/flow.ts';
import type { Progress } from '../reconcile/progress.ts';
import { arpAnnouncement } from './arp.ts';

export type AnnouncementsOptions = {
  state: CompileState;
  progress: Progress;
  plugin: SwitchPlugin;
  log: Logger;
  now(): number;
};

type Waiting = {
  /** Resource number of the public address. */
  address: number;
  at: HypervisorNumber;
  /** Pass that brings its flows. */
  sequence: number;
  /** Milliseconds of the clock: not before, and not after. */
  from: number;
  until: number;
  left: number;
};

/** Milliseconds between looks at what waits, and between an announcement and its repetition. */
const pace = 20;
const again = 2_000;
/** How long a switch is waited for. */
const patience = 15_000;
/** Announcements at one look: a controller that starts announces all addresses there are. */
const atOnce = 10;
const times = 2;

/** Key of the unit of a public address, see compile/gateway.ts. */
const unitOfAddress = /^gateway\/\d+\/address\/(\d+)\/(\d+)$/;

export class Announcements {
  readonly #options: AnnouncementsOptions;
  /** Where each was announced last. */
  readonly #known = new Map<number, HypervisorNumber>();
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: AnnouncementsOptions) {
    this.#options = options;
  }

  /** What goes out with a pass. */
  take({ set, remove }: Delta, sequence: number): void {
    const { view } = this.#options.state;
    for (const { unit } of remove) {
      const address = Number(unit.startsWith('gateway/') ? unitOfAddress.exec(unit)?.[1] : undefined);
      if (this.#known.has(address) && view.byNumber(address) === undefined) this.#known.delete(address);
    }
    for (const { unit } of set) {
      const [, address, at] = (unit.startsWith('gateway/') ? unitOfAddress.exec(unit) : null) ?? [];
      if (address !== undefined) this.#come(Number(address), Number(at), sequence);
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #come(address: number, at: HypervisorNumber, sequence: number): void {
    const { state, now } = this.#options;
    const resource = state.view.byNumber(address);
    if (resource?.kind !== 'public-ip' || publicHomes(state, resource)[0] !== at) return;
    if (this.#known.get(address) === at) return;
    this.#known.set(address, at);
    const from = now();
    this.#waiting.push({ address, at, sequence, from, until: from + patience, left: times });
    this.#schedule();
  }

  #schedule(): void {
    if (this.#stopped || this.#timer !== undefined || this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#look();
      this.#schedule();
    }, pace).unref();
  }

  #look(): void {
    const now = this.#options.now();
    let sent = 0;
    this.#waiting = this.#waiting.filter((one) => {
      if (now > one.until || this.#known.get(one.address) !== one.at) return false;
      const switched = this.#options.progress.of(one.at);
      const isThere = switched?.connected === true && switched.acknowledged >= one.sequence;
      if (now < one.from || !isThere || sent >= atOnce) return true;
      sent++;
      this.#send(one);
      one.left--;
      one.from = now + again;
      one.until = one.from + patience;
      return one.left > 0;
    });
  }

  #send({ address, at }: Waiting): void {
    const { state, plugin, log } = this.#options;
    const resource = state.view.byNumber(address);
    const key = resource?.kind === 'public-ip' ? patchKeyOf(state, resource) : undefined;
    const port = key === undefined ? undefined : state.patch(at, key);
    if (resource?.kind !== 'public-ip' || port === undefined || port === 0) return;
    const ip = parseIpv4(resource.spec.address)!;
    const bytes = arpAnnouncement(publicMac(ip), ip);
    const packet = { inPort: reservedPort.controller, actions: [{ type: 'output', port } as const], bytes };
    plugin.sendPacket?.(at, packet).catch((error: unknown) => {
      // It went away in the meantime: there is nothing to announce from there.
      log.debug({ hypervisor: at, address: resource.spec.address, err: error }, 'an address was not announced');
    });
  }
}
