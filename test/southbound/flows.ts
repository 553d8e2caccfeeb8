/** Flows for tests: shapes as the pipeline has them. */
import { cookie } from '../../src/pipeline/cookie.ts';
import type { Flow } from '../../src/pipeline/flow.ts';

/** A flow of the resource, told apart by `port` (0 to 65535) and table. */
export function flow(resource: number, port: number, more: Partial<Flow> = {}): Flow {
  return {
    table: 10,
    priority: 100,
    cookie: cookie(10, resource),
    match: { eth_type: 0x0800, ip_proto: 6, metadata: 7, tcp_dst: port },
    actions: [{ type: 'setField', field: 'reg1', value: resource }],
    goto: 12,
    ...more,
  };
}

/** Open vSwitch refuses it when a bundle is committed: there is no such group. */
export function toUnknownGroup(resource: number, port: number): Flow {
  return flow(resource, port, { actions: [{ type: 'group', group: 4711 }], goto: undefined });
}
