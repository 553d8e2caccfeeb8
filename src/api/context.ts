/** What the API is given by the composition: it knows intent, tokens and two views of the running system. */
import type { Logger } from 'pino';
import type { Audit } from '../auth/audit.ts';
import type { Tokens } from '../auth/tokens.ts';
import type { Config } from '../config.ts';
import type { GatewayServices } from '../drivers/gateway-services.ts';
import type { Intent } from '../intent/intent.ts';
import type { Fabric, StatusSource } from '../reconcile/contract.ts';
import type { Upkeep } from '../reconcile/upkeep.ts';
import type { Store } from '../store/store.ts';
import type { TraceService } from '../trace/service.ts';
import type { UsageService } from '../usage/service.ts';

export * from '../reconcile/contract.ts';

export type AppContext = {
  intent: Intent;
  store: Store;
  tokens: Tokens;
  audit: Audit;
  status: StatusSource;
  fabric: Fabric;
  upkeep: Upkeep;
  trace: TraceService;
  usage: UsageService;
  gatewayServices: GatewayServices;
  config: Config;
  log: Logger;
};
