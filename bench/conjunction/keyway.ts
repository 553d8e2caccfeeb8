/** Keyway's part: the controller without its API, in this process. */

import { joinSwitch, settled, startTestCore } from '../../test/support/core.ts';
import type { DummySwitch } from '../../test/support/open-vswitch.ts';
import { timed } from '../support/figures.ts';
import { flowsOn } from './flows.ts';
import { type Cost, type Member, membersOf, type Order, tcpPorts, tierPrefix } from './order.ts';

const network = 'tenants/t/networks/n';

export type KeywayCost = Cost & { compile: number[]; flowsInAll: number };

/** @param rules how many rules of one priority the services are spread over */
export async function keywayCost(order: Order, rules: number, changes: number): Promise<KeywayCost> {
  await using core = await startTestCore();
  await using servers = await joinSwitch(core, 'hv1', '192.0.2.1');
  await using clients = await joinSwitch(core, 'hv2', '192.0.2.2');
  const put = async (...orders: [path: string, spec: Record<string, unknown>][]): Promise<number> => {
    const operations = orders.map(([path, spec]) => ({ op: 'put' as const, path, spec }));
    await core.intent.transact(operations, { restrictedAllowed: true, many: true });
    return core.intent.revision;
  };
  const programmed = async (revision: number): Promise<void> => {
    if (!(await core.status.wait(revision, 'programmed', 60_000))) throw new Error('not programmed');
  };
  const members = membersOf(order, changes);
  const joining = members.slice(-changes);
  const spec = ({ mac, ip, name, group }: Member, groups = [group as string]) => ({
    tier: 'a',
    mac,
    ips: [ip],
    groups,
    ifaceId: name,
  });
  const path = ({ name }: Member): string => `${network}/ports/${name}`;
  await put(
    ['tenants/t', {}],
    [network, { offering: 'basic', cidr: tierPrefix }],
    [`${network}/tiers/a`, { cidr: tierPrefix }],
    [`${network}/groups/clients`, {}],
    [`${network}/groups/servers`, {}],
    ...members.map((m): [string, Record<string, unknown>] => [path(m), spec(m, joining.includes(m) ? [] : [m.group])]),
  );
  const hosts = [servers, clients] as const;
  await Promise.all(
    hosts.map((s, host) =>
      plug(
        s,
        members.filter((m) => m.host === host),
      ),
    ),
  );
  while (core.engine.bindings.placement.size < members.length) await new Promise((resolve) => setTimeout(resolve, 20));
  await settled(core, 120_000);

  const before = await flowsOn(servers);
  const ports = tcpPorts(order).map(String);
  const ordered = Array.from({ length: rules }, (_, i): [string, Record<string, unknown>] => [
    `${network}/rules/r${i}`,
    {
      action: 'allow',
      priority: 100,
      from: { group: 'clients' },
      to: { group: 'servers' },
      protocol: 'tcp',
      ports: ports.filter((_, at) => at % rules === i),
    },
  ]);
  const rule = await timed(async () => programmed(await put(...ordered)));
  await settled(core, 60_000);
  const after = await flowsOn(servers);
  const times: number[] = [];
  const compile: number[] = [];
  for (const member of joining) {
    times.push(await timed(async () => programmed(await put([path(member), spec(member)]))));
    await settled(core);
    // Compiled, encoded and hashed once more, as the change was.
    compile.push(await timed(() => Promise.resolve(core.engine.compiler.compare(`rules:${network}:100:allow`))));
  }
  return { before, flows: after - before, rule, changes: times, compile, flowsInAll: after };
}

async function plug(s: DummySwitch, members: readonly Member[]): Promise<void> {
  for (let i = 0; i < members.length; i += 100) {
    const words: string[] = [];
    for (const { name } of members.slice(i, i + 100)) {
      words.push('--', 'add-port', 'br-int', name);
      words.push('--', 'set', 'Interface', name, 'type=dummy', `external_ids:iface-id=${name}`);
    }
    await s.vsctl(...words.slice(1));
  }
}
