/** The room as one service, and where its probes come in. */
import type { HypervisorNumber, PacketIn } from '../drivers/switch-plugin.ts';
import { packetInCode } from '../pipeline/packet-in.ts';
import { ConnectivityCheck } from './connectivity.ts';
import type { TraceService } from './service.ts';
import type { Surroundings } from './surroundings.ts';
import { Tracer } from './tracer.ts';

export type TraceRoom = {
  service: TraceService;
  /** What takes packets that flows send to the controller, by the code they give with them. */
  takers: ReadonlyMap<number, (hypervisor: HypervisorNumber, packet: PacketIn) => void>;
};

export function createTraceRoom(around: Surroundings, now: () => number): TraceRoom {
  const tracer = new Tracer(around);
  const { fleet, plugin } = around;
  const connectivity = new ConnectivityCheck({ fleet, plugin, now });
  return {
    service: {
      trace: (request) => tracer.trace(request),
      traceLive: (request) => tracer.traceLive(request),
      connectivity: (hypervisors) => connectivity.check(hypervisors),
    },
    takers: new Map([[packetInCode.probe, (hypervisor, packet) => connectivity.take(hypervisor, packet)]]),
  };
}
