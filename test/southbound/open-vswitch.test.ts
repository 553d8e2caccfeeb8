/** The whole plugin, thread and all, against real Open vSwitch; its ovs-ofctl is the judge of what is installed. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { formatFlow } from '../../plugins/openvswitch/openflow/text.ts';
import { cookie } from '../../src/pipeline/cookie.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { type DummySwitch, openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { flow, toUnknownGroup } from './flows.ts';
import { PluginUnderTest } from './plugin-under-test.ts';

beforeEach(async (context) => {
  await openVswitchOrSkip(context);
});

/** A plugin and a switch that has connected to it. */
async function connected(): Promise<{ under: PluginUnderTest; ovs: DummySwitch } & AsyncDisposable> {
  const under = await new PluginUnderTest().start();
  const ovs = await startDummySwitch({ manager: under.managers[0]! });
  under.plugin.ready(1);
  await under.seen('connected');
  return {
    under,
    ovs,
    async [Symbol.asyncDispose]() {
      await under[Symbol.asyncDispose]();
      await ovs[Symbol.asyncDispose]();
    },
  };
}

/** What `ovs-ofctl diff-flows` finds between the switch and these flows: cookies, matches, actions, everything. */
async function differences(ovs: DummySwitch, flows: readonly Flow[]): Promise<string> {
  const file = join(ovs.directory, 'wanted.txt');
  writeFileSync(file, flows.map((one) => `${formatFlow(one)}\n`).join(''));
  try {
    return (await ovs.ofctl('diff-flows', file)).trim();
  } catch (error) {
    return (error as Error).message;
  }
}

async function durations(ovs: DummySwitch): Promise<number[]> {
  const dump = await ovs.ofctl('dump-flows');
  return [...dump.matchAll(/duration=([\d.]+)s/g)].map((match) => Number(match[1]));
}

const wanted = [
  flow(1, 80),
  flow(1, 81, { priority: 0x8000, goto: undefined, actions: [{ type: 'output', port: 3 }] }),
  flow(2, 0, { table: 30, match: { reg0: 1, reg1: 2, reg7: { value: 4, mask: 4 }, tun_id: 77n }, goto: 253 }),
  flow(2, 0, { table: 31, match: {}, actions: [], goto: undefined }),
  flow(3, 0, {
    table: 32,
    match: { eth_type: 0x0800, ct_state: { value: 0x21, mask: 0x21 } },
    actions: [
      {
        type: 'ct',
        commit: true,
        zone: { field: 'reg6', offset: 0, bits: 16 },
        exec: [{ type: 'setField', field: 'ct_label', value: 9n }],
      },
      { type: 'resubmit', table: 40 },
    ],
    goto: undefined,
  }),
];

describe('a switch that connects', () => {
  test('is set up, programmed, and has exactly what is desired', async () => {
    await using both = await connected();
    const { under, ovs } = both;
    await under.program({ a: wanted.slice(0, 2), b: wanted.slice(2) });
    expect(await differences(ovs, wanted)).toBe('');
    expect(await under.plugin.drift(1)).toEqual({ missing: [], extra: [], different: [] });
    const installed = await under.plugin.installed(1);
    const text = (flows: Flow[]): string[] => flows.map((one) => under.plugin.format(one)).sort();
    expect(text(installed)).toEqual(text(wanted));
    expect(installed.every(({ packets, duration }) => packets === 0n && duration >= 0 && duration < 10)).toBe(true);
    expect(text(await under.plugin.desired(1))).toEqual(text(wanted));
    const meters = await ovs.ofctl('dump-meters');
    for (const name of ['controller', 'slowpath']) {
      expect(meters).toContain(`meter=${name} pktps burst stats bands=\ntype=drop rate=1000 burst_size=1000`);
    }
  });

  test('counters survive a change of cookie and actions', async () => {
    await using both = await connected();
    const { under, ovs } = both;
    const port = await ovs.addPort('p1');
    const passing = flow(1, 0, { table: 0, match: { in_port: port }, actions: [], goto: undefined });
    await under.program({ a: [passing] });
    await ovs.appctl(
      'netdev-dummy/receive',
      'p1',
      'in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x1234)',
    );
    await until('a packet', async () => (await under.plugin.installed(1))[0]!.packets === 1n);
    await under.program({ a: [{ ...passing, cookie: cookie(10, 2), goto: 12 }] });
    const [changed] = await under.plugin.installed(1);
    expect(changed).toMatchObject({ packets: 1n, cookie: cookie(10, 2), goto: 12 });
  });

  test('a restart of the plugin rewrites nothing on a switch that has everything', async () => {
    await using both = await connected();
    const { under, ovs } = both;
    await under.program({ a: wanted });
    const before = await durations(ovs);
    await under.plugin.stop();
    await using again = await new PluginUnderTest().start();
    again.apply({ a: wanted });
    again.plugin.ready(1);
    await ovs.vsctl('set-manager', again.managers[0]!);
    await again.seen('connected');
    await again.acknowledged(1);
    expect(await again.stats()).toMatchObject({ flowMods: 0, bundles: 0, fallbacks: 0, reads: 1 });
    const after = await durations(ovs);
    expect(after).toHaveLength(before.length);
    for (const [index, duration] of after.entries()) expect(duration).toBeGreaterThan(before[index]!);
    expect(await differences(ovs, wanted)).toBe('');
  });

  test('changes made while the plugin was away are brought in by one bundle', async () => {
    await using both = await connected();
    const { under, ovs } = both;
    await under.program({ a: wanted });
    await under.plugin.stop();
    await using again = await new PluginUnderTest().start();
    const now = [...wanted.slice(1), flow(9, 99), flow(1, 80, { goto: 20 })];
    again.apply({ a: now });
    again.plugin.ready(1);
    await ovs.vsctl('set-manager', again.managers[0]!);
    await again.acknowledged(1);
    expect(await again.stats()).toMatchObject({ flowMods: 2, bundles: 1 });
    expect(await differences(ovs, now)).toBe('');
  });

  test('ovs-vswitchd is killed and starts empty: everything comes back', async () => {
    await using both = await connected();
    const { under, ovs } = both;
    await under.program({ a: wanted });
    await ovs.restart('ovs-vswitchd');
    await under.seen('disconnected');
    await under.seen('connected', 2);
    expect(await differences(ovs, wanted)).toBe('');
  });

  test('is not touched before it is ready, and forgotten when dismissed', async () => {
    await using under = await new PluginUnderTest().start();
    await using ovs = await startDummySwitch({ manager: under.managers[0]! });
    under.apply({ a: wanted });
    await until('an OpenFlow session', () => under.logged.some(({ message }) => message === 'a switch connected'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await differences(ovs, [])).toBe('');
    await expect(under.plugin.installed(1)).rejects.toMatchObject({ code: 'hypervisor.not-connected' });
    under.plugin.ready(1);
    await under.acknowledged(1);
    under.plugin.dismiss(1);
    await under.seen('disconnected');
    expect((await under.plugin.stats()).switches).toEqual([]);
    expect(await differences(ovs, wanted)).toBe('');
  });
});

describe('refused by Open vSwitch', () => {
  test('an unknown group costs its own object; it goes through once it is mended', async () => {
    await using both = await connected();
    const { under, ovs } = both;
    await under.program({ a: [flow(1, 80), flow(2, 81)], b: [flow(3, 82)], c: [toUnknownGroup(3, 83), flow(4, 84)] });
    expect(await differences(ovs, [flow(1, 80), flow(2, 81), flow(4, 84)])).toBe('');
    const [rejection] = under.all('rejected')[0]!;
    expect(rejection).toMatchObject({ hypervisor: 1, unit: 'c', cookie: cookie(10, 3), error: 'OFPBAC_BAD_OUT_GROUP' });
    expect(rejection.flow).toBe(formatFlow(toUnknownGroup(3, 83)));
    await under.program({ c: [flow(3, 83), flow(4, 84)] });
    expect(await differences(ovs, [flow(1, 80), flow(2, 81), flow(3, 82), flow(3, 83), flow(4, 84)])).toBe('');
    expect(under.all('accepted')).toEqual([[1, cookie(10, 3)]]);
  });

  test('a meter that does not exist, among 2,000 good flows', async () => {
    await using both = await connected();
    const { under, ovs } = both;
    const good = Array.from({ length: 2_000 }, (_, port) => flow(1, port));
    const bad = flow(2, 5_000, { actions: [{ type: 'meter', meter: 66 }] });
    await under.program({ a: [...good.slice(0, 1_000), bad, ...good.slice(1_000)] });
    expect(await differences(ovs, good)).toBe('');
    expect(under.all('rejected').map(([{ error }]) => error)).toEqual(['OFPMMFC_INVALID_METER']);
  });
});

describe('changes nobody asked for', () => {
  /** Milliseconds until the switch is as desired again. */
  async function mended(ovs: DummySwitch, edit: () => Promise<unknown>): Promise<number> {
    await edit();
    const start = performance.now();
    await until('mended', async () => (await differences(ovs, wanted)) === '', 5_000);
    return performance.now() - start;
  }

  // The second includes ovs-ofctl itself, several times over: on a busy machine that may take too long once.
  test('flows deleted, added, changed by hand are mended within a second', { retry: 2 }, async () => {
    await using both = await connected();
    const { under, ovs } = both;
    await under.program({ a: wanted });
    expect(await mended(ovs, () => ovs.ofctl('del-flows', 'table=31'))).toBeLessThan(1_000);
    await under.seen('drifted');
    expect(await mended(ovs, () => ovs.ofctl('add-flow', 'table=3,tcp,tp_dst=22,actions=NORMAL'))).toBeLessThan(1_000);
    await under.seen('drifted', 2);
    expect(await mended(ovs, () => ovs.ofctl('mod-flows', 'table=31,actions=output:1'))).toBeLessThan(1_000);
    await under.seen('drifted', 3);
    expect(await mended(ovs, () => ovs.ofctl('del-flows'))).toBeLessThan(1_000);
    await under.seen('drifted', 4);
    const lifetime = formatFlow(wanted[3]!).replace('table=', 'idle_timeout=1000,table=');
    expect(await mended(ovs, () => ovs.ofctl('add-flow', lifetime))).toBeLessThan(1_000);
    await under.seen('drifted', 5);
    expect(under.all('drifted').map(([, counts]) => counts)).toEqual([
      { missing: 1, extra: 0, different: 0 },
      { missing: 0, extra: 1, different: 0 },
      { missing: 0, extra: 0, different: 1 },
      { missing: wanted.length, extra: 0, different: 0 },
      { missing: 0, extra: 0, different: 1 },
    ]);
  });

  test('groups and meters made or changed by hand are removed or set right', async () => {
    await using both = await connected();
    const { under, ovs } = both;
    await ovs.ofctl('add-group', 'group_id=5,type=all,bucket=actions=output:1');
    await until('the group to go', async () => !(await ovs.ofctl('dump-groups')).includes('group_id=5'));
    await ovs.ofctl('add-meter', 'meter=5,kbps,band=type=drop,rate=1');
    await until('the meter to go', async () => !(await ovs.ofctl('dump-meters')).includes('meter=5'));
    await ovs.ofctl('mod-meter', 'meter=slowpath,pktps,band=type=drop,rate=5');
    await until('the meter to be right', async () => !(await ovs.ofctl('dump-meters')).includes('rate=5\n'));
    expect(under.all('drifted')).toHaveLength(3);
  });

  test('ports that were told to lose packets pass them again; one that is down is left so', async () => {
    await using both = await connected();
    const { under, ovs } = both;
    const port = await ovs.addPort('p1');
    const config = async (): Promise<string> =>
      /\(p1\):[^\n]*\n\s*config:\s*(\S[^\n]*)/.exec(await ovs.ofctl('show'))?.[1] ?? 'not there';
    expect(await config()).toBe('0');
    for (const hindrance of ['no-forward', 'no-receive', 'no-packet-in']) {
      const before = under.all('drifted').length;
      await ovs.ofctl('mod-port', 'p1', hindrance);
      await under.seen('drifted', before + 1);
      expect(under.all('drifted')[before]).toEqual([1, { missing: 0, extra: 0, different: 1 }]);
      await until(`the port after ${hindrance}`, async () => (await config()) === '0');
    }
    await ovs.ofctl('mod-port', 'p1', 'down');
    await ovs.ofctl('mod-port', String(port), 'no-forward');
    await until('the port to forward', async () => (await config()) === 'PORT_DOWN');
  });

  test('how fragments are handled is set right when the switch is read', async () => {
    await using under = await new PluginUnderTest({ settings: { auditInterval: 2_000 } }).start();
    await using ovs = await startDummySwitch({ manager: under.managers[0]! });
    under.plugin.ready(1);
    await under.seen('connected');
    await ovs.ofctl('set-frags', 'drop');
    expect(await ovs.ofctl('get-frags')).toContain('drop');
    await until('fragments', async () => (await ovs.ofctl('get-frags')).includes('normal'));
  });

  test('our own changes, however many, are no drift', async () => {
    await using both = await connected();
    const { under } = both;
    for (let round = 0; round < 5; round++) {
      await under.program({ a: Array.from({ length: 3_000 }, (_, port) => flow(1, port, { goto: 20 + round })) });
    }
    await under.program({ a: undefined });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(under.all('drifted')).toEqual([]);
    expect(await under.stats()).toMatchObject({ reads: 1, indeterminate: 0 });
  });

  test('policy report: flows with actions we do not know are told, dumped and left', async () => {
    await using under = await new PluginUnderTest({ driftPolicy: 'report' }).start();
    await using ovs = await startDummySwitch({ manager: under.managers[0]! });
    under.plugin.ready(1);
    await under.program({ a: [flow(1, 80)] });
    await ovs.ofctl('add-flow', 'table=9,mpls,actions=pop_mpls:0x800,NORMAL');
    await under.seen('drifted');
    expect((await under.plugin.drift(1)).extra).toMatchObject([{ table: 9, cookie: 0n }]);
    expect(await under.plugin.installed(1)).toHaveLength(2);
    expect(await ovs.ofctl('dump-flows')).toContain('pop_mpls');
  });
});

test('connections of a conntrack zone are flushed', async () => {
  await using both = await connected();
  const { under, ovs } = both;
  const port = await ovs.addPort('p1');
  const track = (zone: number): Flow =>
    flow(1, zone, {
      table: 0,
      match: { in_port: port, eth_type: 0x0800, ip_proto: 17, udp_dst: zone },
      actions: [{ type: 'ct', commit: true, zone }],
      goto: undefined,
    });
  await under.program({ a: [track(5), track(6)] });
  for (const zone of [5, 6]) {
    const addresses =
      'eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no)';
    await ovs.appctl('netdev-dummy/receive', 'p1', `in_port(1),${addresses},udp(src=1000,dst=${zone})`);
  }
  await until(
    'connections',
    async () => (await ovs.appctl('dpctl/dump-conntrack')).split('\n').filter(Boolean).length === 2,
  );
  await under.plugin.flushZone(1, 5);
  const left = await ovs.appctl('dpctl/dump-conntrack');
  expect(left).toContain('zone=6');
  expect(left).not.toContain('zone=5');
});

test('connections are forgotten by where they go to, and no others', async () => {
  await using both = await connected();
  const { under, ovs } = both;
  const port = await ovs.addPort('p1');
  await under.program({
    a: [
      flow(1, 1, {
        table: 0,
        match: { in_port: port, eth_type: 0x0800 },
        actions: [{ type: 'ct', commit: true, zone: 5, nat: { kind: 'src', ipMin: 0xcb007109 } }],
        goto: undefined,
      }),
    ],
  });
  const send = (to: string, udp: number) =>
    ovs.appctl(
      'netdev-dummy/receive',
      'p1',
      `in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=${to},proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=${udp})`,
    );
  const left = async (): Promise<string[]> =>
    (await ovs.appctl('dpctl/dump-conntrack'))
      .split('\n')
      .flatMap(
        (line) => /orig=\(src=[\d.]+,dst=([\d.]+),sport=\d+,dport=(\d+)\)/.exec(line)?.slice(1, 3).join(':') ?? [],
      )
      .sort();
  const all = ['10.0.0.2:53', '10.0.0.2:54', '10.0.0.3:53'];
  for (const one of all) await send(one.split(':')[0]!, Number(one.split(':')[1]));
  await until('connections', async () => (await left()).length === all.length);
  const to = (address: number, more = {}) => ({ zone: 5, direction: 'original' as const, address, ...more });
  await under.plugin.forgetConnections(1, [
    to(0x0a000002, { zone: 6 }),
    to(0x0a000002, { protocol: 6, port: 53 }),
    to(0x0a000004),
    { ...to(0x0a000002), direction: 'reply' },
  ]);
  expect(await left()).toEqual(all);
  await under.plugin.forgetConnections(1, [to(0x0a000002, { protocol: 17, port: 53 })]);
  expect(await left()).toEqual(all.slice(1));
  // By where the answers go: the address they were given.
  await under.plugin.forgetConnections(1, [{ ...to(0xcb007109), direction: 'reply' }]);
  expect(await left()).toEqual([]);
});

test('random sequences of changes end in exactly the flows of the final state', async () => {
  await using both = await connected();
  const { under, ovs } = both;
  const units = fc.dictionary(
    fc.constantFrom('a', 'b', 'c'),
    fc.option(
      fc.uniqueArray(fc.record({ port: fc.nat(9), goto: fc.constantFrom(12, 14, 16) }), {
        selector: ({ port }) => port,
      }),
      { nil: undefined },
    ),
  );
  const state = new Map<string, Flow[]>();
  await fc.assert(
    fc.asyncProperty(fc.array(units, { minLength: 1, maxLength: 12 }), async (passes) => {
      let last = 0;
      for (const pass of passes) {
        const flows: Record<string, Flow[] | undefined> = {};
        for (const [unit, list] of Object.entries(pass)) {
          // Each unit has ports of its own: collisions are tried elsewhere.
          const first = unit.charCodeAt(0) * 100;
          flows[unit] = list?.map(({ port, goto }) => flow(1, first + port, { goto }));
          if (flows[unit] === undefined) state.delete(unit);
          else state.set(unit, flows[unit]);
        }
        // None waits for the one before: some are coalesced. An empty one touches no switch, which then says nothing.
        const sequence = under.apply(flows);
        if (Object.keys(flows).length > 0) last = sequence;
      }
      await under.acknowledged(last);
      expect(await differences(ovs, [...state.values()].flat())).toBe('');
    }),
    { numRuns: 15 },
  );
  expect(under.all('rejected')).toEqual([]);
  expect(under.all('drifted')).toEqual([]);
});

test('the southbound thread dies: told as fatal, and requests fail', async () => {
  await using under = await new PluginUnderTest({ listenOvsdb: ['ptcp:0:127.0.0.1'] }).start();
  // A message that nothing can make sense of stands for a fault in the thread.
  under.plugin.apply({ sequence: 1, set: [{ unit: 'a', on: [1], flows: new Uint8Array(12) }], remove: [] });
  await until('fatal', () => under.fatal.length > 0);
  expect(under.fatal).toHaveLength(1);
  expect(under.fatal[0]!.message).toContain('no record');
  await expect(under.plugin.desired(1)).rejects.toMatchObject({ code: 'hypervisor.not-connected' });
});

test('what keeps the thread from starting is what start says', async () => {
  await using first = await new PluginUnderTest().start();
  const port = Number(/:(\d+)$/.exec(first.managers[0]!)![1]);
  await using second = new PluginUnderTest({ listenOvsdb: [`ptcp:${port}:127.0.0.1`] });
  await expect(second.start()).rejects.toThrow('EADDRINUSE');
  await using third = new PluginUnderTest({ trustedNetworks: ['10.0.0.0'] });
  await expect(third.start()).rejects.toThrow('"10.0.0.0" is no prefix');
  expect(second.fatal.length + third.fatal.length).toBe(0);
});

test('a switch that answers nothing does not hold back what others acknowledge', async () => {
  await using under = await new PluginUnderTest().start();
  await using one = await startDummySwitch({ manager: under.managers[0]! });
  await using other = await startDummySwitch({ manager: under.managers[0]!, systemId: 'hv2' });
  under.plugin.ready(1);
  under.plugin.ready(2);
  await under.seen('connected', 2);
  await under.program({ a: wanted }, [1, 2]);
  const pid = Number(readFileSync(join(other.directory, 'ovs-vswitchd.pid'), 'utf8'));
  process.kill(pid, 'SIGSTOP');
  const sequence = under.apply({ a: wanted.slice(1) }, [1, 2]);
  await under.acknowledged(sequence, 1, 1_000);
  expect(under.all('acknowledged').some(([hypervisor, number]) => hypervisor === 2 && number === sequence)).toBe(false);
  process.kill(pid, 'SIGCONT');
  await under.acknowledged(sequence, 2);
  expect(await differences(one, wanted.slice(1))).toBe('');
  expect(await differences(other, wanted.slice(1))).toBe('');
});
