/** What both systems are asked to do. Every promise resolves when intent is durable and every switch concerned has it. */
import type { Farm } from '../support/farm.ts';
import type { Place, Tier } from '../support/shape.ts';
import type { Tracer } from '../support/trace.ts';
import type { ProcessGroups } from '../support/usage.ts';

export type Contender = AsyncDisposable & {
  name: string;
  farm: Farm;
  tracer: Tracer;
  /** `central`: once in the cloud; `agents`: on each hypervisor beside Open vSwitch. */
  central: ProcessGroups;
  agents: number[];
  /** Networks, tiers and rules, without ports. */
  orderFrame(): Promise<void>;
  /** With as few requests as its users could make. */
  orderPorts(places: readonly Place[]): Promise<void>;
  /** The first rule of a tier now allows this TCP port. */
  changeRule(network: number, tier: Tier, tcpPort: number): Promise<void>;
};
