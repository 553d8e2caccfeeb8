/** Table Classifier: a bound port. (Tunnel ports: see tunnel.ts.) */
import { cookie } from '../cookie.ts';
import type { Flow } from '../flow.ts';
import { load, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import type { LocalPort } from './ports.ts';

/** @param mac the one a frame has, of a port that shares its OpenFlow port; its own where left out, 'any' for none that is known */
export function classifyPort(port: LocalPort, mac: number | 'any' = port.mac): Flow {
  return {
    table: tables.Classifier.id,
    priority: mac === 'any' ? 95 : 100,
    cookie: cookie(tables.Classifier.id, port.number),
    match: port.shared === true && mac !== 'any' ? { in_port: port.ofport, eth_src: mac } : { in_port: port.ofport },
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
