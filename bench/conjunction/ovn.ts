/** OVN's part: one logical switch, a port group for each group, and one ACL (ovn-nb(5)) for the rule. */
import { insert, mutate } from '../../plugins/openvswitch/ovsdb/operations.ts';
import { namedUuid, set } from '../../plugins/openvswitch/ovsdb/types.ts';
import type { Daemon } from '../../src/sandbox/ephemeral.ts';
import { openVswitch } from '../../test/support/open-vswitch.ts';
import { startFarm } from '../support/farm.ts';
import { timed } from '../support/figures.ts';
import { encapIp, type Place, systemId } from '../support/shape.ts';
import { startCentral } from '../vs-ovn/central.ts';
import { startOvnController } from '../vs-ovn/controller.ts';
import { findOvn } from '../vs-ovn/find.ts';
import { InstalledWatch } from '../vs-ovn/installed.ts';
import { flowsOn } from './flows.ts';
import { type Cost, type Member, membersOf, type Order, tcpPorts } from './order.ts';

const groups = { clients: 'pg_clients', servers: 'pg_servers' } as const;

export async function ovnCost(
  order: Order,
  changes: number,
  line: (text: string) => void,
): Promise<(Cost & { name: string }) | { unavailable: string }> {
  const ovn = await findOvn(line);
  if ('unavailable' in ovn) return ovn;
  const vswitch = await openVswitch();
  if ('unavailable' in vswitch) return vswitch;
  await using central = await startCentral(ovn, vswitch);
  await using farm = await startFarm(2);
  const controllers: Daemon[] = [];
  const watches: InstalledWatch[] = [];
  try {
    for (const [host, s] of farm.switches.entries()) {
      const { directory, vsctl } = s;
      const where = { name: systemId(host), encapIp: encapIp(host), directory, vsctl };
      controllers.push(await startOvnController(ovn, central.southbound, where));
      watches.push(await InstalledWatch.open(s.databasePath));
    }
    await central.sync();
    const members = membersOf(order, changes);
    const joining = members.slice(-changes);
    await central.transact([
      insert('Logical_Switch', { name: 'n' }),
      ...Object.values(groups).map((name) => insert('Port_Group', { name })),
    ]);
    const rows = new Map<Member, string>();
    for (const member of members) {
      const [made] = await central.transact(port(member));
      rows.set(member, made!.uuid![1]);
    }
    const join = (member: Member) =>
      mutate('Port_Group', [['name', '==', groups[member.group]]], [['ports', 'insert', ['uuid', rows.get(member)!]]]);
    await central.transact(members.slice(0, -changes).map(join));
    // What the farm plugs needs no more of a place than these.
    await farm.plug(members.map(({ host, name }) => ({ host, ifaceId: name }) as Place));
    await Promise.all(members.map(({ host, name }) => watches[host]!.wait(name)));
    await central.sync();

    const servers = farm.switches[0]!;
    const before = await flowsOn(servers);
    const match = `outport == @${groups.servers} && ip4.src == $${groups.clients}_ip4 && tcp.dst == {${tcpPorts(order)}}`;
    const acl = { direction: 'to-lport', priority: 1000, match, action: 'allow-related' };
    const rule = await timed(async () => {
      await central.transact([
        insert('ACL', acl, 'acl'),
        mutate('Port_Group', [['name', '==', groups.servers]], [['acls', 'insert', set([namedUuid('acl')])]]),
      ]);
      await central.sync();
    });
    const flows = (await flowsOn(servers)) - before;
    const times: number[] = [];
    for (const member of joining) {
      times.push(
        await timed(async () => {
          await central.transact([join(member)]);
          await central.sync();
        }),
      );
    }
    return { name: `OVN ${ovn.version}`, before, flows, rule, changes: times };
  } finally {
    for (const watch of watches) watch.close();
    await Promise.all(controllers.map((daemon) => daemon.stop()));
  }
}

function port({ name, mac, ip }: Member) {
  const addresses = `${mac} ${ip}`;
  return [
    insert('Logical_Switch_Port', { name, addresses, port_security: addresses }, rowOf(name)),
    mutate('Logical_Switch', [['name', '==', 'n']], [['ports', 'insert', namedUuid(rowOf(name))]]),
  ];
}

const rowOf = (name: string): string => `lsp_${name.replaceAll('-', '_')}`;
