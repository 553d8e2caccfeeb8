/**
 * A large rule: two groups of ports and many services. How many flows it costs on the switch that hosts every server, and
 * how long a port more in a group takes; against the product, and against OVN with the same order.
 *
 * node bench/conjunction.ts [clients=500] [servers=500] [services=20] [changes=50]
 */
import { keywayCost } from './conjunction/keyway.ts';
import type { Order } from './conjunction/order.ts';
import { ovnCost } from './conjunction/ovn.ts';
import { openVswitchVersion } from './support/farm.ts';
import { machine, milliseconds, numbers, table } from './support/figures.ts';

const [clients = 500, servers = 500, services = 20, changes = 50] = numbers(500, 500, 20, 50);
const order: Order = { clients, servers, services };
const line = (text: string): void => console.log(text);

line(`${machine()}, Open vSwitch ${await openVswitchVersion()}`);
line(`${clients} clients, ${servers} servers, ${services} TCP ports: a product of ${clients * servers * services}`);

const rows = [['', 'flows for it', 'of all there', 'rule, ms']];
const one = await keywayCost(order, 1, changes);
rows.push(['Keyway, one rule', `${one.flows}`, `${one.flowsInAll}`, one.rule.toFixed(1)]);
const many = await keywayCost(order, services, changes);
rows.push([`Keyway, ${services} rules`, `${many.flows}`, `${many.flowsInAll}`, many.rule.toFixed(1)]);
const ovn = await ovnCost(order, changes, line);
if ('unavailable' in ovn) line(`no OVN: ${ovn.unavailable}`);
else rows.push([ovn.name, `${ovn.flows}`, `${ovn.before + ovn.flows}`, ovn.rule.toFixed(1)]);
line(table(rows));
line(`a client more, until both switches have it: Keyway, one rule: ${milliseconds(one.changes)}`);
line(`  of that compiled, encoded and hashed: ${milliseconds(one.compile)}`);
line(`  Keyway, ${services} rules: ${milliseconds(many.changes)}; compiled ${milliseconds(many.compile)}`);
if (!('unavailable' in ovn)) line(`  ${ovn.name}: ${milliseconds(ovn.changes)}`);
