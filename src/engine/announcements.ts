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
import type { AfterPass } from './after-pass.ts';
import { arpAnnouncement } from './arp.ts';

export type AnnouncementsOptions = { state: CompileState; plugin: SwitchPlugin; log: Logger; afterPass: AfterPass };

/** Milliseconds between an announcement and its repetition. */
const again = 2_000;

/** Key of the unit of a public address, see compile/gateway.ts. */
const unitOfAddress = /^gateway\/\d+\/address\/(\d+)\/(\d+)$/;

export class Announcements {
  readonly #options: AnnouncementsOptions;
  /** Where each was announced last, by resource number. */
  readonly #known = new Map<number, HypervisorNumber>();

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

  #come(address: number, at: HypervisorNumber, sequence: number): void {
    const { state, afterPass } = this.#options;
    const resource = state.view.byNumber(address);
    if (resource?.kind !== 'public-ip' || publicHomes(state, resource)[0] !== at) return;
    if (this.#known.get(address) === at) return;
    this.#known.set(address, at);
    for (const later of [0, again]) afterPass.run(at, sequence, () => this.#send(address, at), later);
  }

  #send(address: number, at: HypervisorNumber): void {
    const { state, plugin, log } = this.#options;
    const resource = state.view.byNumber(address);
    const key = resource?.kind === 'public-ip' ? patchKeyOf(state, resource) : undefined;
    const port = key === undefined ? undefined : state.patch(at, key);
    // It may have moved on in the meantime.
    if (this.#known.get(address) !== at || resource?.kind !== 'public-ip' || port === undefined || port === 0) return;
    const ip = parseIpv4(resource.spec.address)!;
    const bytes = arpAnnouncement(publicMac(ip), ip);
    const packet = { inPort: reservedPort.controller, actions: [{ type: 'output', port } as const], bytes };
    plugin.sendPacket?.(at, packet).catch((error: unknown) => {
      // It went away in the meantime: there is nothing to announce from there.
      log.debug({ hypervisor: at, address: resource.spec.address, err: error }, 'an address was not announced');
    });
  }
}
