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

const declared = {
  Classifier: {
    id: 0,
    name: 'Classifier',
    purpose: 'Where does the frame come from: a VM of which tenant, network and tier, or a tunnel',
    next: ['TunnelIngress', 'PortSecurity'],
    priorities: [one(100, 'a bound port'), one(90, 'a tunnel port')],
  },
  TunnelIngress: {
    id: 4,
    name: 'TunnelIngress',
    purpose: 'A tunnel port admits a key only from a peer that hosts that tenant',
    next: ['TunnelLookup'],
    priorities: [one(100, 'a key of a tenant both ends host')],
  },
  TunnelLookup: {
    id: 6,
    name: 'TunnelLookup',
    purpose: 'Which local port is meant, by key, MAC and IP; from here no way leads back to a tunnel (split horizon)',
    next: ['TunnelSource'],
    priorities: [one(100, 'an address of a local port')],
  },
  TunnelSource: {
    id: 8,
    name: 'TunnelSource',
    purpose:
      "A peer's frames carry sources of its own: the sender's address must be bound there, in the receiver's network",
    next: ['IngressConntrack'],
    priorities: [one(100, 'an address bound at that peer')],
  },
  PortSecurity: {
    id: 10,
    name: 'PortSecurity',
    purpose:
      'A VM sends untagged frames from its own MAC and IPs only; ARP must name the same MAC and IP. IPv6 passes nowhere yet',
    next: ['ArpResponder', 'EgressConntrack'],
    priorities: [one(100, 'IPv4 (fragments too) and ARP with the addresses of the port')],
  },
  ArpResponder: {
    id: 12,
    name: 'ArpResponder',
    purpose: 'Answers ARP requests for ports of the same tier; ARP never travels',
    next: [],
    priorities: [
      one(110, "requests for the asking port's own address: silence, so that duplicate address detection passes"),
      one(100, 'an address of the tier'),
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
      'Replies of live connections pass; invalid packets do not; what a connection sends forward is judged again',
    next: ['EgressMidstream', 'EgressRules', 'Lookup'],
    priorities: [
      one(400, 'invalid'),
      one(300, 'replies and related ICMP errors'),
      one(210, 'TCP in midstream: new without SYN, or committed so'),
      one(200, 'new, or established in its original direction'),
    ],
  },
  EgressMidstream: {
    id: 23,
    name: 'EgressMidstream',
    purpose:
      'TCP segments of connections this switch has no state of (it was restarted, or the VM came from elsewhere): they pass where a rule allows the connection they reply to. What no rule allows in reverse is judged like any packet',
    next: ['EgressRules', 'EgressCommit'],
    priorities: [
      { ...ruleBand, what: 'access rules in reverse: 65000 - 2 × priority, + 1 for deny' },
      one(1, 'judged like any packet'),
    ],
  },
  EgressRules: {
    id: 24,
    name: 'EgressRules',
    purpose: 'Access rules, for what the port sends; a miss is the default deny',
    next: ['EgressCommit'],
    priorities: [ruleBand],
  },
  EgressCommit: {
    id: 28,
    name: 'EgressCommit',
    purpose: "Remembers a new connection in the sender's zone, with the rule that allowed it",
    next: ['Lookup'],
    priorities: [one(100, 'a new connection'), one(50, 'a known one')],
  },
  Lookup: {
    id: 40,
    name: 'Lookup',
    purpose: "Where is the receiver, by the sender's tier and the frame's MAC and IP: here, or on which hypervisor",
    next: ['IngressConntrack', 'TunnelOutput'],
    priorities: [one(100, 'an address of a port')],
  },
  IngressConntrack: {
    id: 60,
    name: 'IngressConntrack',
    purpose: "Through connection tracking in the receiver's zone",
    next: ['IngressState'],
    priorities: [one(100, 'IPv4')],
  },
  IngressState: {
    id: 62,
    name: 'IngressState',
    purpose: 'As EgressState, for the receiver',
    next: ['IngressMidstream', 'IngressRules', 'LocalOutput'],
    priorities: [
      one(400, 'invalid'),
      one(300, 'replies and related ICMP errors'),
      one(210, 'TCP in midstream: new without SYN, or committed so'),
      one(200, 'new, or established in its original direction'),
    ],
  },
  IngressMidstream: {
    id: 63,
    name: 'IngressMidstream',
    purpose:
      'TCP segments of connections this switch has no state of (it was restarted, or the VM came from elsewhere): they pass where a rule allows the connection they reply to. What no rule allows in reverse is judged like any packet',
    next: ['IngressRules', 'IngressCommit'],
    priorities: [
      { ...ruleBand, what: 'access rules in reverse: 65000 - 2 × priority, + 1 for deny' },
      one(1, 'judged like any packet'),
    ],
  },
  IngressRules: {
    id: 64,
    name: 'IngressRules',
    purpose: 'Access rules, for what the port receives; a miss is the default deny',
    next: ['IngressCommit'],
    priorities: [ruleBand],
  },
  IngressCommit: {
    id: 68,
    name: 'IngressCommit',
    purpose: "As EgressCommit, in the receiver's zone",
    next: ['LocalOutput'],
    priorities: [one(100, 'a new connection'), one(50, 'a known one')],
  },
  LocalOutput: {
    id: 70,
    name: 'LocalOutput',
    purpose: 'Out to the VM; never back where the frame came from',
    next: [],
    priorities: [one(100, 'everything that got here')],
  },
  TunnelOutput: {
    id: 72,
    name: 'TunnelOutput',
    purpose: "Out to the peer under the tenant's key",
    next: [],
    priorities: [one(100, 'a peer')],
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
