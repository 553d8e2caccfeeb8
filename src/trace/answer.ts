/** What a trace answers. Nothing here is confined to a reader: src/api leaves out what a tenant is not shown. */
import type { Path } from '../intent/model.ts';
import type { Side, Stop } from './decisions.ts';

/** One thing that happened on a switch. */
export type Step =
  | {
      kind: 'table';
      table: number;
      name: string;
      /** Resubmits around it. */
      depth: number;
      /** Notation of ovs-ofctl; missing: no flow matched, which is a drop. */
      flow?: string;
      /** Of the flow, when it was read. */
      packets?: number;
      /** What the flow serves, in words, and its path in intent where it has one. */
      purpose?: string;
      serves?: Path;
      /** Live only: whether the flow counted more packets after the probe was sent than before. */
      seen?: boolean;
    }
  | { kind: 'note'; depth: number; text: string };

export type AnsweredHop = {
  hypervisor: string;
  /** How the packet came in: `port web1 …`, `tunnel from hv1`. */
  arrives: string;
  inPort: number;
  steps: Step[];
  /** Live only: whether every flow of the way here counted the probe. */
  seen?: boolean;
};

/** Who wrote a resource last. */
export type Author = { at: number; role: string; token?: string; tenant?: string };

export type Decision = {
  side: Side;
  /** `default`: no rule or policy speaks of the packet, and so it is denied. */
  by: 'rule' | 'policy' | 'default';
  action: 'allow' | 'deny';
  /** Of the rule or policy. */
  path?: Path;
  /** Its revision. */
  revision?: number;
  text: string;
  author?: Author;
};

export type Verdict = {
  /** `answered`: the sender's switch answered itself, as gateways do. `unknown`: a switch on the way could not be asked. */
  outcome: 'delivered' | 'answered' | 'refused' | 'unknown';
  reason:
    | Stop
    | 'delivered'
    | 'answered'
    | 'outside'
    | 'services'
    | 'unreachable-hypervisor'
    | 'assumed-down'
    | 'unbound'
    | 'no-answer'
    | 'not-followed';
  /** One sentence. */
  text: string;
  /** Of each side that was asked, in order. */
  decisions: Decision[];
  /** What would have to be ordered, or done, for the packet to pass; none when it does. */
  needs: string[];
};

/** A NAT rule the packet went by. */
export type Translated = {
  direction: 'out' | 'in';
  natRule: Path;
  publicIp: Path;
  /** The public one. */
  address: string;
  /** Where it was translated; not for tenants, as the next two. */
  gateway?: string;
  providerNetwork?: string;
  /** Router of the provider network that gets it. */
  nextHop?: string;
};

export type Asked = {
  /** Path of a port, or `outside`. */
  from: string;
  /** Port that has the destination address, where one has. */
  to?: Path;
  source: string;
  destination: string;
  /** `tcp`, `icmp`, … */
  protocol: string;
  sourcePort?: number;
  destinationPort?: number;
  icmp?: { type: number; code: number };
  state: 'new' | 'established' | 'reply';
  /** Of the frame, bytes. */
  length: number;
};

/** Who told the sender which MAC to send to. */
export type Neighbour = { asked: string; mac?: string; text: string };

/** What became of the packet that was really sent. */
export type Live = {
  sent: boolean;
  /** The last flow of the way that was foretold has counted it. */
  arrived: boolean;
  /** Flows of that way that have counted it, and how many there are. */
  seen?: number;
  of?: number;
  text: string;
};

export type Answer = {
  asked: Asked;
  neighbour?: Neighbour;
  hops: AnsweredHop[];
  /** In order. */
  translated?: Translated[];
  /** It comes to a public address of another tenant: what becomes of it there is that one's affair. */
  beyond?: boolean;
  verdict: Verdict;
  /** Of a reply or a later packet: how the packet that opened the connection fared. */
  opening?: Verdict;
  live?: Live;
};
