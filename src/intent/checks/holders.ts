/** Values that one resource alone may have: who has them. */
import type { Log } from '../log.ts';
import type { Path } from '../model.ts';
import type { Holders, State } from '../state.ts';
import { newMap } from '../state.ts';

/** Takes an IPv4 address of a network. @returns the path that has it already, and nothing is taken then */
export function takeAddress(state: State, log: Log, network: Path, address: number, path: Path): Path | undefined {
  return takeIn(state.addresses, log, network, address, path);
}

export function giveBackAddress(state: State, log: Log, network: Path, address: number): void {
  log.writeIn(state.addresses, network, newMap, address, undefined);
}

/** Takes a MAC of a tenant. @returns the path that has it already, and nothing is taken then */
export function takeMac(state: State, log: Log, tenant: Path, mac: number, path: Path): Path | undefined {
  return takeIn(state.macs, log, tenant, mac, path);
}

export function giveBackMac(state: State, log: Log, tenant: Path, mac: number): void {
  log.writeIn(state.macs, tenant, newMap, mac, undefined);
}

/** Takes a value of the whole cloud. @returns the path that has it already, and nothing is taken then */
export function take<V>(table: Holders<V>, log: Log, value: V, path: Path): Path | undefined {
  const holder = table.get(value);
  if (holder === undefined) log.write(table, value, path);
  return holder;
}

function takeIn<V>(tables: Map<Path, Holders<V>>, log: Log, outer: Path, value: V, path: Path): Path | undefined {
  const holder = tables.get(outer)?.get(value);
  if (holder === undefined) log.writeIn(tables, outer, newMap, value, path);
  return holder;
}
