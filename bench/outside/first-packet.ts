/** A public address is ordered while somebody outside already pings it: how long until the first answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import { network, type OutsideArena } from './arena.ts';

/**
 * The router asks for neighbours every 4 ms and does not give up: what is measured is the cloud's part, not a second of
 * waiting for the next ARP request.
 */
const impatient = `cd /proc/sys/net/ipv4/neigh/eth0
echo 4 >retrans_time_ms
echo 30000 >mcast_solicit`;

export async function hurryRouter({ router }: OutsideArena): Promise<void> {
  const { status, stderr } = await router.exec('sh', ['-ec', impatient]);
  if (status !== 0) throw new Error(stderr);
}

export type Sample = {
  /** Milliseconds from the order to the first answer outside. */
  packet: number;
  /** Milliseconds from the order to its own answer, once every switch had confirmed it. */
  programmed: number;
};

/** @param index tells the addresses of the samples apart */
export async function orderUnderPings(arena: OutsideArena, vm: 'inner' | 'edge', index: number): Promise<Sample> {
  const { client, apply } = arena;
  const address = `203.0.113.${10 + (index % 100)}`;
  // It ends with the first answer (-c with -w), and says when that came (-D).
  const pinging = client.exec('ping', ['-n', '-D', '-i', '0.002', '-c', '1', '-w', '10', address], { timeout: 20_000 });
  await sleep(100);
  const resources = [
    { path: `${network}/public-ips/sample`, spec: { pool: 'public', address } },
    { path: `${network}/nat-rules/sample`, spec: { type: 'static', publicIp: 'sample', port: vm } },
  ];
  const ordered = performance.timeOrigin + performance.now();
  await apply(resources);
  const programmed = performance.timeOrigin + performance.now() - ordered;
  const { stdout } = await pinging;
  const first = /^\[(\d+\.\d+)\] \d+ bytes from/m.exec(stdout)?.[1];
  await apply(resources.map(({ path }) => ({ path, delete: true as const })));
  if (first === undefined) throw new Error(`${address} was never answered: ${stdout.slice(-200)}`);
  return { packet: Number(first) * 1000 - ordered, programmed };
}
