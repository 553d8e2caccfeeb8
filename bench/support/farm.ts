/** Hypervisors of a benchmark: an ovsdb-server and an ovs-vswitchd on the dummy datapath each. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DummySwitch, openVswitch, startDummySwitch } from '../../test/support/open-vswitch.ts';
import { encapIp, type Place, systemId } from './shape.ts';

export type Farm = AsyncDisposable & {
  switches: DummySwitch[];
  /** Process ids of all ovs-vswitchd, and of all ovsdb-server. */
  vswitchds: number[];
  databases: number[];
  /** Makes their interfaces, iface-id included, on the integration bridges, which must be there. */
  plug(places: readonly Place[]): Promise<void>;
  /** Flows of the integration bridge of each. */
  flowCounts(): Promise<number[]>;
};

/** Of what a figure is taken on. @throws Error where there is none */
export async function openVswitchVersion(): Promise<string> {
  const found = await openVswitch();
  if ('unavailable' in found) throw new Error(`no Open vSwitch: ${found.unavailable}`);
  return found.version;
}

/** @param manager where they call, and who makes their integration bridge; without one they have it from the start */
export async function startFarm(count: number, manager?: string): Promise<Farm> {
  await openVswitchVersion();
  const switches: DummySwitch[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(switches.map((s) => s[Symbol.asyncDispose]()));
  };
  try {
    // A few at a time: they are waited for with time-outs.
    for (let first = 0; first < count; first += 4) {
      const some = Array.from({ length: Math.min(4, count - first) }, (_, i) => first + i);
      const started = some.map((host) =>
        startDummySwitch({ systemId: systemId(host), encapIp: encapIp(host), manager }),
      );
      for (const outcome of await Promise.allSettled(started)) {
        if (outcome.status === 'rejected') throw outcome.reason;
        switches.push(outcome.value);
      }
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  const pids = (daemon: string): number[] =>
    switches.map((s) => Number(readFileSync(join(s.directory, `${daemon}.pid`), 'utf8')));
  return {
    switches,
    vswitchds: pids('ovs-vswitchd'),
    databases: pids('ovsdb-server'),
    async plug(places) {
      await Promise.all(
        switches.map((s, host) =>
          plugInto(
            s,
            places.filter((p) => p.host === host),
          ),
        ),
      );
    },
    async flowCounts() {
      const counts: number[] = [];
      for (const s of switches) {
        const text = await s.ofctl('dump-aggregate');
        counts.push(Number(/flow_count=(\d+)/.exec(text)?.[1]));
      }
      return counts;
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** Many in one transaction: one each costs the switch more the more there are. */
async function plugInto(s: DummySwitch, places: readonly Place[]): Promise<void> {
  const batch = 200;
  for (let i = 0; i < places.length; i += batch) {
    const words: string[] = [];
    for (const { ifaceId } of places.slice(i, i + batch)) {
      words.push('--', 'add-port', 'br-int', ifaceId);
      words.push('--', 'set', 'Interface', ifaceId, 'type=dummy', `external_ids:iface-id=${ifaceId}`);
    }
    await s.vsctl(...words.slice(1));
  }
}
