/** The rates of a port as meters have them. */
import type { PortSpec } from '../intent/resources/port.ts';
import type { Qos, RateLimit } from '../pipeline/stages/qos.ts';

type Rate = { rateKbps: number; burstKb?: number };

/** Least burst, kilobits: a segment of 64 KiB that the VM's NIC leaves whole must fit into the bucket. */
const leastBurst = 640;

/** Seconds of the rate that may come at once where nothing is said: with 0.1 one TCP connection reached 53 to 70 % of it. */
const burstTime = 0.8;

function limitOf({ rateKbps, burstKb }: Rate): RateLimit {
  return { rate: rateKbps, burst: Math.max(leastBurst, burstKb ?? Math.round(rateKbps * burstTime)) };
}

export function qosOf({ qos }: PortSpec): Qos {
  const limits: Qos = {};
  if (qos?.fromVm !== undefined) limits.fromVm = limitOf(qos.fromVm);
  if (qos?.toVm !== undefined) limits.toVm = limitOf(qos.toVm);
  if (qos?.dscp !== undefined) limits.dscp = qos.dscp;
  return limits;
}
