/**
 * Connections of NAT rules that are gone or changed. Flows cut them at once (docs/decisions/0035); here connection tracking is
 * told to forget them, so that who goes on with the same ports, as UDP services between two fixed ports do, gets what the
 * rules say now instead of nothing for as long as it goes on. Open vSwitch before 3.1 can't: there they age.
 */
import type { Logger } from 'pino';
import { publicHomes } from '../compile/public-address.ts';
import type { CompileState } from '../compile/state.ts';
import type { ConnectionsTo, SwitchPlugin } from '../drivers/switch-plugin.ts';
import { parseIpv4 } from '../intent/addresses.ts';
import type { Resource, ResourceChange } from '../intent/model.ts';
import { ipProtocol } from '../pipeline/stages/ports.ts';
import type { AfterPass } from './after-pass.ts';

export type StaleConnectionsOptions = { state: CompileState; plugin: SwitchPlugin; log: Logger; afterPass: AfterPass };

type Rule = Resource<'nat-rule'>;

/** Ports of a range that are named one by one; of a wider one every connection of the protocol is forgotten. */
const fewPorts = 64;

export class StaleConnections {
  readonly #options: StaleConnectionsOptions;
  #stale: Rule[] = [];

  constructor(options: StaleConnectionsOptions) {
    this.#options = options;
  }

  touchedBy({ kind, path, before, after }: ResourceChange): void {
    if (kind === 'nat-rule' && before?.kind === 'nat-rule') {
      if (after?.kind !== 'nat-rule' || said(before) !== said(after)) this.#stale.push(before);
    } else if (kind === 'port' && before?.kind === 'port' && after?.kind === 'port') {
      if (before.spec.ips.join() === after.spec.ips.join()) return;
      for (const r of this.#options.state.view.referrers(path)) if (r.kind === 'nat-rule') this.#stale.push(r);
    }
  }

  /** What has been touched goes out with this pass. */
  sent(sequence: number): void {
    const stale = this.#stale;
    if (stale.length === 0) return;
    this.#stale = [];
    const { state, plugin, log, afterPass } = this.#options;
    for (const rule of stale) {
      const address = state.view.getAs('public-ip', `${rule.parent}/public-ips/${rule.spec.publicIp}`);
      const at = address === undefined ? undefined : parseIpv4(address.spec.address);
      // An address that is gone as well has no flows in which its connections could go on.
      if (address === undefined || at === undefined) continue;
      for (const hypervisor of new Set([...state.gateways(rule.parent), ...publicHomes(state, address)])) {
        const zone = state.natZone(hypervisor, rule.parent);
        if (zone === undefined) continue;
        const connections = [...connectionsOf(rule, at, zone)];
        afterPass.run(hypervisor, sequence, () => {
          plugin.forgetConnections?.(hypervisor, connections).catch((error: unknown) => {
            // An old switch, or one that went away: they age, as docs/semantics.md says.
            log.debug({ hypervisor, path: rule.path, err: error }, 'connections of a NAT rule were not forgotten');
          });
        });
      }
    }
  }
}

/** What it translates; a description is none of it. */
function said({ spec }: Rule): string {
  const { type, publicIp, tiers, port, address, protocol, publicPorts, privatePorts } = spec;
  return JSON.stringify([type, publicIp, tiers, port, address, protocol, publicPorts, privatePorts]);
}

/** Those that go to the public address, and those whose answers do. */
function* connectionsOf({ spec }: Rule, address: number, zone: number): Iterable<ConnectionsTo> {
  if (spec.type === 'source') {
    yield { zone, direction: 'reply', address };
    return;
  }
  const directions = ['original', 'reply'] as const;
  if (spec.type === 'static' || spec.protocol === undefined || spec.publicPorts === undefined) {
    for (const direction of directions) yield { zone, direction, address };
    return;
  }
  const protocol = ipProtocol[spec.protocol];
  const [first = 0, last = first] = spec.publicPorts.split('-').map(Number);
  for (const direction of directions) {
    if (last - first >= fewPorts) yield { zone, direction, address, protocol };
    else for (let port = first; port <= last; port++) yield { zone, direction, address, protocol, port };
  }
}
