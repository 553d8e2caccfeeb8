import type { LabHypervisor } from './lab.ts';
import type { LabMachine } from './lab-host.ts';
import { pingThrough } from './pings.ts';

export type FailoverResult = {
  /** Name of the gateway whose switch was killed. */
  gateway: string;
  sent: number;
  lost: number;
  /** How long that was. */
  milliseconds: number;
  /** Whether the other gateway tracks connections of the public address now. */
  secondHasIt: boolean;
  ok: boolean;
};

/** Milliseconds, on a machine that may have other work; what is promised is half a second, see bench/outside.ts. */
const patience = 2_000;

/** Whether conntrack of the hypervisor has a connection with the address at one of its ends. */
async function tracks(hypervisor: LabHypervisor, address: string): Promise<boolean> {
  return (await hypervisor.appctl('dpctl/dump-conntrack')).includes(`=${address},`);
}

/**
 * The gateway that is in charge of the address is killed, with a hundred pings a second from the VM to the client outside
 * on their way, and started again in the end. Nobody tells the switches.
 */
export async function failOverBeforeEyes(
  gateways: readonly LabHypervisor[],
  vm: LabMachine,
  target: string,
  address: string,
): Promise<FailoverResult> {
  // What either has from before says nothing of who is in charge now.
  for (const gateway of gateways) await gateway.appctl('dpctl/flush-conntrack');
  if (!(await vm.ping(target))) throw new Error(`${vm.name} does not reach ${target} to begin with`);
  const known = await Promise.all(gateways.map((gateway) => tracks(gateway, address)));
  const first = gateways[known.indexOf(true)];
  const second = gateways.find((gateway) => gateway !== first);
  if (first === undefined || second === undefined) throw new Error(`no gateway has connections of ${address}`);
  const { sent, lost, interval } = await pingThrough(vm, target, () => first.kill('ovs-vswitchd'));
  const secondHasIt = await tracks(second, address);
  await first.start('ovs-vswitchd');
  const milliseconds = lost * interval;
  return { gateway: first.name, sent, lost, milliseconds, secondHasIt, ok: milliseconds <= patience && secondHasIt };
}
