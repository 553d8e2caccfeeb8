/** What routes work with. */
import type { Answers } from './answers.ts';
import type { AppContext } from './context.ts';
import type { EventHub } from './event-hub.ts';
import type { GatewayStreams } from './gateway-streams.ts';
import type { Horizon } from './horizon.ts';
import type { Writes } from './writes.ts';

export type Services = AppContext & {
  answers: Answers;
  horizon: Horizon;
  writes: Writes;
  hub: EventHub;
  gatewayStreams: GatewayStreams;
};
