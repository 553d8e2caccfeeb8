/** Reads counters of switches into the ledger. A switch that cannot be asked is left as it was: what it counts meanwhile is read later. */
import { createHash } from 'node:crypto';
import type { HypervisorNumber, InstalledFlow, PortCounters, SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { isHidden } from '../intent/transit.ts';
import type { Placement } from '../inventory/placement.ts';
import { cookie, cookieResource } from '../pipeline/cookie.ts';
import type { Match } from '../pipeline/flow.ts';
import { tables } from '../pipeline/tables.ts';
import { Problem } from '../problems.ts';
import type { CountedAddress } from './homes.ts';
import type { CounterName, Ledger, Owner } from './ledger.ts';
import type { Reading } from './reading.ts';

export type ReaderOptions = {
  view: View;
  placement: Placement;
  plugin: Pick<SwitchPlugin, 'installed' | 'portCounters'>;
  ledger: Ledger;
};

/** Whom the counters of a port count for. */
export function ownerOf(port: Resource<'port'>): Owner {
  const { kind, path, uid, createdAt } = port;
  return { kind, path, uid, createdAt, hidden: isHidden(port) };
}

/** Public addresses asked for at once. */
const atOnce = 200;

export class UsageReader {
  readonly #options: ReaderOptions;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  /** @returns false: the switch cannot be asked now */
  async readSwitch(hypervisor: HypervisorNumber, addresses: readonly CountedAddress[]): Promise<boolean> {
    const { placement, ledger } = this.#options;
    const ports = [...placement.portsOn(hypervisor)];
    const asked = await this.readPorts(hypervisor, ports);
    if (!asked) return false;
    ledger.tidy(hypervisor);
    for (let at = 0; at < addresses.length; at += atOnce)
      if (!(await this.readAddresses(hypervisor, addresses.slice(at, at + atOnce)))) return false;
    return true;
  }

  /** What is asked for is on its way when the call returns. */
  async readPorts(hypervisor: HypervisorNumber, ports: readonly Path[]): Promise<boolean> {
    const { view, placement, plugin, ledger } = this.#options;
    const wanted: { owner: Owner; ofport: number }[] = [];
    for (const path of ports) {
      const [port, bound] = [view.getAs('port', path), placement.get(path)];
      const home = bound?.hypervisor === hypervisor ? bound : bound?.standby;
      if (port !== undefined && home?.hypervisor === hypervisor && home.ofport !== 0)
        // Who it is hidden from is asked once.
        wanted.push({
          owner: ledger.account(port.uid) === undefined ? ownerOf(port) : port,
          ofport: home.ofport,
        });
    }
    return await this.readOwners(hypervisor, wanted, plugin, ledger);
  }

  /** The same, of ports that need not be in intent any more. */
  readPort(owner: Owner, hypervisor: HypervisorNumber, ofport: number): Promise<boolean> {
    const { plugin, ledger } = this.#options;
    return this.readOwners(hypervisor, [{ owner, ofport }], plugin, ledger);
  }

  private async readOwners(
    hypervisor: HypervisorNumber,
    wanted: readonly { owner: Owner; ofport: number }[],
    plugin: ReaderOptions['plugin'],
    ledger: Ledger,
  ): Promise<boolean> {
    if (wanted.length === 0 || plugin.portCounters === undefined) return true;
    const asked = ledger.ask();
    const ofports = wanted.map(({ ofport }) => ofport);
    const read = await reachable(plugin.portCounters(hypervisor, ofports));
    if (read === undefined) return false;
    for (const [i, { owner, ofport }] of wanted.entries()) {
      const counters = read[i];
      if (counters === undefined) ledger.forget(hypervisor, `p${ofport}`);
      else ledger.take(owner, hypervisor, `p${ofport}`, ofPort(counters), asked);
    }
    return true;
  }

  /** What is asked for is on its way when the call returns. */
  async readAddresses(hypervisor: HypervisorNumber, addresses: readonly CountedAddress[]): Promise<boolean> {
    const { plugin, ledger } = this.#options;
    if (addresses.length === 0) return true;
    const asked = ledger.ask();
    const cookies = addresses.flatMap(({ number }) => counting.map((table) => cookie(table.id, number)));
    const flows = await reachable(plugin.installed(hypervisor, cookies));
    if (flows === undefined) return false;
    const byNumber = Map.groupBy(flows, (flow) => cookieResource(flow.cookie));
    for (const address of addresses) {
      const kept = new Set<CounterName>();
      for (const flow of byNumber.get(address.number) ?? []) {
        const reading = ofFlow(flow, address);
        if (reading === undefined) continue;
        const counter: CounterName = `a${address.number}.${flow.table}-${flow.priority}-${matchHash(flow.match)}`;
        kept.add(counter);
        ledger.take(address, hypervisor, counter, reading, asked);
      }
      ledger.keepFlows(hypervisor, address.uid, kept);
    }
    return true;
  }
}

const counting = [tables.ProviderIngress, tables.ProviderOutput];

/** Packets to the address and from it; ARP for it, and what turns round to another address on the switch, are left out. */
function ofFlow({ table, match, ...counters }: InstalledFlow, address: CountedAddress): Reading | undefined {
  const count = { packets: Number(counters.packets), bytes: Number(counters.bytes) };
  const none = { packets: 0, bytes: 0 };
  const { duration } = counters;
  if (table === tables.ProviderIngress.id && match.ipv4_dst === address.ip)
    return { received: count, sent: none, duration };
  if (table === tables.ProviderOutput.id && match.ipv4_src === address.ip)
    return { received: none, sent: count, duration };
  return undefined;
}

function matchHash(match: Match): string {
  const text = JSON.stringify(Object.entries(match).sort(), (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return createHash('sha1').update(text).digest('hex').slice(0, 12);
}

/** What a switch receives, the VM has sent. */
function ofPort({ received, sent, duration }: PortCounters): Reading {
  return { received: sent, sent: received, ...(duration === undefined ? {} : { duration }) };
}

/** Undefined: the switch cannot be asked now. */
async function reachable<T>(asking: Promise<T>): Promise<T | undefined> {
  try {
    return await asking;
  } catch (error) {
    if (error instanceof Problem && error.code === 'hypervisor.not-connected') return undefined;
    throw error;
  }
}
