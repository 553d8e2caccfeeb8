/** What the rest of the house asks of this room. */
import type { Answer } from './answer.ts';
import type { Connectivity } from './connectivity.ts';
import type { TraceRequest } from './request.ts';

export interface TraceService {
  /**
   * Follows a packet through the flows that are installed now.
   * @throws Problem trace.port-not-bound, resource.not-found, address.invalid or request.invalid about a field;
   * hypervisor.not-connected when the sender's switch cannot be read
   */
  trace(request: TraceRequest): Promise<Answer>;
  /**
   * The same, with the packet really sent from the sender's switch and followed by counters.
   * @throws Problem also trace.not-possible; request.invalid about /live for a packet that opens no connection
   */
  traceLive(request: TraceRequest): Promise<Answer>;
  /**
   * Sends probes over tunnels, and says which do not carry them.
   * @param hypervisors names: tunnels between them; of one, all it has; all there are when left out
   * @throws Problem resource.not-found, trace.not-possible
   */
  connectivity(hypervisors?: readonly string[]): Promise<Connectivity>;
}

export type { Answer, Author, Decision, Verdict } from './answer.ts';
export type { Connectivity } from './connectivity.ts';
export { forTenant } from './for-tenant.ts';
export type { Question, TraceRequest } from './request.ts';
