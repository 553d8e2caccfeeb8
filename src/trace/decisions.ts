/** Which tables decide, and what it means when a packet ends in one: the only page of trace that knows the pipeline's stages. */
import { type TableName, tableName } from '../pipeline/tables.ts';

/** Whose side judges: the sender's switch for the sender, or the receiver's for the receiver. */
export type Side = 'sender' | 'receiver';

/** Why a packet got no further. */
export type Stop =
  /** The port is not among the switch's flows. */
  | 'not-programmed'
  | 'tunnel-key'
  | 'receiver-not-programmed'
  | 'sender-not-known'
  | 'source'
  | 'no-neighbour'
  | 'gateway'
  | 'untracked'
  | 'invalid'
  | 'rules'
  | 'steering'
  | 'time-to-live'
  | 'too-big'
  | 'no-route'
  | 'no-receiver'
  | 'output'
  /** Another gateway is in charge, or takes itself to be. */
  | 'standby'
  | 'no-public-ip'
  | 'no-nat-rule'
  | 'no-gateway'
  | 'no-next-hop'
  | 'no-services'
  | 'nowhere'
  | 'elsewhere';

/** By name, so that tables that come and go are no mistake here: `elsewhere` is said of those nobody has explained. */
const stops: Partial<Record<TableName, Stop>> & Record<string, Stop> = {
  Classifier: 'not-programmed',
  TunnelIngress: 'tunnel-key',
  TunnelLookup: 'receiver-not-programmed',
  TunnelSource: 'sender-not-known',
  PortSecurity: 'source',
  // What a port of a steering rule sends in the name of others, and that rule does not speak of.
  SteeringReturn: 'source',
  NeighbourResponder: 'no-neighbour',
  NeighbourAdvert: 'no-neighbour',
  Gateway: 'gateway',
  EgressConntrack: 'untracked',
  IngressConntrack: 'untracked',
  EgressState: 'invalid',
  IngressState: 'invalid',
  EgressReply: 'rules',
  IngressReply: 'rules',
  EgressReverse: 'rules',
  IngressReverse: 'rules',
  EgressCommit: 'rules',
  IngressCommit: 'rules',
  Steering: 'steering',
  Router: 'too-big',
  Route: 'no-route',
  NextHop: 'no-receiver',
  Lookup: 'no-receiver',
  LocalOutput: 'output',
  TunnelOutput: 'output',
  StandbyPort: 'standby',
  ProviderIngress: 'no-public-ip',
  ProviderAccept: 'standby',
  ProviderNat: 'no-nat-rule',
  FromOutside: 'no-route',
  WayOut: 'no-gateway',
  Chosen: 'no-gateway',
  SourceNat: 'nowhere',
  WayOutNat: 'no-nat-rule',
  ProviderOutput: 'no-next-hop',
  Hairpin: 'no-next-hop',
  ServiceRequest: 'no-services',
  ServiceReply: 'no-services',
  ServiceIdentity: 'no-services',
  ServiceOutput: 'no-services',
  Responder: 'no-services',
};

export function stopAt(table: number): Stop {
  return stops[tableName(table) ?? ''] ?? 'elsewhere';
}

/** The side whose rules are asked from this table on; undefined: as before. */
export function sideFrom(table: number): Side | undefined {
  const name = tableName(table) ?? '';
  if (name.startsWith('Egress') || name === 'PortSecurity') return 'sender';
  return name.startsWith('Ingress') || name === 'TunnelIngress' ? 'receiver' : undefined;
}

/** Tables whose flows say for a rule or policy that it decides. */
export function decides(table: number): boolean {
  const name = tableName(table);
  return name === 'Policies' || name === 'Rules' || name === 'Precedence' || name === 'LiveRules';
}

/** Tables that are asked anew by each side: what was decided before no longer counts. */
export function beginsJudgement(table: number): boolean {
  const name = tableName(table);
  return name === 'Judge' || name === 'LivePorts';
}

/** On its way out of the network, or in. */
export function translates(table: number): 'out' | 'in' | undefined {
  const name = tableName(table);
  return name === 'WayOutNat' ? 'out' : name === 'ProviderNat' ? 'in' : undefined;
}

/** Where a side's decision is carried out. */
export function carriesOut(table: number): boolean {
  return stopAt(table) === 'rules';
}

/** The packet went through the router: between tiers, networks, or outward. */
export function routes(table: number): boolean {
  return tableName(table) === 'Route';
}
