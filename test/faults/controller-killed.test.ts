/** The controller dies and comes back while packets flow: nobody notices. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { OUR_WRITES } from '../chassis/hypervisor.ts';
import { ipOf, openCloud } from '../e2e/cloud.ts';
import { inSync } from './cloud-state.ts';
import { flowTable, monitorFlows, touched } from './flow-table.ts';
import { startPing, startPush } from './traffic.ts';

/** KEYWAY_FAULTS=long: the traffic lasts 30 s, as users of a restart would see it. */
const long = process.env.KEYWAY_FAULTS === 'long';

test(
  'kill -9 and restart, three times under ping and TCP: no packet lost, no flow touched',
  async (context) => {
    await using cloud = await openCloud(context);
    const { lab, hv1, hv2, acme } = cloud;
    const hypervisors = [hv1, hv2];
    await inSync(lab, hypervisors);
    const ping = await startPing(lab, acme.web1, ipOf('web2'));
    const push = await startPush(lab, acme.web2, acme.web1, ipOf('web2'), 80);
    const monitors = await Promise.all(hypervisors.map((hv) => monitorFlows(lab, hv)));
    /** Transactions of ours on the databases of the hypervisors. */
    const writes = () =>
      hypervisors.map((hv) => readFileSync(`${hv.directory}/conf.db`, 'utf8').split(OUR_WRITES).length);
    const written = writes();
    const dump = () => Promise.all(hypervisors.map(async (hv) => flowTable(await hv.ofctl('dump-flows'))));
    let before = await dump();
    const restarts: number[] = [];
    const started = performance.now();
    for (let round = 0; round < 3; round++) {
      await lab.killController();
      await sleep(200);
      const at = performance.now();
      await lab.startController();
      await inSync(lab, hypervisors);
      restarts.push(Math.round(performance.now() - at));
      if (long) await sleep(Math.max(0, (round + 1) * 10_000 - (performance.now() - started)));
      const after = await dump();
      for (const [i, was] of before.entries()) expect(touched(was, after[i]!)).toEqual([]);
      before = after;
    }
    expect(writes()).toEqual(written);
    for (const monitor of monitors) expect(await monitor.stop()).toEqual([]);
    const [pings, pushed] = [await ping.stop(), await push.stop()];
    console.log(
      `controller killed three times: ${pings.lost.length} of ${pings.sent} pings lost, ` +
        `longest gap in the TCP stream ${Math.round(pushed.longestGap)} ms, in sync again after ${restarts.join(', ')} ms`,
    );
    expect(pings.lost).toEqual([]);
    expect(pushed).toMatchObject({ inOrder: true });
    expect(pushed.broken).toBeUndefined();
    expect(pushed.received).toBeGreaterThan(pings.sent / 2);
  },
  long ? 120_000 : 60_000,
);
