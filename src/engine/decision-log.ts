/**
 * Lines of the log about what rules, policies and the default deny decided, where somebody asked for them (`log` of a rule or
 * policy, `logDenied` of a network). The switches send a sample: each network has a meter of its own on every switch.
 */
import type { Logger } from 'pino';
import type { HypervisorNumber, PacketIn } from '../drivers/switch-plugin.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import type { MatchValue } from '../pipeline/flow.ts';
import { packetInCode, parseLogUserdata } from '../pipeline/packet-in.ts';
import { type Register, registers } from '../pipeline/registers.ts';
import { packetHeaders } from './packet-headers.ts';
import type { PacketTakers } from './switch-events.ts';

export type DecisionCounts = { allowed: number; denied: number; deniedByDefault: number };

export type DecisionLogOptions = {
  view: View;
  log: Logger;
  nameOf(hypervisor: HypervisorNumber): string;
  /** uid of the port that has the conntrack zone there. */
  portOf(hypervisor: HypervisorNumber, zone: number): Path | undefined;
};

export class DecisionLog {
  readonly #options: DecisionLogOptions;
  /** Rule id -> where it was found last. */
  readonly #known = new Map<number, Path>();
  readonly takers: PacketTakers = new Map([[packetInCode.log, (h, packet) => this.#take(h, packet)]]);
  /** Lines written since the start. */
  readonly counts: DecisionCounts = { allowed: 0, denied: 0, deniedByDefault: 0 };

  constructor(options: DecisionLogOptions) {
    this.#options = options;
  }

  #take(hypervisor: HypervisorNumber, packet: PacketIn): void {
    const number = parseLogUserdata(packet.userdata);
    const network = number === undefined ? undefined : this.#options.view.byNumber(number);
    // It may have gone meanwhile.
    if (network?.kind !== 'network') return;
    const id = read(packet, registers.rule);
    const allowed = read(packet, registers.allowed) === 1;
    const decider = id === 0 ? undefined : this.#decider(id, network.path);
    if (allowed) this.counts.allowed++;
    else if (id === 0) this.counts.deniedByDefault++;
    else this.counts.denied++;
    const { nameOf, portOf, log } = this.#options;
    const by =
      id === 0 ? { by: 'default' } : { by: decider?.kind ?? 'gone', object: decider?.path, rule: decider?.name };
    log.info(
      {
        network: network.path,
        ...by,
        ...(decider === undefined ? {} : { revision: decider.revision }),
        decision: allowed ? 'allow' : 'deny',
        hypervisor: nameOf(hypervisor),
        port: portOf(hypervisor, read(packet, registers.zone)),
        ...packetHeaders(packet.bytes),
      },
      allowed ? 'a connection was allowed' : 'a packet was denied',
    );
  }

  #decider(id: number, network: Path): Resource<'rule'> | Resource<'policy'> | undefined {
    const { view } = this.#options;
    const before = view.get(this.#known.get(id) ?? '');
    if ((before?.kind === 'rule' || before?.kind === 'policy') && before.id === id) return before;
    this.#known.delete(id);
    const found = first(view.children('rule', network), id) ?? first(view.children('policy', ''), id);
    if (found !== undefined) this.#known.set(id, found.path);
    return found;
  }
}

function first<R extends { readonly id: number }>(all: Iterable<R>, id: number): R | undefined {
  for (const one of all) if (one.id === id) return one;
  return undefined;
}

/** What a register held. */
function read({ fields }: PacketIn, { field, offset, bits }: Register): number {
  const value: MatchValue = fields[field] ?? 0;
  const whole = BigInt(typeof value === 'object' ? value.value : value);
  return Number((whole >> BigInt(offset)) & ((1n << BigInt(bits)) - 1n));
}
