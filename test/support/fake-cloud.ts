/** A cloud of any size on fake switches: tenants of one network each, ports spread over the hypervisors, rules between tiers. */
import { pino } from 'pino';
import { type Core, startCore } from '../../src/core.ts';
import type { Operation } from '../../src/intent/intent.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';
import { FakeSwitches } from './fake-switches.ts';

export type FakeCloudShape = {
  hypervisors: number;
  networks: number;
  /** In each network. */
  ports: number;
  rules: number;
  /** Hypervisors a network is on; all of them unless told. */
  spread?: number;
};

export type FakeCloud = AsyncDisposable & {
  core: Core;
  fake: FakeSwitches;
  store: Store;
  shape: FakeCloudShape;
  /** Path of a port. */
  port(network: number, port: number): string;
};

const admin = { restrictedAllowed: true, many: true };

export async function openFakeCloud(
  shape: FakeCloudShape,
  store: Store = openMemoryStore(),
  fake: FakeSwitches = new FakeSwitches(),
  /** Resources in one transaction. */
  batch = 5_000,
): Promise<FakeCloud> {
  const core = await startCore({ store, plugin: fake, log: pino({ level: 'silent' }) });
  const operations = [...hypervisorsOf(shape), ...networksOf(shape)];
  for (let at = 0; at < operations.length; at += batch) {
    await core.intent.transact(operations.slice(at, at + batch), admin);
  }
  const lists = new Map<number, { ifaceId: string; name: string; ofport: number }[]>();
  for (let n = 0; n < shape.networks; n++) {
    for (let p = 0; p < shape.ports; p++) {
      const spread = shape.spread ?? shape.hypervisors;
      const hypervisor = ((n * spread + (p % spread)) % shape.hypervisors) + 1;
      const list = lists.get(hypervisor) ?? [];
      list.push({ ifaceId: `if-${n}-${p}`, name: `v${list.length}`, ofport: 10 + list.length });
      lists.set(hypervisor, list);
    }
  }
  for (let h = 1; h <= shape.hypervisors; h++) {
    const resource = core.intent.getAs('hypervisor', `hypervisors/hv${h}`);
    if (resource === undefined) throw new Error(`hv${h} was not made`);
    fake.connect(`hv${h}`, `192.0.2.${h % 250}`);
    fake.interfaces(resource.id, lists.get(h) ?? []);
  }
  await quiet(core);
  return {
    core,
    fake,
    store,
    shape,
    port: (network, port) => `tenants/t${network}/networks/n/ports/p${port}`,
    [Symbol.asyncDispose]: async () => {
      await core.stop();
      await store.close();
    },
  };
}

/** Until the engine has dealt with everything, tunnels and acknowledgements included. */
export async function quiet(core: Core): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await core.engine.idle();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function* hypervisorsOf({ hypervisors }: FakeCloudShape): Iterable<Operation> {
  for (let h = 1; h <= hypervisors; h++) {
    yield { op: 'put', path: `hypervisors/hv${h}`, spec: { admission: 'approved', systemId: `hv${h}` } };
  }
}

function* networksOf({ networks, ports, rules }: FakeCloudShape): Iterable<Operation> {
  for (let n = 0; n < networks; n++) {
    const network = `tenants/t${n}/networks/n`;
    yield { op: 'put', path: `tenants/t${n}`, spec: {} };
    yield { op: 'put', path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } };
    yield { op: 'put', path: `${network}/tiers/web`, spec: { cidr: '10.0.0.0/17' } };
    yield { op: 'put', path: `${network}/tiers/db`, spec: { cidr: '10.0.128.0/17' } };
    for (const group of ['red', 'blue']) yield { op: 'put', path: `${network}/groups/${group}`, spec: {} };
    const fromRed = { action: 'allow', priority: 50, from: { group: 'red' }, to: { tier: 'db' }, protocol: 'udp' };
    yield { op: 'put', path: `${network}/rules/red`, spec: fromRed };
    for (let r = 0; r < rules; r++) {
      const spec = { action: 'allow', priority: 100 + r, from: { tier: 'web' }, to: { tier: 'db' }, protocol: 'tcp' };
      yield { op: 'put', path: `${network}/rules/r${r}`, spec: { ...spec, ports: [`${1000 + r}`] } };
    }
    for (let p = 0; p < ports; p++) {
      const tier = p % 2 === 0 ? 'web' : 'db';
      yield { op: 'put', path: `${network}/ports/p${p}`, spec: { tier, ifaceId: `if-${n}-${p}` } };
    }
  }
}
