import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPatchName, patchNames } from '../../plugins/openvswitch/chassis/patch-ports.ts';
import { tunnelName } from '../../plugins/openvswitch/chassis/tunnel-ports.ts';
import type { PatchSpec } from '../../src/drivers/switch-plugin.ts';
import { type DummySwitch, openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { bridgeMade, get, journal, OUR_WRITES, quiet } from './hypervisor.ts';
import { admission, Recorder, until } from './recorder.ts';

const ports = async (vswitch: DummySwitch, bridge: string): Promise<string[]> =>
  (await vswitch.vsctl('list-ports', bridge)).trim().split('\n').filter(Boolean);

const writes = (vswitch: DummySwitch): number => journal(vswitch).split(OUR_WRITES).length - 1;

const addBridge = (vswitch: DummySwitch, name: string): Promise<string> =>
  vswitch.vsctl('add-br', name, '--', 'set', 'Bridge', name, 'datapath_type=dummy');

const flat: PatchSpec = { key: 'provider:7', bridge: 'br-ex', vlan: undefined };
const tagged: PatchSpec = { key: 'vlan:8', bridge: 'br-ex', vlan: 100 };
const [one, two] = [patchNames(flat.key), patchNames(tagged.key)];

const names = (list: readonly { inner: string; outer: string }[], end: 'inner' | 'outer'): string[] =>
  list.map((name) => name[end]).sort();

function told(recorder: Recorder): Record<string, number> {
  return Object.fromEntries(recorder.patches.at(-1)?.ofports ?? []);
}

/** A hypervisor with br-ex, and these patches wanted. */
async function joined(recorder: Recorder, specs: PatchSpec[]): Promise<DummySwitch> {
  recorder.server.admit(admission);
  recorder.server.setPatches(1, specs);
  const vswitch = await startDummySwitch({ manager: recorder.manager, encapIp: '192.0.2.1' });
  await bridgeMade(vswitch);
  await addBridge(vswitch, 'br-ex');
  await until('the patches', () => Object.keys(told(recorder)).length === specs.length);
  return vswitch;
}

test('names are stable, short and of nobody else', () => {
  expect(patchNames('provider:7')).toEqual(patchNames('provider:7'));
  const all = Array.from({ length: 5_000 }, (_, n) => [patchNames(`provider:${n}`), patchNames(`vlan:${n}`)]).flat();
  const every = all.flatMap(({ inner, outer }) => [inner, outer]);
  expect(new Set(every).size).toBe(every.length);
  expect(every.every((name) => name.length <= 15 && isPatchName(name))).toBe(true);
  expect([tunnelName(2), tunnelName(0xabcdef0123), 'kw-1', 'tap0'].some(isPatchName)).toBe(false);
});

describe('patches', () => {
  test('are made as access ports, in pairs and one transaction; changed and removed, and nothing else is touched', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await using vswitch = await joined(recorder, []);
    const port = await vswitch.vsctl('add-port', 'br-ex', 'eth9', '--', 'set', 'Interface', 'eth9', 'type=dummy');
    expect(port).toBe('');
    await quiet(vswitch);
    const before = writes(vswitch);
    recorder.server.setPatches(1, [flat, tagged]);
    await until('both', () => Object.keys(told(recorder)).length === 2);
    expect(writes(vswitch)).toBe(before + 1);
    expect(await ports(vswitch, 'br-int')).toEqual(names([one, two], 'inner'));
    expect(await ports(vswitch, 'br-ex')).toEqual(['eth9', ...names([one, two], 'outer')]);
    for (const [key, { inner, outer }, tag] of [
      [flat.key, one, '0'],
      [tagged.key, two, '100'],
    ] as const) {
      expect(await get(vswitch, 'Port', outer, 'tag')).toBe(tag);
      expect(await get(vswitch, 'Port', inner, 'tag')).toBe('[]');
      expect(await get(vswitch, 'Interface', outer, 'options')).toBe(`{peer=${inner}}`);
      expect(await get(vswitch, 'Interface', inner, 'options')).toBe(`{peer=${outer}}`);
      expect(await get(vswitch, 'Interface', inner, 'error')).toBe('[]');
      expect(await get(vswitch, 'Port', outer, 'external_ids')).toBe(`{keyway-patch="${key}", owner=keyway}`);
      expect(await get(vswitch, 'Interface', inner, 'external_ids')).toBe(`{keyway-patch="${key}", owner=keyway}`);
      expect(await get(vswitch, 'Interface', inner, 'ofport')).toBe(String(told(recorder)[key]));
    }

    const kept = told(recorder)[tagged.key];
    recorder.server.setPatches(1, [{ ...tagged, vlan: 101 }]);
    await until('the change', async () => (await get(vswitch, 'Port', two.outer, 'tag')) === '101');
    expect(told(recorder)).toEqual({ [tagged.key]: kept });
    expect(await ports(vswitch, 'br-ex')).toEqual(['eth9', two.outer]);
    expect(await ports(vswitch, 'br-int')).toEqual([two.inner]);
    recorder.server.setPatches(1, []);
    await until('none', () => Object.keys(told(recorder)).length === 0);
    await until('the other bridge', async () => (await ports(vswitch, 'br-ex')).join() === 'eth9');
    expect(recorder.complaints()).toEqual([]);
  });

  test('carry frames with the tag over there and without it here', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await using vswitch = await joined(recorder, [flat, tagged]);
    const trunk = ['--', 'set', 'Interface', 'trunk', 'type=dummy'];
    await vswitch.vsctl('add-port', 'br-ex', 'trunk', ...trunk);
    const from = Number(await get(vswitch, 'Interface', 'trunk', 'ofport'));
    const ofports = told(recorder);
    // As the integration bridge would answer: what came in by a patch goes back by it.
    for (const number of Object.values(ofports)) {
      await vswitch.ofctl(
        'add-flow',
        `in_port=${number},vlan_tci=0,actions=set_field:02:00:00:00:00:99->eth_src,IN_PORT`,
      );
    }
    const trace = (flow: string): Promise<string> =>
      vswitch.appctl('ofproto/trace', 'br-ex', `in_port=${from},${flow}`);
    const withTag = await trace(
      'dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,dl_vlan=100,dl_vlan_pcp=0,dl_type=0x8999',
    );
    expect(withTag).toContain(`in_port=${ofports[tagged.key]},vlan_tci=0x0000/`);
    expect(withTag).not.toContain(`in_port=${ofports[flat.key]},`);
    const without = await trace('dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,dl_type=0x8999');
    expect(without).toContain(`in_port=${ofports[flat.key]},vlan_tci=0x0000/`);
    expect(without).not.toContain(`in_port=${ofports[tagged.key]},`);
    const other = await trace(
      'dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,dl_vlan=101,dl_vlan_pcp=0,dl_type=0x8999',
    );
    expect(other).not.toContain('bridge("br-int")');
    const leaving = async (key: string): Promise<string> => {
      await vswitch.ofctl('add-flow', `in_port=LOCAL,actions=output:${ofports[key]}`);
      const traced = await vswitch.appctl('ofproto/trace', 'br-int', 'in_port=LOCAL,dl_type=0x8999');
      return /Datapath actions: (.*)/.exec(traced)![1]!;
    };
    expect(await leaving(tagged.key)).toContain('push_vlan(vid=100,pcp=0)');
    expect(await leaving(flat.key)).not.toContain('push_vlan');
  });

  test('wait for their bridge, say so once, go with it and come back with it', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    recorder.server.setPatches(1, [flat, { key: 'vlan:9', bridge: 'br-int', vlan: 3 }]);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    const said = (what: string): number => recorder.complaints().filter((text) => text.includes(what)).length;
    await until('both complaints', () => said('no such bridge') + said('the integration bridge itself') === 2);
    await quiet(vswitch);
    expect(await ports(vswitch, 'br-int')).toEqual([]);
    await addBridge(vswitch, 'br-ex');
    await until('the patch', () => told(recorder)[flat.key] !== undefined);
    await vswitch.vsctl('del-br', 'br-ex');
    await until('none', () => told(recorder)[flat.key] === undefined);
    await until('this end to go too', async () => (await ports(vswitch, 'br-int')).length === 0);
    expect(said('no such bridge')).toBe(2);
    await addBridge(vswitch, 'br-ex');
    await until('the patch again', () => told(recorder)[flat.key] !== undefined);
    // Away and back within one transaction, and then on another bridge.
    await vswitch.vsctl(
      'del-br',
      'br-ex',
      '--',
      'add-br',
      'br-ex',
      '--',
      'set',
      'Bridge',
      'br-ex',
      'datapath_type=dummy',
    );
    await until('the end over there', async () => (await ports(vswitch, 'br-ex')).join() === one.outer);
    await addBridge(vswitch, 'br-ex2');
    recorder.server.setPatches(1, [{ ...flat, bridge: 'br-ex2' }]);
    await until('the other bridge', async () => (await ports(vswitch, 'br-ex2')).join() === one.outer);
    await until('the patch there', () => told(recorder)[flat.key] !== undefined);
    expect(await ports(vswitch, 'br-ex')).toEqual([]);
  });

  test('are not made to a bridge with another datapath, whose frames could not pass', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    recorder.server.setPatches(1, [flat]);
    await using vswitch = await startDummySwitch({ manager: recorder.manager });
    await bridgeMade(vswitch);
    await vswitch.vsctl('--no-wait', 'add-br', 'br-ex');
    await until('a complaint', () =>
      recorder.complaints().some((text) => text.includes('its datapath type is system')),
    );
    await quiet(vswitch);
    expect(await ports(vswitch, 'br-ex')).toEqual([]);
    await vswitch.vsctl('set', 'Bridge', 'br-ex', 'datapath_type=dummy');
    await until('the patch', () => told(recorder)[flat.key] !== undefined);
  });

  test('changed or removed by hand are set right; what has their names and is not ours stays', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await using vswitch = await joined(recorder, [flat]);
    const wrongs: [string[], string, string, string, string][] = [
      [['set', 'Port', one.outer, 'tag=5'], 'Port', one.outer, 'tag', '0'],
      [['clear', 'Port', one.outer, 'tag'], 'Port', one.outer, 'tag', '0'],
      [['set', 'Port', one.outer, 'vlan_mode=trunk'], 'Port', one.outer, 'vlan_mode', '[]'],
      [['set', 'Port', one.outer, 'trunks=1,2'], 'Port', one.outer, 'trunks', '[]'],
      [['set', 'Port', one.inner, 'tag=5'], 'Port', one.inner, 'tag', '[]'],
      [['set', 'Interface', one.inner, 'options:peer=other'], 'Interface', one.inner, 'options', `{peer=${one.outer}}`],
      [['set', 'Interface', one.inner, 'type=internal'], 'Interface', one.inner, 'type', 'patch'],
      [
        ['set', 'Port', one.inner, 'external_ids:keyway-patch=mine'],
        'Port',
        one.inner,
        'external_ids',
        `{keyway-patch="${flat.key}", owner=keyway}`,
      ],
      [
        ['remove', 'Port', one.outer, 'external_ids', 'owner'],
        'Port',
        one.outer,
        'external_ids',
        `{keyway-patch="${flat.key}", owner=keyway}`,
      ],
    ];
    for (const [wrong, table, row, column, right] of wrongs) {
      await vswitch.vsctl('--no-wait', ...wrong);
      await until(`${wrong.join(' ')} to be mended`, async () => (await get(vswitch, table, row, column)) === right);
    }
    for (const [bridge, name] of [
      ['br-ex', one.outer],
      ['br-int', one.inner],
    ] as const) {
      await vswitch.vsctl('--no-wait', 'del-port', bridge, name);
      await until(`${name} to be back`, async () => (await ports(vswitch, bridge)).includes(name));
    }
    await until(
      'its port',
      async () => String(told(recorder)[flat.key]) === (await get(vswitch, 'Interface', one.inner, 'ofport')),
    );

    await vswitch.vsctl('add-port', 'br-ex', two.outer, '--', 'set', 'Interface', two.outer, 'type=dummy');
    recorder.server.setPatches(1, [flat, tagged]);
    await until('a complaint', () => recorder.complaints().some((text) => text.includes('exists that is not ours')));
    await quiet(vswitch);
    expect(Object.keys(told(recorder))).toEqual([flat.key]);
    recorder.server.setPatches(1, [flat]);
    await until('this end to go', async () => (await ports(vswitch, 'br-int')).join() === one.inner);
    expect(await ports(vswitch, 'br-ex')).toEqual(names([one, two], 'outer'));
    expect(await get(vswitch, 'Port', two.outer, 'external_ids')).toBe('{}');
  });

  test('of an earlier run are told and kept until somebody has said which are wanted', async (context) => {
    await openVswitchOrSkip(context);
    let before: Record<string, number> = {};
    await using vswitch = await (async () => {
      await using recorder = await Recorder.start();
      const made = await joined(recorder, [flat, tagged]);
      before = told(recorder);
      return made;
    })();
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await vswitch.vsctl('set-manager', recorder.manager);
    await until('both to be told', () => Object.keys(told(recorder)).length === 2);
    expect(told(recorder)).toEqual(before);
    await quiet(vswitch);
    const written = writes(vswitch);
    recorder.server.setTunnels(1, [{ peer: 2, remoteIp: '192.0.2.2' }]);
    await until('the tunnel', () => recorder.ofports.size === 1);
    recorder.server.setPatches(1, [flat, tagged]);
    await quiet(vswitch);
    expect(writes(vswitch)).toBe(written + 1);
    recorder.server.setPatches(1, [tagged]);
    await until('one', () => Object.keys(told(recorder)).length === 1);
    expect(told(recorder)).toEqual({ [tagged.key]: before[tagged.key] });
    expect(recorder.ofports.size).toBe(1);
  });

  test('follow the bridge that is the integration bridge now', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    await using vswitch = await joined(recorder, [flat]);
    await vswitch.vsctl('--no-wait', 'set', 'Open_vSwitch', '.', 'external_ids:keyway-bridge=br-new');
    await until('the new bridge', async () => (await vswitch.vsctl('list-br')).includes('br-new'));
    await until('the end there', async () => (await ports(vswitch, 'br-new')).join() === one.inner);
    await until(
      'its port',
      async () => String(told(recorder)[flat.key]) === (await get(vswitch, 'Interface', one.inner, 'ofport')),
    );
    expect(await ports(vswitch, 'br-int')).toEqual([]);
  });
});

type Step =
  | { do: 'want'; specs: PatchSpec[] }
  | { do: 'bridge'; name: string; there: boolean }
  | { do: 'remove end'; at: number }
  | { do: 'tag'; at: number; tag: number }
  | { do: 'reconnect' };

const anyKey = fc.constantFrom('provider:1', 'provider:2', 'vlan:3');
const anyBridge = fc.constantFrom('br-1', 'br-2');
const anySpec = fc.record({ key: anyKey, bridge: anyBridge, vlan: fc.constantFrom(undefined, 100, 200) });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .uniqueArray(anySpec, { selector: ({ key }) => key, maxLength: 3 })
      .map((specs): Step => ({ do: 'want', specs })),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('bridge' as const), name: anyBridge, there: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove end' as const), at: fc.nat({ max: 9 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('tag' as const), at: fc.nat({ max: 9 }), tag: fc.nat({ max: 5 }) }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'reconnect' }) },
);

type Named = { name: string; tag: number | []; ofport?: number | [] };

async function list(vswitch: DummySwitch, table: string, columns: string): Promise<Named[]> {
  const text = await vswitch.vsctl('--format=json', `--columns=${columns}`, 'list', table);
  const { headings, data } = JSON.parse(text) as { headings: string[]; data: unknown[][] };
  const plain = (cell: unknown): unknown => (Array.isArray(cell) && cell[0] === 'set' ? [] : cell);
  return data.map((row) => Object.fromEntries(headings.map((heading, n) => [heading, plain(row[n])])) as Named);
}

test('whatever happens in whatever order, they come to be what is wished', async (context) => {
  await openVswitchOrSkip(context);
  await using recorder = await Recorder.start();
  recorder.server.admit(admission);
  await using vswitch = await startDummySwitch({ manager: recorder.manager });
  await bridgeMade(vswitch);
  const bridges = new Set<string>();
  let wanted: PatchSpec[] = [];
  const ours = async (): Promise<Named[]> =>
    (await list(vswitch, 'Port', 'name,tag'))
      .filter(({ name }) => isPatchName(name))
      .sort((x, y) => (x.name < y.name ? -1 : 1));
  const carryOut = async (step: Step): Promise<void> => {
    if (step.do === 'want') {
      wanted = step.specs;
      recorder.server.setPatches(1, wanted);
    } else if (step.do === 'bridge') {
      const make = ['add-br', step.name, '--', 'set', 'Bridge', step.name, 'datapath_type=dummy'];
      if (step.there !== bridges.has(step.name))
        await vswitch.vsctl('--no-wait', ...(step.there ? make : ['del-br', step.name]));
      if (step.there) bridges.add(step.name);
      else bridges.delete(step.name);
    } else if (step.do === 'reconnect') {
      await vswitch.vsctl('--no-wait', 'del-manager', '--', 'set-manager', recorder.manager);
    } else {
      const all = await ours();
      const one = all[step.at % all.length]?.name;
      if (one === undefined) return;
      // It may be gone by then, as its bridge is.
      if (step.do === 'tag') await vswitch.vsctl('--no-wait', '--if-exists', 'set', 'Port', one, `tag=${step.tag}`);
      else await vswitch.vsctl('--no-wait', '--if-exists', 'del-port', one);
    }
  };
  const isAsWished = async (): Promise<boolean> => {
    const possible = wanted.filter(({ bridge }) => bridges.has(bridge));
    const expected = possible
      .flatMap(({ key, vlan }): Named[] => [
        { name: patchNames(key).inner, tag: [] },
        { name: patchNames(key).outer, tag: vlan ?? 0 },
      ])
      .sort((x, y) => (x.name < y.name ? -1 : 1));
    if (JSON.stringify(await ours()) !== JSON.stringify(expected.map(({ name, tag }) => ({ name, tag })))) return false;
    const ofports = new Map(
      (await list(vswitch, 'Interface', 'name,ofport')).map(({ name, ofport }) => [name, ofport]),
    );
    const right = possible.map(({ key }): [string, unknown] => [key, ofports.get(patchNames(key).inner)]);
    return JSON.stringify(Object.entries(told(recorder)).sort()) === JSON.stringify(right.sort());
  };
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 1, maxLength: 8 }), async (steps) => {
      for (const step of steps) await carryOut(step);
      await until(`${JSON.stringify(steps)} to be carried out`, isAsWished);
      const where = await Promise.all(
        wanted
          .filter(({ bridge }) => bridges.has(bridge))
          .map(async ({ key, bridge }) => (await ports(vswitch, bridge)).includes(patchNames(key).outer)),
      );
      expect(where).not.toContain(false);
    }),
    { numRuns: 25 },
  );
});

test("a gateway host's services are told of under their own key", async (context) => {
  await openVswitchOrSkip(context);
  await using recorder = await Recorder.start();
  await using vswitch = await joined(recorder, [flat]);
  const mark = 'external_ids:keyway-service=gateway-host';
  await vswitch.vsctl('add-port', 'br-ex', 'svc-far', '--', 'set', 'Interface', 'svc-far', 'type=dummy', mark);
  await vswitch.vsctl('add-port', 'br-int', 'svc0', '--', 'set', 'Interface', 'svc0', 'type=dummy', mark);
  await until('the services', () => told(recorder).services !== undefined);
  expect(String(told(recorder).services)).toBe(await get(vswitch, 'Interface', 'svc0', 'ofport'));
  expect(told(recorder)[flat.key]).toBeDefined();
  expect(recorder.bound).toEqual([]);
  await vswitch.vsctl('set', 'Interface', 'svc0', 'external_ids:keyway-service=something-else');
  await until('none', () => told(recorder).services === undefined);
  await vswitch.vsctl('set', 'Interface', 'svc0', mark);
  await until('the services again', () => told(recorder).services !== undefined);
  await vswitch.vsctl('del-port', 'svc0');
  await until('none again', () => told(recorder).services === undefined);
});
