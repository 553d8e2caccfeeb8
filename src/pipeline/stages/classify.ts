/** Table Classifier: a bound port. (Tunnel ports: see tunnel.ts.) */
import { cookie } from '../cookie.ts';
import type { Flow } from '../flow.ts';
import { load, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import type { LocalPort } from './ports.ts';

export function classifyPort(port: LocalPort): Flow {
  return {
    table: tables.Classifier.id,
    priority: 100,
    cookie: cookie(tables.Classifier.id, port.number),
    match: { in_port: port.ofport },
    actions: [
      load(registers.key, port.key),
      load(registers.network, port.network),
      load(registers.tier, port.tier),
      load(registers.zone, port.zone),
      load(registers.portEpoch, port.epoch),
    ],
    goto: tables.PortSecurity.id,
  };
}
