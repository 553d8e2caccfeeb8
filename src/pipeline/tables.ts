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
export function routePriority(length: number, kind: 'tier' | 'peering' | 'static'): number {
  return 1_000 + 4 * length + { tier: 3, peering: 2, static: 1 }[kind];
}

/** Above every route: packets with no time to live left. */
export const expiredPriority = 2_000;
/** Below every route, and below every port of a tier. */
export const unreachablePriority = 10;

const declared = {
  Classifier: {
    id: 0,
    name: 'Classifier',
    purpose: 'Where does the frame come from: a VM of which tenant, network and tier, or a tunnel',
    next: ['TunnelIngress', 'PortSecurity'],
    priorities: [
      one(110, 'a bound port whose IP packets are marked with a DSCP'),
      one(100, 'a bound port'),
      one(90, 'a tunnel port'),
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
    next: ['IngressConntrack'],
    priorities: [
      one(100, 'an address bound at that peer'),
      one(90, 'what was steered to a port at that peer'),
      one(80, 'an address pair of a port at that peer'),
      one(40, 'a port without port security is at that peer'),
    ],
  },
  PortSecurity: {
    id: 10,
    name: 'PortSecurity',
    purpose:
      "A VM sends untagged frames from its own MAC and IPs only; ARP must name the same MAC and IP. From a link-local address it may solicit neighbours, nothing else. What only routers and DHCP servers say, and advertisements, which the switch itself makes, it doesn't send",
    next: ['NeighbourResponder', 'Gateway', 'SteeringReturn'],
    priorities: [
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
    next: ['NeighbourAdvert'],
    priorities: [
      one(110, "requests for the asking port's own address: silence, so that duplicate address detection passes"),
      one(100, 'an address of the tier'),
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
    next: ['EgressConntrack'],
    priorities: [one(100, 'an echo request to a gateway address'), one(1, 'everything else')],
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
  EgressConntrack: {
    id: 20,
    name: 'EgressConntrack',
    purpose: "Through connection tracking in the sender's zone",
    next: ['EgressState'],
    priorities: [one(100, 'IPv4')],
  },
  EgressState: {
    id: 22,
    name: 'EgressState',
    purpose:
      'What a connection sends forward is judged, every packet of it; for replies the label of the connection is held against what is in force; invalid packets go no further',
    next: ['EgressReply', 'EgressCommit', 'Judge', 'LivePorts'],
    priorities: [
      one(400, 'invalid'),
      one(300, 'replies and related ICMP errors'),
      one(210, 'TCP in midstream: new without SYN'),
      one(200, 'new, or established in the direction the rules speak of'),
    ],
  },
  EgressReply: {
    id: 24,
    name: 'EgressReply',
    purpose:
      'Replies of live connections pass. Others, and TCP segments of connections this switch has no state of (it was restarted, or the VM came from elsewhere), are judged in reverse: with addresses and ports exchanged',
    next: ['EgressReverse', 'Steering', 'Judge'],
    priorities: [
      one(200, 'live'),
      one(110, 'ICMP answers, judged as what they answer'),
      one(100, 'protocols with ports'),
      one(90, 'other protocols'),
    ],
  },
  EgressReverse: {
    id: 26,
    name: 'EgressReverse',
    purpose:
      'What was judged in reverse: allowed, the connection gets a label that is in force; a reply that nothing allows goes no further',
    next: ['EgressCommit', 'Judge', 'Log'],
    priorities: [
      one(100, 'allowed in reverse'),
      one(50, 'TCP in midstream that is not: judged like any packet'),
      one(40, 'a reply that is denied, and logged'),
    ],
  },
  EgressCommit: {
    id: 28,
    name: 'EgressCommit',
    purpose:
      "What is allowed goes on; a new connection is remembered in the port's zone, with what allowed it. A miss is the default deny",
    next: ['Steering', 'Log'],
    priorities: [
      one(110, 'a new connection that is logged'),
      one(100, 'a new connection'),
      one(90, 'a known one whose label is out of date: it gets another'),
      one(80, 'a known one'),
      one(70, 'denied, and logged'),
    ],
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
    priorities: [one(100, "the MAC of the tier's router"), one(1, 'bridged')],
  },
  Route: {
    id: 36,
    name: 'Route',
    purpose:
      'Where to, by the longest prefix of the destination: a tier, a peered network, or the port of a static route',
    next: ['NextHop', 'Lookup'],
    controller: 'what the sender is to be told of by ICMP; answered without a look at intent',
    priorities: [
      one(expiredPriority + 2, 'larger than the MTU of the network: the sender is told'),
      one(expiredPriority + 1, 'no time to live left: the sender is told'),
      one(expiredPriority, 'no time to live left: dropped'),
      one(unreachablePriority, 'no route: the sender is told'),
      {
        from: routePriority(0, 'static'),
        to: routePriority(128, 'tier'),
        what: 'routes: 1000 + 4 × prefix length, + 3 for a tier, + 2 for a peered network, + 1 for a static route',
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
    next: ['IngressConntrack', 'TunnelOutput'],
    priorities: [
      one(100, 'an address of a port'),
      one(95, 'what is steered to a port'),
      one(90, 'an address beyond a port, by a static route'),
      one(80, 'an address that several ports may have: a copy to each'),
      one(60, 'a port without port security'),
    ],
  },
  IngressConntrack: {
    id: 60,
    name: 'IngressConntrack',
    purpose: "Through connection tracking in the receiver's zone",
    next: ['IngressState', 'LocalOutput'],
    priorities: [one(110, 'steered to this port: it sees one direction only'), one(100, 'IPv4')],
  },
  IngressState: {
    id: 62,
    name: 'IngressState',
    purpose: 'As EgressState, for the receiver',
    next: ['IngressReply', 'IngressCommit', 'Judge', 'LivePorts'],
    priorities: [
      one(400, 'invalid'),
      one(300, 'replies and related ICMP errors'),
      one(210, 'TCP in midstream: new without SYN'),
      one(200, 'new, or established in the direction the rules speak of'),
    ],
  },
  IngressReply: {
    id: 64,
    name: 'IngressReply',
    purpose: 'As EgressReply, for the receiver',
    next: ['IngressReverse', 'LocalOutput', 'Judge'],
    priorities: [
      one(200, 'live'),
      one(110, 'ICMP answers, judged as what they answer'),
      one(100, 'protocols with ports'),
      one(90, 'other protocols'),
    ],
  },
  IngressReverse: {
    id: 66,
    name: 'IngressReverse',
    purpose: 'As EgressReverse, for the receiver',
    next: ['IngressCommit', 'Judge', 'Log'],
    priorities: [
      one(100, 'allowed in reverse'),
      one(50, 'TCP in midstream that is not: judged like any packet'),
      one(40, 'a reply that is denied, and logged'),
    ],
  },
  IngressCommit: {
    id: 68,
    name: 'IngressCommit',
    purpose: 'As EgressCommit, for the receiver',
    next: ['LocalOutput', 'Log'],
    priorities: [
      one(110, 'a new connection that is logged'),
      one(100, 'a new connection'),
      one(90, 'a known one whose label is out of date: it gets another'),
      one(80, 'a known one'),
      one(70, 'denied, and logged'),
    ],
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
    priorities: [one(100, 'a peer')],
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
