/** What a switch made for tests has and nobody asked for. */
import { describe, expect, test } from 'vitest';
import { encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { contents, entryOf, OFPT } from './fake-switch.ts';
import { flow } from './flows.ts';
import { SouthboundUnderTest } from './southbound-under-test.ts';

describe('drift', () => {
  const stranger = flow(0, 99, { cookie: 0n });

  test('on connect extra flows go, missing ones come, others are not touched; foreign groups go', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const fake = under.fake(1);
    for (const one of [flow(1, 80), flow(1, 81, { goto: 20 }), stranger]) fake.add(entryOf(encodeFlows([one])));
    fake.groups.add(77);
    const wanted = [flow(1, 80), flow(1, 81), flow(1, 82)];
    under.apply({ a: wanted });
    await fake.connect();
    await under.seen('connected');
    expect(fake.contents()).toEqual(contents(encodeFlows(wanted)));
    expect(fake.groups.size).toBe(0);
    // One overwritten, one added, one deleted, one group.
    expect(fake.flowMods).toBe(4);
  });

  test('flows that differ in the order of their match fields only are decoded, counted, and left', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const fake = under.fake(1);
    const entry = entryOf(encodeFlows([flow(1, 80)]));
    // ofp_match: four bytes of head; then eth_type, ip_proto, tcp_dst (17 bytes) and metadata (12).
    const { match } = entry;
    const reordered = Buffer.concat([
      match.subarray(0, 4),
      match.subarray(21, 33),
      match.subarray(4, 21),
      match.subarray(33),
    ]);
    expect(reordered.equals(match)).toBe(false);
    fake.add({ ...entry, match: reordered });
    fake.add({ ...entryOf(encodeFlows([flow(1, 81)])), idleTimeout: 60 });
    under.apply({ a: [flow(1, 80), flow(1, 81)] });
    await fake.connect();
    await under.seen('connected');
    // The one that would expire is overwritten.
    expect(under.stats()).toMatchObject({ fallbacks: 1, flowMods: 1 });
  });

  test('a switch that tells nothing is found out by the audit', async () => {
    await using under = await new SouthboundUnderTest({ auditInterval: 100 }).start();
    under.admit(1);
    const fake = await under.fake(1).connect();
    await under.program({ a: [flow(1, 80), flow(1, 81)] });
    fake.flows.clear();
    fake.add(entryOf(encodeFlows([stranger])));
    fake.add(entryOf(encodeFlows([flow(1, 80, { goto: 30 })])));
    await under.seen('drifted');
    expect(under.all('drifted')[0]).toEqual([1, { missing: 1, extra: 1, different: 1 }]);
    const wanted = contents(encodeFlows([flow(1, 80), flow(1, 81)])).join();
    await until('mended', () => fake.contents().join() === wanted);
  });

  test('audits of many switches go one after the other', async () => {
    let reading = 0;
    let most = 0;
    await using under = await new SouthboundUnderTest({ auditInterval: 50 }).start();
    const numbers = Array.from({ length: 8 }, (_, index) => index + 1);
    for (const hypervisor of numbers) under.admit(hypervisor);
    let live = false;
    await Promise.all(
      numbers.map((hypervisor) =>
        under
          .fake(hypervisor, {
            intercept: (received, self) => {
              if (!live || received.type !== OFPT.multipartRequest || received.body.readUInt16BE(0) !== 1) return false;
              most = Math.max(most, ++reading);
              const { type, xid, body } = received;
              setTimeout(() => {
                reading--;
                self.handle({ type, xid, body });
              }, 5);
              return true;
            },
          })
          .connect(),
      ),
    );
    await under.seen('connected', 8);
    live = true;
    await until('audits of all', () => numbers.every((hypervisor) => under.stats(hypervisor).reads >= 3), 20_000);
    expect(most).toBe(1);
  });

  test('a switch without flow monitor is read at intervals', async () => {
    await using under = await new SouthboundUnderTest({ pollInterval: 50 }).start();
    under.admit(1);
    const fake = await under
      .fake(1, {
        intercept: ({ type, xid, body }, self) => {
          if (type !== OFPT.multipartRequest || body.readUInt16BE(0) !== 16) return false;
          self.error(xid, [1, 2]);
          return true;
        },
      })
      .connect();
    await under.program({ a: [flow(1, 80)] });
    fake.flows.clear();
    await under.seen('drifted');
    await until('mended', () => fake.flows.size === 1);
  });

  test('policy report: told once, left as it is; our own leftovers go at a reconnect, strangers stay', async () => {
    await using under = await new SouthboundUnderTest({ driftPolicy: 'report', auditInterval: 50 }).start();
    under.admit(1);
    const fake = await under.fake(1).connect();
    await under.program({ a: [flow(1, 80)] });
    fake.add(entryOf(encodeFlows([stranger])));
    fake.add(entryOf(encodeFlows([flow(5, 85)])));
    await under.seen('drifted');
    const { reads } = under.stats();
    await until('more reads', () => under.stats().reads > reads + 3);
    expect(under.all('drifted')).toEqual([[1, { missing: 0, extra: 2, different: 0 }]]);
    expect(fake.flows.size).toBe(3);
    fake.drop();
    await under.seen('disconnected');
    await fake.connect();
    await under.seen('connected', 2);
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(1, 80), stranger])));
  });
});
