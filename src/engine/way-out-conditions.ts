/** What the API says of provider networks, pools, public addresses, NAT rules, VLAN attachments, and of gateways. */
import { providerOf } from '../compile/provider-tier.ts';
import { patchKeyOf, publicHomes } from '../compile/public-address.ts';
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { servesByGateway } from '../inventory/gateways.ts';
import { providerPatch, vlanPatch } from '../inventory/patch-keys.ts';
import { homesOf } from '../inventory/placement.ts';
import type { Condition, State } from '../reconcile/contract.ts';
import type { Engine } from './engine.ts';
import { trunkOf } from './patches.ts';

export type Said = { condition: Condition; state: State };

/** What is wrong or worth knowing of it; nothing for other kinds. */
export function wayOutConditions(view: View, engine: Engine, resource: Resource): Said[] {
  switch (resource.kind) {
    case 'provider-network':
    case 'trunk':
      return [mapped(engine, resource)];
    case 'ip-pool':
      return [nextHop(engine, resource)];
    case 'public-ip':
      return ofAddress(view, engine, resource);
    case 'nat-rule': {
      const address = view.getAs('public-ip', `${resource.parent}/public-ips/${resource.spec.publicIp}`);
      return address === undefined ? [] : [placed(engine, address)];
    }
    case 'port':
      return onProviderNetwork(view, engine, resource);
    case 'vlan-attachment':
      return [joined(view, engine, resource)];
    case 'network':
      return gatewayPlaced(view, engine, resource);
    case 'hypervisor':
      return encapConflict(engine, resource);
    default:
      return [];
  }
}

/** Switches that have to do with an address. */
export function switchesOfAddress(view: View, engine: Engine, address: Path): readonly HypervisorNumber[] {
  const resource = view.getAs('public-ip', address);
  return resource === undefined ? [] : publicHomes(engine.state, resource);
}

function mapped({ fleet }: Engine, { spec }: Resource<'provider-network' | 'trunk'>): Said {
  let hosts = 0;
  for (const { facts } of fleet.all()) if (facts?.bridgeMappings[spec.physicalNetwork] !== undefined) hosts++;
  if (hosts > 0) return well('Mapped', 'HostFound', `${hosts} hypervisors map ${spec.physicalNetwork}`);
  const why = `no approved hypervisor maps ${spec.physicalNetwork} (keyway-bridge-mappings)`;
  return ill('Mapped', 'NoHost', why);
}

function nextHop({ nextHops, state }: Engine, { path, spec }: Resource<'ip-pool'>): Said {
  const type = 'NextHopResolved';
  if (spec.gatewayMac !== undefined) return well(type, 'Given', `${spec.gateway} is at ${spec.gatewayMac}`);
  const unanswered = nextHops.unanswered(path) ?? 0;
  if (state.nextHopMac(path) === undefined) {
    const why =
      unanswered === 0
        ? `no connected hypervisor has a patch to ask ${spec.gateway} through`
        : `${spec.gateway} has not answered ARP; what leaves by this pool goes nowhere`;
    return ill(type, unanswered === 0 ? 'NobodyAsks' : 'NoAnswer', why);
  }
  // The one under way may be answered yet.
  const since = unanswered > 1 ? `; it has left ${unanswered} questions unanswered since` : '';
  return well(type, 'Learnt', `${spec.gateway} has answered ARP${since}`);
}

function ofAddress(view: View, engine: Engine, address: Resource<'public-ip'>): Said[] {
  const found = [placed(engine, address)];
  const pool = view.getAs('ip-pool', `ip-pools/${address.spec.pool}`);
  if (pool === undefined) return found;
  const hop = nextHop(engine, pool);
  return hop.state === 'programmed' ? found : [...found, hop];
}

function placed(engine: Engine, address: Resource<'public-ip'>): Said {
  const { state, fleet, wayOut } = engine;
  const type = 'Placed';
  const homes = publicHomes(state, address);
  const [first, second] = homes;
  if (first === undefined)
    return ill(type, 'NoGateway', 'no gateway host is there for it (hypervisors with gateway: true)');
  const key = patchKeyOf(state, address);
  const without = homes.filter((h) => key === undefined || state.patch(h, key) === undefined);
  if (without.length === homes.length) {
    const why = `${names(engine, without)} cannot reach the provider network of pool ${address.spec.pool}`;
    return ill(type, 'NoPatch', why);
  }
  const full = homes.filter((h) => wayOut.natZones.lacking(address.parent).has(h));
  if (full.length > 0) return ill(type, 'NoZone', `${names(engine, full)} has no conntrack zone left`);
  if (second !== undefined) {
    const where = `${fleet.name(first)} is in charge, ${fleet.name(second)} stands by`;
    if (without.length === 0) return well(type, 'AtGateways', where);
    return ill(
      type,
      'NoStandby',
      `${names(engine, without)} cannot reach the provider network of pool ${address.spec.pool}`,
    );
  }
  const alone = state.gateways(address.parent).includes(first);
  const where = `${fleet.name(first)} is in charge, nobody stands by`;
  return alone ? well(type, 'AtGateways', where) : well(type, 'WithPort', `with its port on ${fleet.name(first)}`);
}

function joined(view: View, engine: Engine, attachment: Resource<'vlan-attachment'>): Said {
  const { state, fleet } = engine;
  const type = 'Placed';
  const gateways = state.gateways(attachment.parent);
  if (gateways.length === 0)
    return ill(type, 'NoGateway', 'no gateway host is there for it (hypervisors with gateway: true)');
  const physicalNetwork = trunkOf(view, attachment)?.spec.physicalNetwork ?? '';
  const reaching = gateways.filter((h) => fleet.get(h)?.facts?.bridgeMappings[physicalNetwork] !== undefined);
  if (reaching.length === 0) return ill(type, 'NoHost', `${names(engine, gateways)} does not map ${physicalNetwork}`);
  const there = reaching.filter((h) => state.patch(h, vlanPatch(attachment.number)) !== undefined);
  if (there.length === 0) return ill(type, 'NoPatch', `${names(engine, reaching)} has no patch to it yet`);
  return well(type, 'AtGateways', `VLAN ${attachment.spec.vlan} at ${names(engine, there)}`);
}

/** A port straight on a provider network, on a hypervisor that has no way there. */
function onProviderNetwork(view: View, { state, fleet, bindings }: Engine, port: Resource<'port'>): Said[] {
  const bound = bindings.placement.get(port.path);
  const provider = bound === undefined ? undefined : providerOf(view, `${port.parent}/tiers/${port.spec.tier}`);
  if (bound === undefined || provider === undefined) return [];
  if (state.patch(bound.hypervisor, providerPatch(provider.number)) !== undefined) return [];
  const why = `hypervisor ${fleet.name(bound.hypervisor)} has no way to provider network ${provider.name}`;
  return [ill('ProviderNetwork', 'NoPatch', why)];
}

/** Nobody orders gateways: a network without them is as it should be, its public addresses are not. */
function gatewayPlaced(view: View, engine: Engine, { path, spec }: Resource<'network'>): Said[] {
  const { state, fleet, wayOut } = engine;
  if (!wayOut.gateways.any || !servesByGateway(view.getAs('offering', `offerings/${spec.offering}`))) return [];
  const [first, second] = state.gateways(path);
  const type = 'GatewayPlaced';
  if (first === undefined) {
    const why = 'it has no bound port, no public address and no VLAN yet';
    return [{ condition: { type, status: 'False', reason: 'NotInUse', message: why }, state: 'programmed' }];
  }
  const other = second === undefined ? 'nobody stands by' : `${fleet.name(second)} stands by`;
  return [well(type, 'Placed', `${fleet.name(first)} is in charge, ${other}`)];
}

function encapConflict(engine: Engine, { id }: Resource<'hypervisor'>): Said[] {
  const rivals = engine.fleet.encapRivals(id);
  if (rivals.length === 0) return [];
  const address = engine.fleet.get(id)?.facts?.encapIp;
  const message = `${address} is the tunnel address of ${names(engine, rivals)} too: each must have its own (keyway-encap-ip)`;
  return [
    { condition: { type: 'EncapConflict', status: 'True', reason: 'SharedAddress', message }, state: 'degraded' },
  ];
}

/** Whether a device behind a VLAN is bound, and where. */
export function deviceBoundness(engine: Engine, { path, spec }: Resource<'port'>): Said {
  const bound = engine.bindings.placement.get(path);
  const type = 'Bound';
  if (bound !== undefined) {
    const [first, second] = homesOf(bound).map(({ hypervisor }) => engine.fleet.name(hypervisor));
    const other = second === undefined ? '' : `, and ${second} while that is dead`;
    return well(type, 'AttachmentFound', `behind VLAN attachment ${spec.attachment} at ${first}${other}`);
  }
  const why = `no gateway of the network has a patch to VLAN attachment ${spec.attachment}`;
  return ill(type, 'NoPatch', why);
}

function names({ fleet }: Engine, hypervisors: readonly HypervisorNumber[]): string {
  return hypervisors.map((h) => fleet.name(h)).join(' and ');
}

function well(type: string, reason: string, message: string): Said {
  return { condition: { type, status: 'True', reason, message }, state: 'programmed' };
}

function ill(type: string, reason: string, message: string): Said {
  return { condition: { type, status: 'False', reason, message }, state: 'degraded' };
}
