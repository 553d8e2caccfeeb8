/** Switches that are none, or misbehave: each loses its session, and nothing else. */
import { describe, expect, test } from 'vitest';
import { encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { contents, message, OFPT } from './fake-switch.ts';
import { flow } from './flows.ts';
import { SouthboundUnderTest } from './southbound-under-test.ts';

describe('switches that do not behave', () => {
  /** A well-behaved neighbour keeps being served throughout. */
  async function beside(
    settings: ConstructorParameters<typeof SouthboundUnderTest>[0],
    work: (under: SouthboundUnderTest) => Promise<void>,
  ): Promise<void> {
    await using under = await new SouthboundUnderTest(settings).start();
    under.admit(9);
    const neighbour = await under.fake(9).connect();
    await under.seen('connected');
    await work(under);
    await under.program({ n: [flow(1, 80)] }, [9]);
    expect(neighbour.contents()).toHaveLength(1);
    expect(under.all('disconnected').filter(([hypervisor]) => hypervisor === 9)).toEqual([]);
  }

  test('OpenFlow 1.3 only: refused, and told why, with OFPET_HELLO_FAILED', async () => {
    await beside({}, async (under) => {
      under.admit(1);
      const heard: Buffer[] = [];
      const fake = under.fake(1, {
        intercept: ({ type, body }) => {
          if (type === OFPT.error) heard.push(body);
          return true;
        },
      });
      await fake.connect(message(OFPT.hello, 1, Buffer.from([0, 1, 0, 8, 0, 0, 0, 1 << 4]), 4));
      await fake.closed;
      expect(under.all('refused')[0]![1]).toContain('offers OpenFlow 1.3, and 1.5 is required');
      expect(heard).toHaveLength(1);
      expect(heard[0]!.readUInt32BE(0)).toBe(0);
    });
  });

  test.each([
    ['garbage', Buffer.from('GET / HTTP/1.1\r\nHost: keyway\r\n\r\n')],
    ['a length shorter than a header', Buffer.from([6, 0, 0, 4, 0, 0, 0, 1])],
    ['a message before HELLO', message(OFPT.echoRequest, 1)],
  ])('%s instead of HELLO: refused', async (_what, bytes) => {
    await beside({}, async (under) => {
      const fake = await under.fake(1).connect(bytes);
      await fake.closed;
      await under.seen('refused');
    });
  });

  test('garbage, a wrong version or half a multipart in a living session: that session ends', async () => {
    await beside({}, async (under) => {
      under.admit(1);
      const hostile = [
        Buffer.from('deadbeef00112233'.repeat(8), 'hex'),
        message(OFPT.echoRequest, 5, Buffer.alloc(0), 4),
        message(OFPT.multipartReply, 0, Buffer.from([0, 16, 0, 0, 0, 0, 0, 0, 0, 40, 0, 1, 0, 0, 0, 0])),
      ];
      for (const [index, bytes] of hostile.entries()) {
        const fake = await under.fake(1).connect();
        await until('session', () => under.all('connected').filter(([hv]) => hv === 1).length === index + 1);
        fake.send(bytes);
        await fake.closed;
        await under.seen('disconnected', index + 1);
      }
    });
  });

  test('half a message, then silence: lost', async () => {
    const connection = { probeAfter: 50, lostAfter: 200, stuckAfter: 1_000, highWater: 1 << 20 };
    await beside({ connection }, async (under) => {
      under.admit(1);
      const fake = await under.fake(1, { intercept: ({ type }) => type === OFPT.echoRequest }).connect();
      await until('session', () => under.all('connected').length === 2);
      fake.send(message(OFPT.echoReply, 77, Buffer.alloc(100)).subarray(0, 50));
      await under.seen('disconnected');
      expect(under.all('disconnected')[0]![1]).toContain('nothing came from the switch for 0.2 s');
    });
  });

  test('no HELLO at all: refused', async () => {
    await beside({ handshakeTimeout: 100 }, async (under) => {
      const fake = await under.fake(1, { intercept: () => true }).connect(Buffer.alloc(0));
      await fake.closed;
      expect(under.all('refused')[0]![1]).toContain('no datapath id within 0.1 s');
    });
  });

  test('a datapath id that is nobody’s, or comes from elsewhere: refused', async () => {
    await beside({ handshakeTimeout: 100 }, async (under) => {
      await (await under.fake(5).connect()).closed;
      under.admit(6, { peer: '192.0.2.6' });
      await (await under.fake(6).connect()).closed;
      under.admit(7, { peer: 'unix' });
      await under.fake(7).connect();
      await until('unix', () => under.all('connected').some(([hypervisor]) => hypervisor === 7));
      expect(under.all('refused').map(([, reason]) => reason)).toEqual([
        'OpenFlow: datapath id 0000000000000105 is none that Keyway has set',
        "OpenFlow: datapath id 0000000000000106: its hypervisor's OVSDB session comes from 192.0.2.6",
      ]);
    });
  });

  test('a switch that is there before its OVSDB session waits for it', async () => {
    await beside({}, async (under) => {
      const fake = await under.fake(1).connect();
      await until('features', () => fake.log.includes(OFPT.featuresRequest));
      under.admit(1);
      await until('session', () => under.all('connected').length === 2);
      expect(under.all('refused')).toEqual([]);
    });
  });

  test('a newer session of the same switch replaces the older', async () => {
    await beside({}, async (under) => {
      under.admit(1);
      const first = await under.fake(1).connect();
      await under.program({ a: [flow(1, 80)] });
      const second = await under.fake(1).connect();
      await first.closed;
      await under.program({ a: [flow(1, 81)] });
      expect(second.contents()).toEqual(contents(encodeFlows([flow(1, 81)])));
    });
  });

  test('our echo is answered at once, and theirs measured', async () => {
    const connection = { probeAfter: 50, lostAfter: 2_000, stuckAfter: 1_000, highWater: 1 << 20 };
    await beside({ connection }, async (under) => {
      under.admit(1);
      const echoes: Buffer[] = [];
      const fake = await under
        .fake(1, {
          intercept: ({ type, body }) => {
            if (type === OFPT.echoReply) echoes.push(Buffer.from(body));
            return false;
          },
        })
        .connect();
      await until('session', () => under.all('connected').length === 2);
      fake.send(message(OFPT.echoRequest, 5, Buffer.from('ping')));
      await until('echo', () => echoes.length === 1);
      expect(echoes[0]!.toString()).toBe('ping');
      await until('round trip', () => under.stats().echoRtt !== undefined);
    });
  });

  test('a switch that stops reading is cut off, and what waits for it is bounded', async () => {
    const connection = { probeAfter: 10_000, lostAfter: 60_000, stuckAfter: 500, highWater: 1 << 18 };
    await beside({ connection }, async (under) => {
      under.admit(1);
      const fake = await under.fake(1).connect();
      await until('session', () => under.all('connected').length === 2);
      fake.socket.pause();
      // More than the kernel keeps for us on both sides.
      const bulk = { type: 'note', data: new Uint8Array(1_000) } as const;
      const many = Array.from({ length: 40_000 }, (_, port) => flow(1, port, { actions: [bulk] }));
      under.apply({ a: many });
      await until('something waits', () => under.stats().waiting > connection.highWater);
      expect(under.stats().waiting).toBeLessThan(2 * connection.highWater);
      await under.seen('disconnected');
      expect(under.all('disconnected')[0]![1]).toContain('took nothing');
      fake.drop();
    });
  });
});
