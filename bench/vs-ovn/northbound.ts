/**
 * The benchmark's cloud as OVN has it (ovn-nb(5)): a logical switch for each tier and, where the shape is routed, a logical
 * router for each network that joins its two; a port group for each tier with its rules as ACLs (allow-related), everything
 * sent is allowed and everything else received is dropped; port security. One ACL for what is sent, where Keyway judges
 * every rule at both ends: that is how OVN is used, and in its favour.
 */
import { insert, mutate, type Operation, update } from '../../plugins/openvswitch/ovsdb/operations.ts';
import { type JsonRow, map, namedUuid, set } from '../../plugins/openvswitch/ovsdb/types.ts';
import {
  type CloudShape,
  firstAllowedPort,
  type Place,
  ruleSource,
  type Tier,
  tierGateway,
  tierGateway6,
  tierPrefix,
  tierPrefix6,
} from '../support/shape.ts';

/** Of the router's port in each tier; the same in every network, as the VMs' are. */
export const routerMac: Record<Tier, string> = { web: '02:00:00:00:0f:01', db: '02:00:00:00:0f:02' };

const tiers = ['web', 'db'] as const;
const switchName = (network: number, tier: Tier): string => `t${network}-${tier}`;
const groupName = (network: number, tier: Tier): string => `pg_t${network}_${tier}`;
/** Of the one ACL for what is sent. */
const sentName = (network: number, tier: Tier): string => `${switchName(network, tier)}-sent`;
const routerName = (network: number): string => `t${network}`;
const routerPortName = (network: number, tier: Tier): string => `t${network}-${tier}-gateway`;

const addressOf = (end: 'src' | 'dst', shape: CloudShape, tier: Tier): string =>
  shape.dualStack
    ? `(ip4.${end} == ${tierPrefix[tier]} || ip6.${end} == ${tierPrefix6[tier]})`
    : `ip4.${end} == ${tierPrefix[tier]}`;

/** Everything of a network but its ports. @param more matches to allow at both tiers beside the rules, e.g. `icmp4` */
export function networkOperations(shape: CloudShape, network: number, more: readonly string[] = []): Operation[] {
  const operations = tiers.flatMap((tier) => tierOperations(shape, network, tier, more));
  return shape.routed ? [...operations, ...routerOperations(shape, network)] : operations;
}

function tierOperations(shape: CloudShape, network: number, tier: Tier, more: readonly string[]): Operation[] {
  const group = groupName(network, tier);
  const name = switchName(network, tier);
  const acls: JsonRow[] = Array.from({ length: shape.rules }, (_, rule) => ({
    direction: 'to-lport',
    priority: 2000 - rule,
    match: ruleMatch(shape, network, tier, rule, firstAllowedPort + rule),
    action: 'allow-related',
    name: `${name}-${rule}`,
  }));
  const family = shape.dualStack ? 'ip' : 'ip4';
  for (const match of more)
    acls.push({
      direction: 'to-lport',
      priority: 1900,
      match: `outport == @${group} && ${match}`,
      action: 'allow-related',
    });
  acls.push(
    { direction: 'to-lport', priority: 1000, match: `outport == @${group} && ip`, action: 'drop' },
    {
      direction: 'from-lport',
      priority: 1001,
      match: `inport == @${group} && ${family}`,
      action: 'allow-related',
      name: sentName(network, tier),
    },
    { direction: 'from-lport', priority: 1000, match: `inport == @${group} && ip`, action: 'drop' },
  );
  const rows = acls.map((acl, i) => insert('ACL', acl, `acl_${tier}_${i}`));
  const acl = set(acls.map((_, i) => namedUuid(`acl_${tier}_${i}`)));
  return [...rows, insert('Logical_Switch', { name }), insert('Port_Group', { name: group, acls: acl })];
}

function ruleMatch(shape: CloudShape, network: number, tier: Tier, rule: number, tcpPort: number): string {
  const source = addressOf('src', shape, ruleSource(shape, tier, rule));
  return `outport == @${groupName(network, tier)} && ${source} && tcp.dst == ${tcpPort}`;
}

/** The rule now allows this TCP port. */
export function ruleOperation(
  shape: CloudShape,
  network: number,
  tier: Tier,
  rule: number,
  tcpPort: number,
): Operation {
  const match = ruleMatch(shape, network, tier, rule, tcpPort);
  return update('ACL', [['name', '==', `${switchName(network, tier)}-${rule}`]], { match });
}

/** From here on the rules are judged where packets are sent as well, as Keyway does. @param more as above */
export function judgeBothEnds(shape: CloudShape, network: number, more: readonly string[]): Operation[] {
  return tiers.map((from) => {
    const rules = tiers.flatMap((to) =>
      Array.from({ length: shape.rules }, (_, rule) => rule)
        .filter((rule) => ruleSource(shape, to, rule) === from)
        .map((rule) => `(${addressOf('dst', shape, to)} && tcp.dst == ${firstAllowedPort + rule})`),
    );
    const allowed = [...rules, ...more.map((match) => `(${match})`)].join(' || ');
    const match = `inport == @${groupName(network, from)} && (${allowed})`;
    return update('ACL', [['name', '==', sentName(network, from)]], { match });
  });
}

function routerOperations(shape: CloudShape, network: number): Operation[] {
  const operations: Operation[] = [];
  for (const tier of tiers) {
    const name = routerPortName(network, tier);
    const networks = [`${tierGateway[tier]}/24`, ...(shape.dualStack ? [`${tierGateway6[tier]}/64`] : [])];
    const peer: JsonRow = {
      name: `${switchName(network, tier)}-router`,
      type: 'router',
      addresses: set(['router']),
      options: map({ 'router-port': name }),
    };
    operations.push(
      insert('Logical_Router_Port', { name, mac: routerMac[tier], networks: set(networks) }, `lrp_${tier}`),
      insert('Logical_Switch_Port', peer, `peer_${tier}`),
      mutate(
        'Logical_Switch',
        [['name', '==', switchName(network, tier)]],
        [['ports', 'insert', namedUuid(`peer_${tier}`)]],
      ),
    );
  }
  const ports = set(tiers.map((tier) => namedUuid(`lrp_${tier}`)));
  return [...operations, insert('Logical_Router', { name: routerName(network), ports })];
}

export function portOperations({ network, tier, ifaceId, mac, ip, ipv6 }: Place): Operation[] {
  const row = `lsp_${ifaceId.replaceAll('-', '_')}`;
  const addresses = [mac, ip, ...(ipv6 === undefined ? [] : [ipv6])].join(' ');
  return [
    insert('Logical_Switch_Port', { name: ifaceId, addresses, port_security: addresses }, row),
    mutate('Logical_Switch', [['name', '==', switchName(network, tier)]], [['ports', 'insert', namedUuid(row)]]),
    mutate('Port_Group', [['name', '==', groupName(network, tier)]], [['ports', 'insert', namedUuid(row)]]),
  ];
}
