/** Hypervisors that come and go without end leave nothing behind in the controller. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { OFPT } from '../southbound/fake-switch.ts';
import { FakeHypervisor } from './fake-hypervisor.ts';
import type { Holdings, HostMessage } from './reconnect-host.ts';

const long = process.env.KEYWAY_FAULTS === 'long';
const reconnects = long ? 10_000 : 2_000;
const hypervisors = 4;

const program = fileURLToPath(new URL('reconnect-host.ts', import.meta.url));

async function message(child: ChildProcess): Promise<HostMessage> {
  const ended = new AbortController();
  const gone = once(child, 'exit', { signal: ended.signal }).then(([code]) => {
    throw new Error(`the controller ended with ${String(code)}`);
  });
  const told = once(child, 'message', { signal: ended.signal }) as Promise<[HostMessage]>;
  try {
    return (await Promise.race([told, gone]))[0];
  } finally {
    ended.abort();
    // Whichever did not come is of no interest.
    await Promise.allSettled([told, gone]);
  }
}

async function measure(child: ChildProcess): Promise<Holdings> {
  child.send('measure');
  const told = await message(child);
  if (!('holdings' in told)) throw new Error('no holdings');
  return told.holdings;
}

/** Where a session breaks off: by the number of messages the switch has had. */
const stages = [1, 2, 4, 6, 8, Number.POSITIVE_INFINITY];

test(
  `${reconnects} reconnects: no memory, no file descriptor, no timer is left over`,
  async () => {
    const child = fork(program, [String(hypervisors)], {
      execArgv: process.execArgv.filter((a) => !a.includes('inspect')),
    });
    try {
      const told = await message(child);
      if (!('manager' in told)) throw new Error('no manager');
      const hosts = Array.from(
        { length: hypervisors },
        (_, n) =>
          new FakeHypervisor({
            systemId: `hv${n}`,
            encapIp: `192.0.2.${n + 1}`,
            vifs: [{ ifaceId: `if-${n}`, name: `vif${n}`, ofport: 1 }],
          }),
      );
      let live = 0;
      let broken = 0;
      const cycle = async (host: FakeHypervisor, stage: number): Promise<void> => {
        await host.connectDatabase(told.manager);
        const asked = host.monitored;
        await until('a monitor', () => host.monitored >= asked, 10_000, 1);
        const fake = await host.connectSwitch();
        fake.log.length = 0;
        if (stage === Number.POSITIVE_INFINITY) {
          // Read back: what it lacks has come, and is confirmed.
          await until('the flows', () => fake.log.includes(OFPT.multipartRequest) && fake.flows.size > 0, 10_000, 1);
          live++;
        } else {
          await Promise.race([until('messages', () => fake.log.length >= stage, 10_000, 1), fake.closed]);
          broken++;
        }
        // Sometimes the switch goes first, sometimes its database, sometimes both.
        if (stage % 2 === 0) fake.drop();
        host.drop();
        await Promise.all([fake.closed, host.databaseClosed]);
      };
      const run = async (count: number): Promise<void> => {
        await Promise.all(
          hosts.map(async (host, n) => {
            for (let i = 0; i < count / hypervisors; i++) await cycle(host, stages[(i + n) % stages.length]!);
          }),
        );
        // The other side learns of an end a moment after this one.
        await sleep(300);
      };
      // First what is kept for good fills: caches, compiled code, counters by name.
      await run(1_000);
      const before = await measure(child);
      const started = performance.now();
      await run(reconnects);
      const took = (performance.now() - started) / 1000;
      const after = await measure(child);
      const grown = {
        main: after.heap.main - before.heap.main,
        southbound: after.heap.southbound - before.heap.southbound,
        external: after.heap.external - before.heap.external,
      };
      console.log(
        `${reconnects} reconnects in ${took.toFixed(1)} s (${live} to the end, ${broken} broken off): bytes grown ` +
          `${JSON.stringify(grown)}, file descriptors ${before.fileDescriptors} -> ${after.fileDescriptors}, ` +
          `resources ${JSON.stringify(after.resources)}`,
      );
      expect(live).toBeGreaterThan(reconnects / 10);
      // Who comes back as it was is no news: nothing is written to the disk.
      expect(after.revision).toBe(before.revision);
      expect(after.fileDescriptors).toBeLessThanOrEqual(before.fileDescriptors);
      expect(after.resources).toEqual(before.resources);
      // A session has tens of kilobytes: one that stays among a hundred would show.
      const allowed = 256 * 1024 + reconnects * 100;
      expect(grown.main + grown.southbound + grown.external).toBeLessThan(allowed);
    } finally {
      child.disconnect();
      await once(child, 'exit');
    }
  },
  long ? 600_000 : 60_000,
);
