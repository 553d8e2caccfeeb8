/** A switch made for tests fails at every point of a bundle. */
import { describe, expect, test } from 'vitest';
import { encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { contents, type FakeSwitch, OFPT, type Received } from './fake-switch.ts';
import { flow } from './flows.ts';
import { SouthboundUnderTest } from './southbound-under-test.ts';

const isCommit = (type: number, body: Buffer): boolean => type === OFPT.bundleControl && body.readUInt16BE(4) === 4;
const isOpen = (type: number, body: Buffer): boolean => type === OFPT.bundleControl && body.readUInt16BE(4) === 0;

describe('faults', () => {
  const flows = [flow(1, 80), flow(2, 81), flow(3, 82)];

  /** Programs `flows` on a switch that fails once as told, and comes back whenever it is cut off. */
  async function survive(intercept: (received: Received, self: FakeSwitch) => boolean) {
    const settings = { bundleTimeout: 200, replyTimeout: 500 };
    await using under = await new SouthboundUnderTest(settings).start();
    under.admit(1);
    let failed = false;
    const fake = under.fake(1, {
      intercept: (received, self) => {
        if (failed) return false;
        failed = intercept(received, self);
        return failed;
      },
    });
    await fake.connect();
    await under.seen('connected');
    const sequence = under.apply({ a: flows });
    await until('the fault', () => failed);
    if (await Promise.race([fake.closed.then(() => true), under.acknowledged(sequence).then(() => false)])) {
      await fake.connect();
    }
    await under.acknowledged(sequence);
    expect(fake.contents()).toEqual(contents(encodeFlows(flows)));
    expect(under.all('rejected')).toEqual([]);
    return { fake, stats: under.stats(), told: [...under.told] };
  }

  test('cut off before the bundle is opened', async () => {
    const { fake } = await survive(({ type, body }, self) => {
      if (!isOpen(type, body)) return false;
      self.drop();
      return true;
    });
    expect(fake.commits).toBe(1);
  });

  test('cut off among the adds', async () => {
    let adds = 0;
    const { fake } = await survive(({ type }, self) => {
      if (type !== OFPT.bundleAdd || ++adds < 2) return false;
      self.drop();
      return true;
    });
    expect(fake.commits).toBe(1);
  });

  test('cut off before the commit', async () => {
    const { fake } = await survive(({ type, body }, self) => {
      if (!isCommit(type, body)) return false;
      self.drop();
      return true;
    });
    expect(fake.commits).toBe(1);
  });

  test('cut off after the commit, its reply lost: nothing is sent again', async () => {
    const { fake } = await survive(({ type, body }, self) => {
      if (!isCommit(type, body)) return false;
      self.commit(body.readUInt32BE(0));
      self.drop();
      return true;
    });
    expect(fake.commits).toBe(1);
    expect(fake.flowMods).toBe(3);
  });

  test('commit and barrier are swallowed on a living connection: the switch is read back', async () => {
    let swallow = false;
    const { fake, stats } = await survive(({ type, body }, self) => {
      if (isCommit(type, body)) {
        self.commit(body.readUInt32BE(0));
        swallow = true;
        return false;
      }
      return swallow && type === OFPT.barrierRequest;
    });
    expect(stats.indeterminate).toBe(1);
    expect(fake.flowMods).toBe(3);
  });

  test('the bundle times out in the switch (OFPBFC_TIMEOUT at the xid of its opening)', async () => {
    const { stats, told } = await survive(({ type, xid, body }, self) => {
      if (!isOpen(type, body)) return false;
      self.error(xid, [17, 14]);
      return true;
    });
    expect(stats.indeterminate).toBe(1);
    expect(told.some(({ name }) => name === 'disconnected')).toBe(false);
  });

  test.each([
    ['OPEN', isOpen],
    ['COMMIT', isCommit],
  ])('an error on %s: read back, and once more', async (_what, is) => {
    const { stats } = await survive(({ type, xid, body }, self) => {
      if (!is(type, body)) return false;
      self.error(xid, [17, 0]);
      return true;
    });
    expect(stats.indeterminate).toBe(1);
  });

  test('a switch on which no bundle ever works loses its session, with the reason', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const refuseCommits = (received: Received, self: FakeSwitch): boolean => {
      if (!isCommit(received.type, received.body)) return false;
      self.error(received.xid, [17, 1]);
      return true;
    };
    const fake = await under.fake(1, { intercept: refuseCommits }).connect();
    await under.seen('connected');
    under.apply({ a: flows });
    await under.seen('disconnected');
    expect(under.all('disconnected')[0]![1]).toContain('OFPBFC_EPERM');
    await fake.closed;
  });

  test('an error nobody waited for changes nothing', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const fake = await under.fake(1).connect();
    await under.seen('connected');
    fake.error(0xfffffff0, [1, 6]);
    await under.program({ a: flows });
    expect(under.warnings).toContainEqual(expect.stringContaining('nobody waited'));
    expect(under.all('disconnected')).toEqual([]);
  });
});
