/**
 * Every table of the pipeline, once: what it is for, where a hit may go, which priorities it uses. A miss is a drop in
 * every table (no flow is needed for that: fail_mode=secure and OpenFlow 1.5's default). docs/pipeline.md is made from
 * this page, and a test holds every compiled flow to it.
 */

export type PriorityBand = {
  /** Lowest and highest OpenFlow priority of the band. */ from: number;
  to: number;
  what: string;
};

export type Table = {
  id: number;
  name: string;
  purpose: string;
  /** Names of tables a hit may continue in; none: the packet leaves the pipeline here. */
  next: readonly string[];
  /** Names of earlier tables that packets may be sent through anew from here, by resubmit; left out: none. */
  back?: readonly string[];
  /** What its flows may send to the controller; left out: nothing. */
  controller?: string;
  priorities: readonly PriorityBand[];
};

const one = (priority: number, what: string): PriorityBand => ({ from: priority, to: priority, what });

/** OpenFlow priorities of access rules: 65000 - 2 * priority of the rule, plus one for deny, so that deny wins a tie. */
export function rulePriority(priority: number, action: 'allow' | 'deny'): number {
  return 65_000 - 2 * priority + (action === 'deny' ? 1 : 0);
}

const ruleBand: PriorityBand = {
  from: rulePriority(32_000, 'allow'),
  to: rulePriority(1, 'deny'),
  what: 'access rules: 65000 - 2 × priority, + 1 for deny',
};

/**
 * OpenFlow priorities of routes: the longest prefix first; at one length the network's own tiers before peered networks
 * before static routes, so that no two of them ever claim one match. @param length of the prefix in bits, 0-128
 */
export function routePriority(length: number, kind: 'tier' | 'peering' | 'static' | 'outside'): number {
  return 1_000 + 4 * length + { tier: 3, peering: 2, static: 1, outside: 0 }[kind];
}

/** Above every route: packets with no time to live left. */
export const expiredPriority = 2_000;
/** Below every route, and below every port of a tier. */
export const unreachablePriority = 10;

/** The same for the sender's and the receiver's side. */
const statePriorities: readonly PriorityBand[] = [
  one(400, 'invalid'),
  one(300, 'replies and related ICMP errors'),
  one(210, 'TCP in midstream: new without SYN'),
  one(200, 'new, or established in the direction the rules speak of'),
];

const replyPriorities: readonly PriorityBand[] = [
  one(200, 'live'),
  one(110, 'ICMP answers, judged as what they answer'),
  one(100, 'protocols with ports'),
  one(90, 'other protocols'),
];

const reversePriorities: readonly PriorityBand[] = [
  one(100, 'allowed in reverse'),
  one(50, 'TCP in midstream that is not: judged like any packet'),
  one(40, 'a reply that is denied, and logged'),
];

const commitPriorities: readonly PriorityBand[] = [
  one(110, 'a new connection that is logged'),
  one(100, 'a new connection'),
  one(90, 'a known one whose label is out of date: it gets another'),
  one(80, 'a known one'),
  one(70, 'denied, and logged'),
];

const declared = {
  Classifier: {
    id: 0,
    name: 'Classifier',
    purpose:
      'Where does the frame come from: a VM of which tenant, network and tier, a tunnel, a provider network, or the services of a gateway host',
    next: ['StandbyPort', 'GatewayAlive', 'ProviderIngress', 'TunnelIngress', 'PortSecurity', 'ServiceReply'],
    priorities: [
      one(110, 'a bound port whose IP packets are marked with a DSCP'),
      one(100, 'a bound port'),
      one(95, 'a device behind a VLAN that may send from any MAC'),
      one(90, 'a tunnel port'),
      one(80, 'the port to a provider network'),
      one(70, 'the port of the services of a gateway host'),
    ],
  },
  StandbyPort: {
    id: 1,
    name: 'StandbyPort',
    purpose:
      'A port that two gateways have (a device behind a VLAN) is served by the second one only while the first is dead',
    next: ['PortSecurity'],
    priorities: [one(100, 'no better gateway is alive')],
  },
  ProviderIngress: {
    id: 2,
    name: 'ProviderIngress',
    purpose: 'What comes from a provider network: for which public address, and whose that is',
    next: ['ProviderAccept', 'GatewayAlive', 'IngressConntrack', 'LocalOutput'],
    controller: 'what the next hop of an address pool says of its MAC (ARP), behind a meter',
    priorities: [
      one(115, 'ARP for a port straight on the provider network'),
      one(110, 'ARP of the next hop of a pool'),
      one(
        100,
        'ARP requests for a public address, and IP packets to it, or to a port straight on the provider network',
      ),
    ],
  },
  ProviderAccept: {
    id: 3,
    name: 'ProviderAccept',
    purpose:
      'Taken by the gateway that is in charge of the public address: it answers ARP for it, and what connection tracking knows is translated back',
    next: ['ProviderNat'],
    controller: 'what is larger than the MTU of the network: the sender is told',
    priorities: [
      one(110, 'larger than the MTU of the network'),
      one(105, "from an address that is nobody's outside: of the network itself, or a host's own"),
      one(100, 'an ARP request for a public address'),
      one(90, 'IP packets'),
      one(80, 'IP packets where the first gateway is alive: they may belong to what was begun here'),
    ],
  },
  TunnelIngress: {
    id: 4,
    name: 'TunnelIngress',
    purpose: 'A tunnel port admits a key only from a peer that hosts that tenant',
    next: ['TunnelLookup', 'Probe'],
    priorities: [one(110, 'a probe, under the key of no tenant'), one(100, 'a key of a tenant both ends host')],
  },
  TunnelLookup: {
    id: 6,
    name: 'TunnelLookup',
    purpose: 'Which local port is meant, by key, MAC and IP; from here no way leads back to a tunnel (split horizon)',
    next: ['TunnelSource'],
    priorities: [
      one(110, 'what the services of a gateway host send to a local port'),
      one(105, 'to the gateway of a network: on its way out, or to the services'),
      one(100, 'an address of a local port'),
      one(95, 'what is steered to a local port'),
      one(90, 'an address beyond a local port, by a static route'),
      one(60, 'anything for a port without port security'),
    ],
  },
  TunnelSource: {
    id: 8,
    name: 'TunnelSource',
    purpose:
      "A peer's frames carry sources of its own: the sender's address must be bound there, in the receiver's network or one peered to it",
    next: ['IngressConntrack', 'LocalOutput'],
    priorities: [
      one(110, 'what the services of a gateway host send, from a gateway of the network'),
      one(107, "anything else under the MAC of a network's gateway: dropped"),
      one(105, 'what asks the services before it has an address'),
      one(100, 'an address bound at that peer'),
      one(90, 'what was steered to a port at that peer'),
      one(80, 'an address pair of a port at that peer'),
      one(40, 'a port without port security is at that peer'),
      one(35, "addresses of the network itself, from a gateway: dropped, they are nobody's there"),
      one(30, 'anything else from a gateway of the network: it comes from outside'),
    ],
  },
  PortSecurity: {
    id: 10,
    name: 'PortSecurity',
    purpose:
      "A VM sends untagged frames from its own MAC and IPs only; ARP must name the same MAC and IP. From a link-local address it may solicit neighbours, nothing else. What only routers and DHCP servers say, and advertisements, which the switch itself makes, it doesn't send",
    next: ['NeighbourResponder', 'Gateway', 'SteeringReturn', 'ServiceRequest'],
    priorities: [
      one(210, 'requests to DHCP servers and router solicitations'),
      one(205, "the MAC of the network's gateway: dropped"),
      one(200, "router and neighbour advertisements, redirects, a DHCP server's answers: dropped"),
      one(150, 'neighbour solicitations'),
      one(100, 'IP (fragments too) and ARP with the addresses of the port'),
      one(145, 'neighbour solicitations from allowed address pairs'),
      one(140, 'neighbour solicitations of ports without port security'),
      one(95, 'allowed address pairs'),
      one(90, 'what a port of a steering rule gives back'),
      one(50, 'anything else of ports without port security'),
    ],
  },
  NeighbourResponder: {
    id: 12,
    name: 'NeighbourResponder',
    purpose:
      "Answers ARP requests and neighbour solicitations for ports of the same tier and its router; they never travel. An answer to a solicitation is completed in the next table: one flow can't both make an advertisement and write its option",
    next: ['NeighbourAdvert', 'Hairpin'],
    priorities: [
      one(
        110,
        "requests for the asking port's own address: silence, so that duplicate address detection passes; or out to the provider network it is on",
      ),
      one(100, 'an address of the tier'),
      one(50, 'any other, of a tier that is straight on a provider network: out there'),
    ],
  },
  NeighbourAdvert: {
    id: 13,
    name: 'NeighbourAdvert',
    purpose: 'Completes neighbour advertisements and sends them back',
    next: [],
    priorities: [one(110, 'duplicate address detection: to all nodes'), one(100, 'to who asked')],
  },
  Gateway: {
    id: 14,
    name: 'Gateway',
    purpose: 'Answers echo requests to the gateway addresses of the network, before any rule is asked',
    next: ['EgressConntrack', 'ServiceRequest'],
    priorities: [
      one(110, 'to the address of metadata and names'),
      one(105, 'anything else to it: dropped'),
      one(100, 'an echo request to a gateway address'),
      one(1, 'everything else'),
    ],
  },
  SteeringReturn: {
    id: 16,
    name: 'SteeringReturn',
    purpose:
      'Exactly what was steered to a port comes back from it with a foreign source; to the next port of the rule, or on to its receiver',
    next: ['Route', 'Lookup'],
    priorities: [
      { ...ruleBand, what: 'steering rules: 65000 - 2 × priority, + 1 for what is from or to such a port itself' },
    ],
  },
  ServiceRequest: {
    id: 18,
    name: 'ServiceRequest',
    purpose:
      'What asks for an address, a router, a name or metadata goes to the gateway of its network, before any rule is asked',
    next: ['WayOut'],
    priorities: [one(100, 'a network that is served')],
  },
  ServiceReply: {
    id: 19,
    name: 'ServiceReply',
    purpose:
      'What the services of this gateway host send by their port: the address it goes to stands for one port of one tenant',
    next: ['Lookup'],
    priorities: [one(100, 'a port')],
  },
  EgressConntrack: {
    id: 20,
    name: 'EgressConntrack',
    purpose: "Through connection tracking in the sender's zone",
    next: ['EgressState'],
    priorities: [one(100, 'IP packets')],
  },
  EgressState: {
    id: 22,
    name: 'EgressState',
    purpose:
      'What a connection sends forward is judged, every packet of it; for replies the label of the connection is held against what is in force; invalid packets go no further',
    next: ['EgressReply', 'EgressCommit', 'Judge', 'LivePorts'],
    priorities: statePriorities,
  },
  EgressReply: {
    id: 24,
    name: 'EgressReply',
    purpose:
      'Replies of live connections pass. Others, and TCP segments of connections this switch has no state of (it was restarted, or the VM came from elsewhere), are judged in reverse: with addresses and ports exchanged',
    next: ['EgressReverse', 'Steering', 'Judge'],
    priorities: replyPriorities,
  },
  EgressReverse: {
    id: 26,
    name: 'EgressReverse',
    purpose:
      'What was judged in reverse: allowed, the connection gets a label that is in force; a reply that nothing allows goes no further',
    next: ['EgressCommit', 'Judge', 'Log'],
    priorities: reversePriorities,
  },
  EgressCommit: {
    id: 28,
    name: 'EgressCommit',
    purpose:
      "What is allowed goes on; a new connection is remembered in the port's zone, with what allowed it. A miss is the default deny",
    next: ['Steering', 'Log'],
    priorities: commitPriorities,
  },
  ProviderNat: {
    id: 30,
    name: 'ProviderNat',
    purpose:
      'From outside, in the zone of the network: connections go on while the NAT rule they were made by is there, new ones begin where a NAT rule publishes something',
    next: ['FromOutside'],
    priorities: [
      one(400, 'invalid'),
      one(300, 'a connection of a NAT rule that is in force'),
      one(250, 'anything else where the first gateway is alive'),
      one(210, 'new, to a port that is forwarded'),
      one(200, 'new, to the address of a static NAT rule'),
    ],
  },
  FromOutside: {
    id: 31,
    name: 'FromOutside',
    purpose: "The receiver's private address is known: on to it, by the ports of a steering rule or the router",
    next: ['Steering'],
    priorities: [one(100, 'everything that got here')],
  },
  Steering: {
    id: 32,
    name: 'Steering',
    purpose: 'Does a steering rule send this direction of the conversation through other ports',
    next: ['Router', 'Lookup'],
    priorities: [
      { ...ruleBand, what: 'steering rules: 65000 - 2 × priority, + 1 for what is from or to such a port itself' },
      one(1, 'not steered'),
    ],
  },
  Router: {
    id: 34,
    name: 'Router',
    purpose: "Is the frame for the router of the sender's tier, or for a neighbour",
    next: ['Route', 'Lookup'],
    priorities: [one(110, 'from outside'), one(100, "the MAC of the tier's router"), one(1, 'bridged')],
  },
  Route: {
    id: 36,
    name: 'Route',
    purpose:
      'Where to, by the longest prefix of the destination: a tier, a peered network, or the port of a static route',
    next: ['NextHop', 'Lookup', 'WayOut'],
    controller: 'what the sender is to be told of by ICMP; answered without a look at intent',
    priorities: [
      one(expiredPriority + 2, 'larger than the MTU of the network: the sender is told'),
      one(expiredPriority + 1, 'no time to live left: the sender is told'),
      one(expiredPriority, 'no time to live left: dropped'),
      one(unreachablePriority, 'no route: the sender is told'),
      {
        from: routePriority(0, 'outside'),
        to: routePriority(128, 'tier'),
        what: 'routes: 1000 + 4 × prefix length, + 3 for a tier, + 2 for a peered network, + 1 for a static route, + 0 for the way out',
      },
    ],
  },
  NextHop: {
    id: 38,
    name: 'NextHop',
    purpose: "The frame becomes one of the receiver's tier: from its router's MAC to the port's",
    next: ['Lookup'],
    controller: 'as Route',
    priorities: [
      one(100, 'an address of a port'),
      one(unreachablePriority, 'an address nobody has: the sender is told'),
    ],
  },
  Lookup: {
    id: 40,
    name: 'Lookup',
    purpose: 'Where is the receiver, by tier, MAC and IP: here, or on which hypervisor',
    next: ['IngressConntrack', 'LocalOutput', 'GatewayAlive', 'Chosen', 'TunnelOutput', 'Hairpin'],
    priorities: [
      one(110, 'what the services of this gateway host send to a port'),
      one(100, 'an address of a port'),
      one(95, 'what is steered to a port'),
      one(90, 'an address beyond a port, by a static route'),
      one(80, 'an address that several ports may have: a copy to each'),
      one(60, 'a port without port security'),
      one(50, 'anybody else, of a tier that is straight on a provider network: out there'),
    ],
  },
  WayOut: {
    id: 42,
    name: 'WayOut',
    purpose:
      "Out of the tenant's network: here, where the address has static NAT and this hypervisor the provider network; else at the network's gateway",
    next: ['SourceNat', 'GatewayAlive', 'Chosen', 'TunnelOutput'],
    priorities: [
      one(120, 'to an address that is inside and no route leads to: dropped'),
      one(110, 'an address with static NAT on its own hypervisor'),
      one(100, 'the gateway of a network'),
    ],
  },
  Chosen: {
    id: 43,
    name: 'Chosen',
    purpose: 'On a second gateway: whether it is in charge, as the first is dead, or the first is',
    next: ['SourceNat', 'IngressConntrack', 'TunnelOutput'],
    priorities: [
      one(110, 'in charge: what goes out or to the services'),
      one(100, 'in charge: what goes to a device behind a VLAN'),
      one(50, 'the first gateway is'),
    ],
  },
  IngressConntrack: {
    id: 60,
    name: 'IngressConntrack',
    purpose: "Through connection tracking in the receiver's zone",
    next: ['IngressState', 'LocalOutput', 'SourceNat'],
    priorities: [
      one(120, 'on its way out of the network, or to the services'),
      one(110, 'steered to this port: it sees one direction only'),
      one(100, 'IP packets'),
    ],
  },
  IngressState: {
    id: 62,
    name: 'IngressState',
    purpose: 'As EgressState, for the receiver',
    next: ['IngressReply', 'IngressCommit', 'Judge', 'LivePorts'],
    priorities: statePriorities,
  },
  IngressReply: {
    id: 64,
    name: 'IngressReply',
    purpose: 'As EgressReply, for the receiver',
    next: ['IngressReverse', 'LocalOutput', 'Judge'],
    priorities: replyPriorities,
  },
  IngressReverse: {
    id: 66,
    name: 'IngressReverse',
    purpose: 'As EgressReverse, for the receiver',
    next: ['IngressCommit', 'Judge', 'Log'],
    priorities: reversePriorities,
  },
  IngressCommit: {
    id: 68,
    name: 'IngressCommit',
    purpose: 'As EgressCommit, for the receiver',
    next: ['LocalOutput', 'Log'],
    priorities: commitPriorities,
  },
  LocalOutput: {
    id: 70,
    name: 'LocalOutput',
    purpose: 'Out to the VM; never back where the frame came from',
    next: [],
    priorities: [one(110, 'to a port with a rate'), one(100, 'everything that got here')],
  },
  TunnelOutput: {
    id: 72,
    name: 'TunnelOutput',
    purpose: "Out to the peer under the tenant's key",
    next: [],
    priorities: [one(110, 'a peer, or another one while that is dead'), one(100, 'a peer')],
  },
  SourceNat: {
    id: 74,
    name: 'SourceNat',
    purpose:
      'At the gateway: what asks the services goes to them, the rest through connection tracking in the zone of the network',
    next: ['ServiceIdentity', 'Responder', 'WayOutNat'],
    priorities: [
      one(120, 'asks for an address or a router'),
      one(110, 'asks for a name or metadata'),
      one(105, 'to an address that is nowhere outside'),
      one(100, 'IPv4 packets on their way out'),
    ],
  },
  ServiceIdentity: {
    id: 75,
    name: 'ServiceIdentity',
    purpose: 'Who asks is told to the services by the source address, which stands for one port of one tenant',
    next: ['ServiceOutput'],
    priorities: [one(100, 'a port')],
  },
  WayOutNat: {
    id: 76,
    name: 'WayOutNat',
    purpose:
      'Connections go on while the NAT rule they were made by is there; a new one gets the public address of the rule it falls under',
    next: ['ProviderOutput'],
    priorities: [
      one(400, 'invalid'),
      one(300, 'a connection of a NAT rule that is in force'),
      one(220, 'from a port that is forwarded to: TCP in midstream, and UDP that nobody has asked for'),
      one(210, 'new, from an address with static NAT'),
      { from: 100, to: 132, what: 'new, from a prefix with source NAT: 100 + prefix length' },
    ],
  },
  Responder: {
    id: 77,
    name: 'Responder',
    purpose: 'Asks for an address or a router: answered by the program on this gateway host',
    next: [],
    controller: 'requests for the program on the gateway host itself, behind a meter; never for the controller',
    priorities: [one(100, 'a request')],
  },
  ProviderOutput: {
    id: 78,
    name: 'ProviderOutput',
    purpose: 'Out to the provider network, from the MAC of the public address to the next hop of its pool',
    next: ['Hairpin'],
    priorities: [one(100, 'a public address')],
  },
  ServiceOutput: {
    id: 79,
    name: 'ServiceOutput',
    purpose: 'Out to the services of this gateway host',
    next: [],
    priorities: [one(100, 'everything that got here')],
  },
  Judge: {
    id: 80,
    name: 'Judge',
    purpose:
      'Whether the packet may be sent: a subroutine of both sides, which says so in registers. Begins with what holds for the whole network',
    next: ['Policies'],
    priorities: [one(100, 'a network')],
  },
  Policies: {
    id: 81,
    name: 'Policies',
    purpose: "The operator's policies: what they say is final",
    next: ['Rules', 'Precedence'],
    priorities: [
      { ...ruleBand, what: 'policies: 65000 - 2 × priority, + 1 for deny' },
      one(2, "to a transit tier, of which the tenant's rules do not speak: denied"),
      one(1, "the tenant's rules decide"),
    ],
  },
  Rules: {
    id: 82,
    name: 'Rules',
    purpose: 'Access rules of the tenants; a miss is the default deny',
    next: ['Precedence'],
    priorities: [ruleBand],
  },
  LivePorts: {
    id: 83,
    name: 'LivePorts',
    purpose:
      'Whether what the label of a connection says is still in force, a subroutine too: the port is as it was. A miss is a label out of date',
    next: ['LiveNetworks'],
    priorities: [one(100, 'a port')],
  },
  LiveNetworks: {
    id: 84,
    name: 'LiveNetworks',
    purpose: 'Nothing has been denied in the network since',
    next: ['LiveRules'],
    priorities: [one(100, 'a network')],
  },
  LiveRules: {
    id: 85,
    name: 'LiveRules',
    purpose: 'The rule or policy that allowed the connection is there, and as it was',
    next: [],
    priorities: [one(100, 'a rule or policy that allows')],
  },
  Precedence: {
    id: 86,
    name: 'Precedence',
    purpose:
      'Of several rules of one priority that speak of the packet, the one with the lowest id has it. Packets come here from rules that are not ahead of all others',
    next: [],
    priorities: [
      {
        from: 2,
        to: 64_999,
        what: 'levels: 65000 - level; rules of one level share no packets, and each is ahead of those it shares packets with below',
      },
      one(1, 'the rule that led here, where no other is ahead of it'),
    ],
  },
  Log: {
    id: 87,
    name: 'Log',
    purpose: 'What is to be logged, for networks that log anything: a subroutine too',
    next: [],
    controller: 'new connections and denied packets of a network that logs them, behind a meter',
    priorities: [one(100, 'a network')],
  },
  GatewayAlive: {
    id: 88,
    name: 'GatewayAlive',
    purpose: 'Whether the first gateway is alive in the eyes of this switch (BFD of the tunnel to it), a subroutine',
    next: [],
    priorities: [one(100, 'a gateway')],
  },
  Hairpin: {
    id: 90,
    name: 'Hairpin',
    purpose:
      'What goes to a public address that this switch has, or to a port of its on the provider network, comes in again as if from there; anything else leaves',
    next: [],
    back: ['ProviderIngress'],
    priorities: [
      one(110, 'to a public address of this switch, or a port of its on the provider network'),
      one(100, 'everything that got here'),
    ],
  },
  Probe: {
    id: 250,
    name: 'Probe',
    purpose: 'Ends the probes that the controller sends from one hypervisor to another',
    next: [],
    controller: 'probes between hypervisors, behind a meter',
    priorities: [one(100, 'a probe')],
  },
  Canary: {
    id: 253,
    name: 'Canary',
    purpose: 'One flow no packet reaches, whose cookie is the generation: a switch that lost it has lost its flows',
    next: [],
    priorities: [one(0, 'the canary')],
  },
} as const satisfies Record<string, Table>;

export type TableName = keyof typeof declared;

export const tables: { readonly [Name in TableName]: Table } = declared;

const byId = new Map<number, Table>(Object.values(declared).map((t) => [t.id, t]));

export function tableById(id: number): Table | undefined {
  return byId.get(id);
}

export function tableName(id: number): string | undefined {
  return byId.get(id)?.name;
}
