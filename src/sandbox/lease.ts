import { askForLease, type DhcpClient, findDhcpClient } from './dhcp-client.ts';
import { until } from './ephemeral.ts';
import type { Lab } from './lab.ts';
import type { LabMachine } from './lab-host.ts';
import { ipOf, vms } from './story.ts';
import { lease } from './story-outside.ts';

export type LeaseResult = {
  wanted: string;
  /** The address it was given; none in time when left out. */
  got?: string;
  /** Milliseconds, the start of the client included. */
  took: number;
  /** Whether the router it was told of answers it. */
  gateway: boolean;
  ok: boolean;
};

/** A DHCP client in a VM that has no address; the lease is kept as long as the lab. @param patience in milliseconds */
export async function takeLease(
  vm: LabMachine,
  client: DhcpClient,
  directory: string,
  wanted: string,
  patience = 10_000,
): Promise<LeaseResult> {
  const started = performance.now();
  const holder = askForLease(client, vm, directory);
  let got: string | undefined;
  let router = '';
  await until(
    'a lease',
    () => {
      const lease = holder.lease();
      got = lease?.ip_address;
      router = lease?.routers ?? '';
      return got !== undefined;
    },
    patience,
    10,
    // None is an outcome too.
  ).catch(() => {});
  const took = Math.round(performance.now() - started);
  if (got === undefined) {
    await holder.stop();
    return { wanted, took, gateway: false, ok: false };
  }
  const gateway = router !== '' && (await vm.ping(router));
  return { wanted, got, took, gateway, ok: got === wanted && gateway };
}

/** Undefined, and said, where there is no DHCP client to be had. */
export async function leaseBeforeEyes(
  lab: Lab,
  machines: ReadonlyMap<string, LabMachine>,
  progress: (text: string) => void,
): Promise<LeaseResult | undefined> {
  const client = await findDhcpClient(progress);
  if ('unavailable' in client) {
    progress(`NOT shown, there is no DHCP client here: ${client.unavailable}`);
    return undefined;
  }
  const described = vms.find(({ tenant, name }) => `${tenant}/${name}` === lease.vm);
  const machine = machines.get(lease.vm);
  if (described === undefined || machine === undefined) throw new Error(`no VM is called ${lease.vm}`);
  return takeLease(machine, client, lab.directory, ipOf(described));
}
