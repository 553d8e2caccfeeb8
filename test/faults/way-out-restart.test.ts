/** The controller is started again while networks have gateways, public addresses and VLANs: the switches are not touched. */
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import { differences, joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import { type DummySwitch, openVswitchOrSkip } from '../support/open-vswitch.ts';
import { boundPorts, type Host, hosts, orders, shop } from '../trace/outside-cloud.ts';
import { flowTable, touched } from './flow-table.ts';

/** A port of loopback that nobody listens on at the moment. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

async function cabled(dummy: DummySwitch): Promise<void> {
  await dummy.vsctl(
    ...['add-br', 'br-ex', '--', 'set', 'Bridge', 'br-ex', 'datapath_type=dummy'],
    ...['--', 'set', 'Open_vSwitch', '.', 'external_ids:keyway-bridge-mappings=physnet:br-ex'],
  );
}

test('no flow is touched, with all hypervisors back or one by one; and one that lost its bridge meanwhile is told of', {
  timeout: 120_000,
}, async (context) => {
  await openVswitchOrSkip(context);
  await using stack = new AsyncDisposableStack();
  const disk = new MemoryDisk();
  const [ovsdb, openflow] = [await freePort(), await freePort()];
  const start = (): Promise<TestCore> =>
    startTestCore({
      store: openMemoryStore({ disk }),
      plugin: { listenOvsdb: [`ptcp:${ovsdb}:127.0.0.1`], listenOpenflow: { host: '127.0.0.1', port: openflow } },
    });
  const switches = {} as Record<Host, DummySwitch>;
  {
    await using core = await start();
    for (const [i, name] of hosts.entries()) {
      const options = { gateway: name.startsWith('gw'), ...(name === 'hv2' ? {} : { prepare: cabled }) };
      switches[name] = stack.use(await joinSwitch(core, name, `192.0.2.${i + 1}`, options));
    }
    await core.intent.transact(
      orders.map(({ path, spec }) => ({ op: 'put' as const, path, spec })),
      { restrictedAllowed: true, many: true },
    );
    for (const [i, { host, ifaceId }] of boundPorts.entries()) await switches[host].addPort(`v${i}`, ifaceId);
    await until('every port to be bound', () => core.engine.bindings.placement.size === boundPorts.length + 1);
    await settled(core);
    expect(differences(core)).toEqual([]);
  }
  const tables = async () => {
    const all = new Map<Host, ReturnType<typeof flowTable>>();
    for (const name of hosts) all.set(name, flowTable(await switches[name].ofctl('dump-flows')));
    return all;
  };
  const before = await tables();
  expect(before.get('gw1')!.size).toBeGreaterThan(100);
  const untouched = async () => {
    const now = await tables();
    for (const name of hosts) expect(touched(before.get(name)!, now.get(name)!), name).toEqual([]);
  };
  const connected = (core: TestCore, names: readonly Host[]) =>
    until('the switches to be in sync', () => names.every((name) => core.fabric.connected(`hypervisors/${name}`)));
  {
    await using core = await start();
    await connected(core, hosts);
    await settled(core);
    expect(differences(core)).toEqual([]);
    await untouched();
    expect(core.status.status(core.intent.get(`${shop}/public-ips/own`)!).state).toBe('programmed');
  }
  // The last to come are a gateway and the hypervisor with static NAT.
  const late: readonly Host[] = ['gw1', 'hv1'];
  for (const name of late) await switches[name].vsctl('del-manager');
  {
    await using core = await start();
    await connected(core, ['gw2', 'hv2']);
    await settled(core);
    await untouched();
    for (const name of late) {
      await switches[name].vsctl('set-manager', `tcp:127.0.0.1:${ovsdb}`);
      await connected(core, [name]);
      await settled(core);
    }
    expect(differences(core)).toEqual([]);
    await untouched();
  }
  await switches.hv1.vsctl('del-br', 'br-ex');
  {
    await using core = await start();
    await connected(core, hosts);
    await settled(core);
    expect(differences(core)).toEqual([]);
    const own = core.status.status(core.intent.get(`${shop}/public-ips/own`)!);
    expect(own.conditions.find(({ type }) => type === 'Placed')?.reason).toBe('AtGateways');
  }
});
