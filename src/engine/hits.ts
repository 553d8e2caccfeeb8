/**
 * What a rule or policy has let through or stopped, as its flows have counted it on every switch, read when asked. Both ends
 * judge, so what two ports exchange counts at each of them, also where they share a switch.
 */
import type { FlowCounters, HypervisorNumber, SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Resource } from '../intent/model.ts';
import type { Placement } from '../inventory/placement.ts';
import { cookie } from '../pipeline/cookie.ts';
import { tables } from '../pipeline/tables.ts';
import { Problem } from '../problems.ts';
import type { Hits } from '../reconcile/contract.ts';

/** Where flows of a rule or policy decide, and where packets of its connections are found to be in its force. */
const deciding = [tables.Policies, tables.Rules, tables.Precedence];
const carrying = tables.LiveRules;

export async function hitsOf(
  decider: Resource<'rule'> | Resource<'policy'>,
  placement: Placement,
  programmed: ReadonlyMap<HypervisorNumber, number>,
  plugin: Pick<SwitchPlugin, 'counted'>,
): Promise<Hits> {
  const on = switchesOf(decider, placement).filter((h) => programmed.has(h));
  const cookies = [...deciding, carrying].map(({ id }) => cookie(id, decider.number));
  const found = await Promise.all(on.map((h) => countedOn(plugin, h, cookies)));
  const hits: Hits = { packets: 0, bytes: 0, carried: { packets: 0, bytes: 0 }, complete: !found.includes(undefined) };
  for (const counters of found) {
    counters?.forEach(({ packets, bytes }, i) => {
      const sum = i < deciding.length ? hits : hits.carried;
      sum.packets += packets;
      sum.bytes += bytes;
    });
  }
  return hits;
}

function switchesOf(decider: Resource<'rule'> | Resource<'policy'>, placement: Placement): HypervisorNumber[] {
  if (decider.kind === 'rule') return [...placement.hostsOfNetwork(decider.parent)];
  const tenants = decider.spec.tenants?.map((name) => `tenants/${name}`) ?? placement.tenants();
  const on = new Set<HypervisorNumber>();
  for (const tenant of tenants) for (const h of placement.hostsOfTenant(tenant)) on.add(h);
  return [...on];
}

/** Undefined: the switch cannot be asked now. */
async function countedOn(
  plugin: Pick<SwitchPlugin, 'counted'>,
  hypervisor: HypervisorNumber,
  cookies: readonly bigint[],
): Promise<FlowCounters[] | undefined> {
  try {
    return await plugin.counted?.(hypervisor, cookies);
  } catch (error) {
    if (error instanceof Problem && error.code === 'hypervisor.not-connected') return undefined;
    throw error;
  }
}
