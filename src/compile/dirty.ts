/** Which subjects a change touches. Costs what the change touches; what it misses, full recompute would find. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, Resource, ResourceChange, View } from '../intent/model.ts';
import { parentPath } from '../inventory/paths.ts';
import type { GatewayEffect, PlacementEffect } from '../inventory/placement.ts';
import { hostsOf } from './alternatives.ts';
import { hasExtras } from './extra-addresses.ts';
import { peersOf } from './routing.ts';
import { nextOfIdentity } from './services.ts';
import type { CompileState, Subject } from './state.ts';

export function* dirtyByCommit(view: View, change: ResourceChange): Iterable<Subject> {
  switch (change.kind) {
    case 'port':
      yield `port:${change.path}`;
      yield* steeredThrough(view, change.path);
      if (change.before !== undefined && change.after?.number !== change.before.number)
        for (const path of nextOfIdentity(view, change.before.number)) yield `port:${path}`;
      for (const port of [change.before, change.after]) yield* routedThrough(view, port);
      if (publishes(view, change.path)) yield `gateway:${parentPath(change.path)}`;
      if (hasExtras(change.before) || hasExtras(change.after)) yield `extra:${parentPath(change.path)}`;
      if (addressing(change.before) !== addressing(change.after)) {
        yield* bucketsNaming(view, change.path);
        for (const group of groupsOf(view, change)) yield* bucketsNaming(view, group);
      }
      return;
    case 'group':
      yield* bucketsNaming(view, change.path);
      if ([...view.referrers(change.path)].some((r) => r.kind === 'rule' && r.spec.action === 'deny'))
        yield `judge:${parentPath(change.path)}`;
      return;
    case 'rule':
      for (const rule of [change.before, change.after]) if (rule !== undefined) yield bucket(rule);
      if ([change.before, change.after].some((r) => r?.spec.action === 'deny' || r?.spec.log === true))
        yield `judge:${parentPath(change.path)}`;
      return;
    case 'policy':
      yield* dirtyByPolicy(view, change);
      return;
    case 'tier':
      yield `tier:${change.path}`;
      yield `services:${parentPath(change.path)}`;
      // It may get a prefix of the other IP version.
      yield* bucketsNaming(view, change.path);
      yield* translating(view, parentPath(change.path));
      return;
    case 'network':
      yield `judge:${change.path}`;
      yield `services:${change.path}`;
      yield* translating(view, change.path);
      for (const peer of peersOf(view, change.path)) yield* translating(view, peer.path);
      if (change.before?.spec.mtu !== change.after?.spec.mtu)
        for (const tier of view.children('tier', change.path)) yield `tier:${tier.path}`;
      yield* peeringsOf(view, change.path);
      return;
    case 'offering':
      for (const r of view.referrers(change.path)) if (r.kind === 'network') yield `services:${r.path}`;
      return;
    // Tenants and hypervisors reach switches through tiers, ports and placement only.
    case 'tenant':
    case 'hypervisor':
      return;
    case 'peering':
      yield `peering:${change.path}`;
      for (const r of [change.before, change.after])
        for (const name of r?.spec.networks ?? [])
          yield* translating(view, `${parentPath(change.path)}/networks/${name}`);
      return;
    case 'nat-rule':
    case 'public-ip':
      yield `gateway:${parentPath(change.path)}`;
      return;
    case 'ip-pool':
      yield* dirtyByPool(view, change.path);
      return;
    case 'provider-network':
      for (const r of view.referrers(change.path)) if (r.kind === 'ip-pool') yield* dirtyByPool(view, r.path);
      return;
    case 'steering':
      yield `steering:${parentPath(change.path)}`;
      yield* translating(view, parentPath(change.path));
      return;
    case 'route':
      yield `route:${change.path}`;
      yield* translating(view, parentPath(change.path));
      return;
  }
}

export function* dirtyByPlacement(state: CompileState, effect: PlacementEffect): Iterable<Subject> {
  const { view, placement } = state;
  const network = parentPath(effect.port);
  yield `port:${effect.port}`;
  yield* steeredThrough(view, effect.port);
  // One that is gone from intent has dirtied its routes when it went.
  yield* routedThrough(view, view.getAs('port', effect.port));
  if (effect.networkHosts || hasExtras(view.getAs('port', effect.port))) yield `extra:${network}`;
  if (effect.networkHosts) {
    for (const port of placement.boundPortsOf(network)) yield `port:${port}`;
    for (const tier of view.children('tier', network)) yield `tier:${tier.path}`;
    for (const route of view.children('route', network)) yield `route:${route.path}`;
    for (const rule of view.children('rule', network)) yield bucket(rule);
    yield `judge:${network}`;
    if (view.count('steering', network) > 0) yield `steering:${network}`;
    yield* peeringsOf(view, network);
    for (const peer of peersOf(view, network)) {
      for (const port of placement.boundPortsOf(peer.path)) yield `port:${port}`;
      yield `extra:${peer.path}`;
    }
    yield `gateway:${network}`;
    yield `services:${network}`;
  } else if (publishes(view, effect.port)) yield `gateway:${network}`;
  yield* dirtyByTenantHosts(state, parentPath(network), effect.tenantHosts);
}

/** A network with NAT: nobody outside may have its addresses, nor what is routed inside. */
function* translating(view: View, network: Path): Iterable<Subject> {
  if (view.count('nat-rule', network) > 0) yield `gateway:${network}`;
}

/** What there is for the pool, and for its addresses. */
export function* dirtyByPool(view: View, pool: Path): Iterable<Subject> {
  for (const { id } of view.children('hypervisor', '')) yield `ip-pool:${pool}:${id}`;
  for (const r of view.referrers(pool)) if (r.kind === 'public-ip') yield `gateway:${r.parent}`;
}

/** Whether NAT rules lead to the port. */
function publishes(view: View, port: Path): boolean {
  for (const r of view.referrers(port)) if (r.kind === 'nat-rule') return true;
  return false;
}

/** Other gateways of a network, which none may have had before, or has from here on. */
export function* dirtyByGateways(state: CompileState, { network, tenantHosts }: GatewayEffect): Iterable<Subject> {
  const { view, placement } = state;
  for (const port of placement.boundPortsOf(network)) yield `port:${port}`;
  for (const tier of view.children('tier', network)) yield `tier:${tier.path}`;
  for (const route of view.children('route', network)) yield `route:${route.path}`;
  yield `extra:${network}`;
  if (view.count('steering', network) > 0) yield `steering:${network}`;
  yield `gateway:${network}`;
  yield `services:${network}`;
  yield* dirtyByTenantHosts(state, parentPath(network), tenantHosts);
}

function* dirtyByTenantHosts(
  { view, placement }: CompileState,
  tenant: Path,
  hosts: readonly HypervisorNumber[],
): Iterable<Subject> {
  if (hosts.length === 0) return;
  yield `admit:${tenant}`;
  for (const policy of view.referrers(tenant)) if (policy.kind === 'policy') yield policyBucket(policy);
  for (const host of hosts) {
    for (const peer of placement.hostsOfTenant(tenant)) {
      if (peer === host) continue;
      yield `tunnel:${host}:${peer}`;
      yield `tunnel:${peer}:${host}`;
    }
  }
}

/** Static routes whose next hop is an address of the port. */
function* routedThrough(view: View, port: Resource<'port'> | undefined): Iterable<Subject> {
  if (port === undefined) return;
  for (const address of hostsOf(port))
    for (const route of view.routesVia(port.parent, address)) yield `route:${route.path}`;
}

function* peeringsOf(view: View, network: Path): Iterable<Subject> {
  for (const r of view.referrers(network)) if (r.kind === 'peering') yield `peering:${r.path}`;
}

function bucket(rule: Resource<'rule'>): Subject {
  return `rules:${rule.parent}:${rule.spec.priority}:${rule.spec.action}`;
}

function policyBucket({ spec }: Resource<'policy'>): Subject {
  return `policies:${spec.priority}:${spec.action}`;
}

/** What the set of switches touches. */
export function* dirtyByFleet(view: View): Iterable<Subject> {
  yield 'base';
  for (const policy of view.children('policy', '')) if (policy.spec.tenants === undefined) yield policyBucket(policy);
}

/**
 * A deny policy that comes, goes or changes is the end of what the labels say in the networks it concerns; with one that
 * is logged they begin to log.
 */
function* dirtyByPolicy(view: View, { before, after }: ResourceChange<'policy'>): Iterable<Subject> {
  const all = [before, after].filter((p) => p !== undefined);
  for (const policy of all) yield policyBucket(policy);
  const concerned = new Set<Path>();
  for (const { spec } of all) {
    if (spec.action !== 'deny' && spec.log !== true) continue;
    if (spec.tenants === undefined) for (const { path } of view.children('tenant', '')) concerned.add(path);
    for (const name of spec.tenants ?? []) concerned.add(`tenants/${name}`);
  }
  for (const tenant of concerned) for (const { path } of view.children('network', tenant)) yield `judge:${path}`;
}

function* bucketsNaming(view: View, path: Path): Iterable<Subject> {
  for (const r of view.referrers(path)) {
    if (r.kind === 'rule') yield bucket(r);
    else if (r.kind === 'steering') yield `steering:${r.parent}`;
  }
}

/** Steering rules that name the port. */
function* steeredThrough(view: View, port: Path): Iterable<Subject> {
  for (const r of view.referrers(port)) if (r.kind === 'steering') yield `steering:${r.parent}`;
}

/** What rules see of a port. */
function addressing(port: Resource<'port'> | undefined): string {
  return port === undefined
    ? ''
    : [port.spec.ips, port.spec.groups, port.spec.allowedAddressPairs?.map(({ ip }) => ip)].join(' ');
}

function* groupsOf(view: View, { path, before, after }: ResourceChange<'port'>): Iterable<Path> {
  const network = (after ?? before)?.parent;
  for (const name of new Set([...(before?.spec.groups ?? []), ...(after?.spec.groups ?? [])]))
    yield `${network}/groups/${name}`;
  for (const r of view.referrers(path)) if (r.kind === 'group') yield r.path;
}
