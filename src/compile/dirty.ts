/** Which subjects a change touches. Costs what the change touches; what it misses, full recompute would find. */
import type { Path, Resource, ResourceChange, View } from '../intent/model.ts';
import { parentPath } from '../inventory/paths.ts';
import type { PlacementEffect } from '../inventory/placement.ts';
import type { CompileState, Subject } from './state.ts';

export function* dirtyByCommit(view: View, change: ResourceChange): Iterable<Subject> {
  switch (change.kind) {
    case 'port':
      yield `port:${change.path}`;
      if (addressing(change.before) !== addressing(change.after)) {
        yield* bucketsNaming(view, change.path);
        for (const group of groupsOf(view, change)) yield* bucketsNaming(view, group);
      }
      return;
    case 'group':
      yield* bucketsNaming(view, change.path);
      return;
    case 'rule':
      if (change.before !== undefined) yield bucket(change.before);
      if (change.after !== undefined) yield bucket(change.after);
      return;
    case 'tier':
      yield `tier:${change.path}`;
      return;
    // A tier's prefix never changes while ports or rules name it; networks, tenants, offerings and hypervisors reach
    // switches through tiers, ports and placement only.
    case 'network':
    case 'tenant':
    case 'offering':
    case 'hypervisor':
      return;
    // Nothing is compiled from these yet.
    case 'policy':
    case 'peering':
    case 'route':
    case 'steering':
      return;
  }
}

export function* dirtyByPlacement(state: CompileState, effect: PlacementEffect): Iterable<Subject> {
  const { view, placement } = state;
  const network = parentPath(effect.port);
  yield `port:${effect.port}`;
  if (effect.networkHosts) {
    for (const port of placement.boundPortsOf(network)) yield `port:${port}`;
    for (const tier of view.children('tier', network)) yield `tier:${tier.path}`;
    for (const rule of view.children('rule', network)) yield bucket(rule);
  }
  if (effect.tenantHosts.length > 0) {
    const tenant = parentPath(network);
    yield `admit:${tenant}`;
    for (const host of effect.tenantHosts) {
      for (const peer of placement.hostsOfTenant(tenant)) {
        if (peer === host) continue;
        yield `tunnel:${host}:${peer}`;
        yield `tunnel:${peer}:${host}`;
      }
    }
  }
}

function bucket(rule: Resource<'rule'>): Subject {
  return `rules:${rule.parent}:${rule.spec.priority}:${rule.spec.action}`;
}

function* bucketsNaming(view: View, path: Path): Iterable<Subject> {
  for (const r of view.referrers(path)) if (r.kind === 'rule') yield bucket(r);
}

/** What rules see of a port. */
function addressing(port: Resource<'port'> | undefined): string {
  return port === undefined ? '' : `${port.spec.ips.join()} ${(port.spec.groups ?? []).join()}`;
}

function* groupsOf(view: View, { path, before, after }: ResourceChange<'port'>): Iterable<Path> {
  const network = (after ?? before)?.parent;
  for (const name of new Set([...(before?.spec.groups ?? []), ...(after?.spec.groups ?? [])]))
    yield `${network}/groups/${name}`;
  for (const r of view.referrers(path)) if (r.kind === 'group') yield r.path;
}
