/** MACs: unicast, unique in the tenant among ports and the routers of tiers; made from the resource number when left out. */
import { formatMac, generatedMac, isMulticastMac, isPublicMac, parseMac } from '../addresses.ts';
import type { Path } from '../model.ts';
import { tenantOf } from '../path.ts';
import type { State } from '../state.ts';
import type { Concern, Draft, Report, Staging } from './concern.ts';
import { giveBackMac, takeMac } from './holders.ts';

export const portMac: Concern<'port'> = {
  normalise(spec) {
    if (spec.mac !== undefined) spec.mac = spec.mac.toLowerCase();
  },

  judge(spec, report) {
    if (spec.mac !== undefined) judgeMac(spec.mac, '/mac', report);
  },

  release({ state, log }, before, after) {
    if (before.spec.mac !== after?.mac) giveBackMac(state, log, tenantOf(before.path)!, parseMac(before.spec.mac)!);
  },

  claim({ state, log }, draft, before, report) {
    if (draft.spec.mac === before?.spec.mac || draft.spec.mac === undefined) return;
    const holder = takeMac(state, log, tenantOf(draft.path)!, parseMac(draft.spec.mac)!, draft.path);
    if (holder !== undefined) report('/mac', 'mac.in-use', `${draft.spec.mac} ${heldBy(state, holder)}`);
  },

  fill(staging, draft) {
    if (draft.spec.mac === undefined) draft.spec.mac = formatMac(takeGenerated(staging, draft));
  },
};

/** Tells what is no unicast address. */
export function judgeMac(text: string, field: string, report: Report): void {
  const mac = parseMac(text)!;
  if (mac === 0) report(field, 'address.invalid', `${text} is no address: all bits are 0`);
  else if (isMulticastMac(mac))
    report(field, 'address.invalid', `${text} is a multicast address: the lowest bit of the first octet is set`);
  else if (isPublicMac(mac)) report(field, 'address.invalid', `${text} is the MAC of a public address`);
}

/** The router of a tier has the MAC `generatedMac(tier.number)`. */
export const routerMac: Concern<'tier'> = {
  // It never changes, so that a replaced tier keeps it throughout.
  release({ state, log }, before, after) {
    if (after === undefined) giveBackMac(state, log, tenantOf(before.path)!, generatedMac(before.number));
  },

  fill(staging, draft) {
    const holder = staging.state.macs.get(tenantOf(draft.path)!)?.get(generatedMac(draft.number));
    if (holder !== draft.path) takeGenerated(staging, draft);
  },
};

/** What goes to a network's gateways, and comes from the services there, has the MAC `generatedMac(network.number)`. */
export const gatewayMac: Concern<'network'> = {
  release({ state, log }, before, after) {
    const [tenant, mac] = [tenantOf(before.path)!, generatedMac(before.number)];
    if (after === undefined && state.macs.get(tenant)?.get(mac) === before.path) giveBackMac(state, log, tenant, mac);
  },

  fill(staging, draft) {
    const holder = staging.state.macs.get(tenantOf(draft.path)!)?.get(generatedMac(draft.number));
    // One that was written before networks had a MAC may have lost it to a port: it keeps its number.
    if (holder !== draft.path && !(staging.isLoading && holder !== undefined)) takeGenerated(staging, draft);
  },
};

/** A resource whose MAC somebody has asked for gets another number: numbers are plenty. */
function takeGenerated(staging: Staging, draft: Draft): number {
  const { state, log } = staging;
  const tenant = tenantOf(draft.path)!;
  while (takeMac(state, log, tenant, generatedMac(draft.number), draft.path) !== undefined) {
    log.write(state.numbers, draft.number, undefined);
    draft.number = staging.nextNumber();
    log.write(state.numbers, draft.number, draft.path);
  }
  return generatedMac(draft.number);
}

function heldBy(state: State, holder: Path): string {
  const tier = state.getAs('tier', holder);
  return tier === undefined ? `is taken by ${holder}` : `is the router's of tier ${tier.path}`;
}
