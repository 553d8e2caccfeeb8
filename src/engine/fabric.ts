/** What the world looks like, for the API: hypervisors, bindings, flows and whom they serve. */

import { publicHomes } from '../compile/public-address.ts';
import type { ChassisFacts, HypervisorNumber, InstalledFlow, SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { datapathIdOf } from '../inventory/fleet.ts';
import type { Flow } from '../pipeline/flow.ts';
import { tableById, tableName } from '../pipeline/tables.ts';
import { Problem } from '../problems.ts';
import type { Binding, DumpedFlow, Fabric, SeenInterface } from '../reconcile/contract.ts';
import type { Progress } from '../reconcile/progress.ts';
import type { Engine } from './engine.ts';
import { hitsOf } from './hits.ts';
import { startPreview } from './preview.ts';
import { purposeOf, purposeOfFlow } from './purpose.ts';
import { findPorts, findPublicIps } from './where.ts';

export type FabricOptions = {
  view: View;
  engine: Engine;
  progress: Progress;
  plugin: SwitchPlugin;
  metrics: Fabric['metrics'];
  ready: Fabric['ready'];
};

export function createFabric({ view, engine, progress, plugin, metrics, ready }: FabricOptions): Fabric {
  const { fleet, bindings } = engine;

  function numberOf(hypervisor: Path): HypervisorNumber {
    const member = fleet.byPath(hypervisor);
    if (member === undefined)
      throw new Problem('hypervisor.not-connected', `${hypervisor} is not an approved hypervisor`);
    return member.number;
  }

  function dumped(flow: Flow | InstalledFlow): DumpedFlow {
    return {
      flow,
      text: plugin.format(flow),
      tableName: tableName(flow.table) ?? String(flow.table),
      purpose: purposeOfFlow(view, flow),
      ...('packets' in flow ? { stats: { packets: flow.packets, bytes: flow.bytes, duration: flow.duration } } : {}),
    };
  }

  function bindingOf(port: Path): Binding | null {
    const bound = bindings.placement.get(port);
    if (bound === undefined) return null;
    return {
      hypervisor: fleet.name(bound.hypervisor),
      interface: bound.interface,
      ofport: bound.ofport,
      zone: bound.zone,
    };
  }

  return {
    pending: () => fleet.pending(),
    chassis: (path): ChassisFacts | undefined => fleet.byPath(path)?.facts,
    connected: (path) => {
      const member = fleet.byPath(path);
      return member?.present === true && progress.of(member.number)?.connected === true;
    },
    portsOn: (path) => {
      const member = fleet.byPath(path);
      return member === undefined ? 0 : bindings.placement.portsOn(member.number).size;
    },
    unclaimed: (path) => {
      const member = fleet.byPath(path);
      const seen: SeenInterface[] = [];
      for (const [ifaceId, claim] of member === undefined ? [] : bindings.claims.on(member.number))
        if (claim.live && view.portByIfaceId(ifaceId) === undefined)
          seen.push({ ifaceId, name: claim.interface, mac: claim.mac });
      return seen;
    },
    binding: bindingOf,
    datapathId: (h) => datapathIdOf(h.id).toString(16).padStart(16, '0'),
    flows: async (path, which) => {
      const h = numberOf(path);
      const flows = which === 'installed' ? await plugin.installed(h) : await plugin.desired(h);
      return flows.map(dumped).sort((a, b) => a.flow.table - b.flow.table || b.flow.priority - a.flow.priority);
    },
    drift: async (path) => {
      const { missing, extra, different } = await plugin.drift(numberOf(path));
      return {
        missing: missing.map(dumped),
        extra: extra.map(dumped),
        different: different.map(([desired, installed]) => ({
          desired: dumped(desired),
          installed: dumped(installed),
        })),
      };
    },
    explain: async (text) => {
      const found = await locate(text);
      const purpose =
        found.wanted && found.flow !== undefined ? purposeOfFlow(view, found.flow) : purposeOf(view, found.cookie);
      const table = tableById(found.flow?.table ?? -1);
      const revision = purpose.path === undefined ? undefined : view.get(purpose.path)?.revision;
      const lines = [`${purpose.text}${revision === undefined ? '' : ` (revision ${revision})`}.`];
      if (table !== undefined) lines.push(`Table ${table.id} ${table.name}: ${table.purpose}.`);
      if (purpose.path !== undefined) lines.push(...about(view, purpose.path));
      return {
        flow: found.flow === undefined ? undefined : plugin.format(found.flow),
        stage: purpose.stage,
        path: purpose.path,
        text: lines,
        hypervisors: found.on,
      };
    },
    hits: (decider) => hitsOf(decider, bindings.placement, fleet.programmed, plugin),
    where: (query) => findPorts(view, query).map((port) => ({ port, binding: bindingOf(port.path) })),
    wherePublic: (query) =>
      findPublicIps(view, query).map((publicIp) => ({
        publicIp,
        on: publicHomes(engine.state, publicIp).map((h) => fleet.name(h)),
      })),
    preview: () => {
      const started = startPreview(
        engine.compiler,
        (flow) => matchKey(plugin, flow),
        (flow) => plugin.format(flow),
      );
      return {
        staged: started.staged,
        result: () => [...started.result()].map(([h, counts]) => ({ hypervisor: fleet.name(h), ...counts })),
      };
    },
    metrics,
    ready,
  };

  /** The flow a text means, and where it is desired. `wanted`: that very flow, not one of those of a cookie. */
  async function locate(
    text: string,
  ): Promise<{ cookie: bigint; flow: Flow | undefined; wanted: boolean; on: string[] }> {
    const trimmed = text.trim();
    const cookieOnly = /^(cookie=)?0x[0-9a-f]+$/i.test(trimmed);
    const wanted = cookieOnly ? undefined : plugin.parse(trimmed);
    const cookie = cookieOnly ? BigInt(trimmed.replace(/^cookie=/i, '')) : (wanted?.cookie ?? 0n);
    const key = wanted === undefined ? undefined : matchKey(plugin, wanted);
    const on: string[] = [];
    let flow: Flow | undefined = wanted;
    let known = cookie;
    for (const member of fleet.all()) {
      const hit = (await plugin.desired(member.number)).find((f) =>
        key === undefined ? f.cookie === cookie : matchKey(plugin, f) === key,
      );
      if (hit === undefined) continue;
      on.push(member.resource.name);
      flow = hit;
      known = hit.cookie;
    }
    return { cookie: known, flow, wanted: wanted !== undefined, on };
  }
}

function matchKey(plugin: SwitchPlugin, flow: Flow): string {
  return plugin.format({ table: flow.table, priority: flow.priority, match: flow.match, cookie: 0n, actions: [] });
}

function about(view: View, path: Path): string[] {
  const resource = view.get(path);
  if (resource === undefined) return [];
  const lines: string[] = [];
  if (resource.kind === 'rule') {
    const { action, from, to, protocol, ports, priority } = resource.spec;
    const end = (e: object) => Object.entries(e).map(([k, v]) => (k === 'any' ? 'any' : `${k} ${v}`))[0];
    lines.push(
      `The rule says: ${action} ${protocol}${ports === undefined ? '' : ` ${ports.join(', ')}`} from ${end(from)} to ${end(to)}, priority ${priority}.`,
    );
  }
  if (resource.kind === 'nat-rule') lines.push(natText(view, resource));
  if (resource.kind === 'public-ip')
    lines.push(`The public address is ${resource.spec.address}, of pool ${resource.spec.pool}.`);
  if (resource.kind === 'ip-pool')
    lines.push(
      `The pool is ${resource.spec.cidr} on provider network ${resource.spec.providerNetwork}, its next hop ${resource.spec.gateway}.`,
    );
  if (resource.kind === 'port')
    lines.push(
      `The port has MAC ${resource.spec.mac} and ${resource.spec.ips.join(', ')} in tier ${resource.spec.tier}.`,
    );
  return lines;
}

function natText(view: View, { parent, spec }: Resource<'nat-rule'>): string {
  const address = view.getAs('public-ip', `${parent}/public-ips/${spec.publicIp}`)?.spec.address ?? spec.publicIp;
  if (spec.type === 'source') {
    const tiers = spec.tiers === undefined ? 'the network' : `tier ${spec.tiers.join(', ')}`;
    return `The rule says: what leaves from ${tiers} gets ${address}.`;
  }
  if (spec.type === 'static') return `The rule says: ${address} stands for port ${spec.port}, both ways.`;
  const to = spec.privatePorts ?? spec.publicPorts;
  return `The rule says: ${spec.protocol} ${spec.publicPorts} of ${address} leads to ${to} of port ${spec.port}.`;
}
