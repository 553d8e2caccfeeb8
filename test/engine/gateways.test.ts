/** Gateways as they are chosen, reached, given up and remembered; next hops as they are asked for; what is told of all that. */
import { pino } from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Core, startCore } from '../../src/core.ts';
import type { PacketOut, PatchSpec } from '../../src/drivers/switch-plugin.ts';
import { arpRequest, parseArp } from '../../src/engine/arp.ts';
import { generatedMac, parseIpv4, parseMac } from '../../src/intent/addresses.ts';
import { nextHopUserdata } from '../../src/pipeline/packet-in.ts';
import type { Status } from '../../src/reconcile/contract.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import { quiet } from '../support/fake-cloud.ts';
import { FakeSwitches, patchPort } from '../support/fake-switches.ts';

type Spec = Record<string, unknown>;

class Switches extends FakeSwitches {
  readonly sent: { hypervisor: number; packet: PacketOut }[] = [];
  tellsPatches = true;
  readonly #connected = new Set<string>();
  override setPatches(hypervisor: number, patches: PatchSpec[]): void {
    this.patches.set(hypervisor, patches);
    const systemId = this.admitted.get(hypervisor)?.systemId ?? '';
    if (this.tellsPatches && this.#connected.has(systemId)) super.setPatches(hypervisor, patches);
  }
  /** One that comes tells what it has been asked for already. */
  override connect(...facts: Parameters<FakeSwitches['connect']>): void {
    this.#connected.add(facts[0]);
    super.connect(...facts);
    const admission = [...this.admitted.values()].find(({ systemId }) => systemId === facts[0]);
    const patches = this.patches.get(admission?.hypervisor ?? 0);
    if (admission !== undefined && patches !== undefined) this.setPatches(admission.hypervisor, patches);
  }
  sendPacket(hypervisor: number, packet: PacketOut): Promise<void> {
    this.sent.push({ hypervisor, packet });
    return Promise.resolve();
  }
}

const cores: Core[] = [];

class Rig {
  readonly disk: MemoryDisk;
  core!: Core;
  fake!: Switches;

  constructor(disk = new MemoryDisk()) {
    this.disk = disk;
  }

  async start({ tellsPatches = true } = {}): Promise<this> {
    this.fake = new Switches();
    this.fake.tellsPatches = tellsPatches;
    this.core = await startCore({
      store: openMemoryStore({ disk: this.disk }),
      plugin: this.fake,
      log: pino({ level: 'silent' }),
    });
    cores.push(this.core);
    return this;
  }

  async put(path: string, spec: Spec): Promise<void> {
    await this.core.intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });
    await quiet(this.core);
  }

  async remove(path: string): Promise<void> {
    await this.core.intent.transact([{ op: 'delete', path }], { restrictedAllowed: true });
    await quiet(this.core);
  }

  number(host: string): number {
    return this.core.intent.getAs('hypervisor', `hypervisors/${host}`)!.id;
  }

  async join(host: string, last: number, more: Spec = {}, mappings: Record<string, string> = { phys: 'br-ex' }) {
    await this.put(`hypervisors/${host}`, { admission: 'approved', ...more });
    await this.back(host, last, mappings);
  }

  async back(
    host: string,
    last: number,
    mappings: Record<string, string> = { phys: 'br-ex' },
    ifaceIds: string[] = [],
  ) {
    this.fake.connect(host, `192.0.2.${last}`, mappings);
    await this.show(host, ...ifaceIds);
  }

  async show(host: string, ...ifaceIds: string[]): Promise<void> {
    const list = ifaceIds.map((ifaceId, i) => ({ ifaceId, name: `v${i}`, ofport: 10 + i }));
    this.fake.interfaces(this.number(host), list);
    await quiet(this.core);
  }

  gateways(network: string): string[] {
    return this.core.engine.state.gateways(network).map((h) => this.core.engine.fleet.name(h));
  }

  status(path: string): Status {
    return this.core.status.status(this.core.intent.get(path)!);
  }

  /** State, and reasons of conditions. */
  told(path: string): string {
    const { state, conditions } = this.status(path);
    return `${state} ${conditions.map(({ reason }) => reason).join()}`;
  }

  agree(): void {
    expect(this.core.engine.compiler.recompute().different).toEqual([]);
    expect([...this.core.engine.compiler.failures]).toEqual([]);
    this.fake.texts();
  }
}

afterEach(async () => {
  for (const core of cores.splice(0)) await core.stop();
});

const network = 'tenants/acme/networks/shop';
const port = `${network}/ports/p`;

/** Two gateways, one hypervisor, a pool, a network with a port that is not plugged. */
async function open(): Promise<Rig> {
  const rig = await new Rig().start();
  await rig.join('gw1', 1, { gateway: true });
  await rig.join('gw2', 2, { gateway: true });
  await rig.join('hv1', 3, {}, {});
  await rig.put('provider-networks/net', { physicalNetwork: 'phys' });
  await rig.put('ip-pools/public', pool);
  await rig.put('tenants/acme', {});
  await rig.put(network, { offering: 'basic', cidr: '10.0.0.0/16' });
  await rig.put(`${network}/tiers/web`, { cidr: '10.0.1.0/24' });
  await rig.put(port, { tier: 'web', ifaceId: 'p', ips: ['10.0.1.10'] });
  return rig;
}

const given = '02:00:00:00:ff:01';
const pool = { providerNetwork: 'net', cidr: '203.0.113.0/24', gateway: '203.0.113.1', gatewayMac: given };

describe('who is a gateway', () => {
  test('nobody before there is something to serve; then two, reached by fast tunnels and as long as it lasts', async () => {
    const rig = await open();
    const { placement } = rig.core.engine.bindings;
    expect(rig.gateways(network)).toEqual([]);
    expect(rig.told(network)).toBe('programmed NotInUse');
    expect(rig.fake.tunnels.get(3)).toEqual([]);
    await rig.show('hv1', 'p');
    expect(rig.gateways(network).sort()).toEqual(['gw1', 'gw2']);
    expect(rig.told(network)).toBe('programmed Placed');
    expect(placement.hostsOfNetwork(network)).toEqual([3]);
    expect(placement.reachOfNetwork(network)).toEqual([1, 2, 3]);
    for (const h of [1, 2, 3])
      expect(rig.fake.tunnels.get(h)!.map(({ peer, fast }) => [peer, fast])).toEqual(
        [1, 2, 3].filter((p) => p !== h).map((p) => [p, true]),
      );
    const [first, second] = rig.core.engine.state.gateways(network);
    expect([...placement.pairsAt(3)]).toEqual([[first, second]]);
    expect([...placement.pairsAt(second!)]).toEqual([[first, second]]);
    expect([...placement.pairsAt(first!)]).toEqual([]);
    rig.agree();
    await rig.show('hv1');
    expect(rig.gateways(network)).toEqual([]);
    expect([...placement.tenants()]).toEqual([]);
    for (const h of [1, 2, 3]) expect(rig.fake.tunnels.get(h)).toEqual([]);
    expect(rig.fake.flushed.length).toBe(3);
    rig.agree();
    // A public address is in use without any port.
    await rig.put(`${network}/public-ips/front`, {});
    expect(rig.gateways(network).sort()).toEqual(['gw1', 'gw2']);
    await rig.remove(`${network}/public-ips/front`);
    expect(rig.gateways(network)).toEqual([]);
    rig.agree();
  });

  test('no network whose offering asks for nothing of the kind', async () => {
    const rig = await open();
    await rig.put('offerings/plain', { services: ['routing', 'rules'] });
    await rig.put(network, { offering: 'plain', cidr: '10.0.0.0/16' });
    await rig.show('hv1', 'p');
    expect(rig.gateways(network)).toEqual([]);
    expect(rig.told(network)).toBe('programmed ');
    await rig.put('offerings/plain', { services: ['routing', 'rules', 'dhcp'] });
    expect(rig.gateways(network)).toHaveLength(2);
    rig.agree();
  });

  test('networks are spread, and a gateway that comes or goes moves only what it gets or had', async () => {
    const rig = await open();
    const names = Array.from({ length: 60 }, (_, i) => `tenants/acme/networks/n${i}`);
    for (const name of names) {
      await rig.core.intent.transact(
        [
          { op: 'put', path: name, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
          { op: 'put', path: `${name}/public-ips/a`, spec: {} },
        ],
        { restrictedAllowed: true },
      );
    }
    await quiet(rig.core);
    const all = () => new Map(names.map((name) => [name, rig.gateways(name)]));
    const two = all();
    const leads = (of: Map<string, string[]>, host: string) =>
      [...of.values()].filter(([first]) => first === host).length;
    for (const host of ['gw1', 'gw2']) expect(leads(two, host)).toBeGreaterThan(10);
    await rig.join('gw3', 4, { gateway: true });
    const three = all();
    for (const [name, [first]] of three) expect([two.get(name)![0], 'gw3']).toContain(first);
    for (const host of ['gw1', 'gw2', 'gw3']) expect(leads(three, host)).toBeGreaterThan(5);
    await rig.put('hypervisors/gw3', { admission: 'drained', gateway: true });
    expect(all()).toEqual(two);
    rig.agree();
  });

  test('one that does not reach the provider network gives way to one that does', async () => {
    const rig = await open();
    await rig.put('provider-networks/far', { physicalNetwork: 'far' });
    await rig.put('ip-pools/far', {
      ...pool,
      providerNetwork: 'far',
      cidr: '198.51.100.0/24',
      gateway: '198.51.100.1',
    });
    await rig.show('hv1', 'p');
    const [first, second] = rig.gateways(network);
    await rig.put(`${network}/public-ips/a`, { pool: 'far' });
    expect(rig.gateways(network)).toEqual([first, second]);
    expect(rig.told(`${network}/public-ips/a`)).toBe('degraded NoPatch');
    expect(rig.told('provider-networks/far')).toBe('degraded NoHost');
    await rig.back(second!, Number(second!.at(-1)), { phys: 'br-ex', far: 'br-far' });
    expect(rig.gateways(network)).toEqual([second, first]);
    // The other one could not go on with it.
    expect(rig.told(`${network}/public-ips/a`)).toBe('degraded NoStandby');
    expect(rig.told('provider-networks/far')).toBe('programmed HostFound');
    rig.agree();
  });

  test('one that is drained, deleted or lost in the middle of a change leaves nothing open', async () => {
    for (const how of ['drained', 'lost', 'deleted'] as const) {
      const rig = await open();
      await rig.join('gw3', 4, { gateway: true });
      await rig.show('hv1', 'p');
      await rig.put(`${network}/public-ips/front`, {});
      const [first] = rig.gateways(network);
      rig.fake.prompt = false;
      const path = `hypervisors/${first}`;
      await rig.core.intent.transact(
        [
          { op: 'put', path: `${network}/nat-rules/out`, spec: { type: 'source', publicIp: 'front' } },
          how === 'deleted' ? { op: 'delete', path } : { op: 'put', path, spec: { admission: how, gateway: true } },
        ],
        { restrictedAllowed: true },
      );
      await quiet(rig.core);
      rig.fake.prompt = true;
      rig.fake.acknowledge();
      await quiet(rig.core);
      const now = rig.gateways(network);
      expect(now).toHaveLength(2);
      expect(now).not.toContain(first);
      expect(rig.told(`${network}/nat-rules/out`)).toBe('programmed AtGateways');
      rig.agree();
      await rig.core.stop();
    }
  });

  test('the last one gone: the network is as it was, its public address says why it is not served', async () => {
    const rig = await open();
    await rig.show('hv1', 'p');
    await rig.put(`${network}/public-ips/front`, {});
    await rig.put(`${network}/nat-rules/out`, { type: 'source', publicIp: 'front' });
    expect(rig.told(`${network}/public-ips/front`)).toBe('programmed AtGateways');
    for (const host of ['gw1', 'gw2']) await rig.put(`hypervisors/${host}`, { admission: 'approved' });
    expect(rig.told(network)).toBe('programmed ');
    for (const path of ['public-ips/front', 'nat-rules/out'])
      expect(rig.told(`${network}/${path}`)).toBe('degraded NoGateway');
    rig.agree();
  });
});

describe('after a restart', () => {
  test('what is not back yet is counted on as before, and its own switch left alone until it has told', async () => {
    const rig = await open();
    await rig.back('hv1', 3);
    await rig.put(`${network}/public-ips/front`, {});
    await rig.put(`${network}/public-ips/mail`, {});
    await rig.put(`${network}/nat-rules/out`, { type: 'source', publicIp: 'front' });
    await rig.put(`${network}/nat-rules/mail`, { type: 'static', publicIp: 'mail', port: 'p' });
    await rig.show('hv1', 'p');
    await rig.put('trunks/racks', { physicalNetwork: 'phys', vlans: ['100-110'] });
    await rig.put(`${network}/vlan-attachments/rack`, { trunk: 'racks', tier: 'web' });
    await rig.put(`${network}/ports/d`, {
      tier: 'web',
      attachment: 'rack',
      mac: '02:00:00:00:00:0d',
      ips: ['10.0.1.77'],
    });
    expect(rig.told(`${network}/public-ips/mail`)).toBe('programmed WithPort');
    expect(rig.told(`${network}/ports/d`)).toBe('programmed AttachmentFound');
    const before = rig.fake.texts();
    const zones = [1, 2, 3].map((h) => rig.core.engine.state.natZone(h, network));
    expect(zones.every((zone) => zone !== undefined)).toBe(true);
    await rig.core.stop();

    const after = await new Rig(rig.disk).start();
    const { state } = after.core.engine;
    expect([1, 2, 3].map((h) => state.natZone(h, network))).toEqual(zones);
    const key = `provider:${after.core.intent.get('provider-networks/net')!.number}`;
    expect([1, 2, 3].map((h) => state.patch(h, key))).toEqual([0, 0, 0]);
    expect(after.core.engine.bindings.placement.get(`${network}/ports/d`)).toMatchObject({
      ofport: 0,
      standby: { ofport: 0 },
    });
    expect(after.core.engine.zones.hasRetired(1)).toBe(false);
    // Only gw1 is back, and tells.
    await after.back('gw1', 1);
    expect(after.fake.readied.has(1)).toBe(true);
    const on1 = (lines: string[]) => lines.filter((l) => l.startsWith('1: '));
    expect(on1(after.fake.texts())).toEqual(on1(before));
    await after.back('gw2', 2);
    await after.back('hv1', 3, { phys: 'br-ex' }, ['p']);
    expect(after.fake.texts()).toEqual(before);
    after.agree();
  });

  test('a switch is not brought in line before its patches are told, unless that takes long', async () => {
    const rig = await open();
    await rig.show('hv1', 'p');
    await rig.put(`${network}/public-ips/front`, {});
    await rig.core.stop();
    const after = await new Rig(rig.disk).start({ tellsPatches: false });
    await after.back('gw1', 1);
    expect(after.fake.readied.has(1)).toBe(false);
    after.fake.events.patches(1, new Map());
    await quiet(after.core);
    expect(after.fake.readied.has(1)).toBe(true);
    const key = `provider:${after.core.intent.get('provider-networks/net')!.number}`;
    expect(after.core.engine.state.patch(1, key)).toBe(undefined);
    after.agree();
  });
});

test('who waits for a public address waits for the patch it needs, and for its flows; not for long where there is no bridge', async () => {
  const rig = await open();
  await rig.show('hv1', 'p');
  await rig.remove('ip-pools/public');
  rig.fake.tellsPatches = false;
  const order = async () => {
    await rig.put('ip-pools/public', pool);
    await rig.put(`${network}/public-ips/front`, {});
    await rig.put(`${network}/nat-rules/out`, { type: 'source', publicIp: 'front' });
    return rig.core.status.wait(rig.core.intent.revision, 'programmed', 10_000);
  };
  const number = rig.core.intent.get('provider-networks/net')!.number;
  let isOver = false;
  const waited = order().then((result) => {
    isOver = true;
    return result;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(isOver).toBe(false);
  rig.fake.prompt = false;
  for (const h of [1, 2]) rig.fake.events.patches(h, new Map([[`provider:${number}`, 2_000]]));
  await quiet(rig.core);
  const given = rig.fake.texts().filter((l) => l.includes('table=78') && l.includes('nw_src=203.0.113.'));
  expect(given).toHaveLength(2);
  expect(isOver).toBe(false);
  rig.fake.acknowledge();
  expect(await waited).toBe(true);
  rig.fake.prompt = true;
  for (const path of [`${network}/nat-rules/out`, `${network}/public-ips/front`, 'ip-pools/public'])
    await rig.remove(path);
  for (const h of [1, 2]) rig.fake.events.patches(h, new Map());
  await quiet(rig.core);
  const began = performance.now();
  expect(await order()).toBe(true);
  expect(performance.now() - began).toBeGreaterThan(2_000);
  expect(rig.told(`${network}/public-ips/front`)).toBe('degraded NoPatch');
});

test('a network that finds no conntrack zone on its gateway says so, and has one when another network gives it back', async () => {
  const before = await new Rig().start();
  await before.join('gw1', 1, { gateway: true });
  await before.put('provider-networks/net', { physicalNetwork: 'phys' });
  await before.put('ip-pools/public', pool);
  await before.put('tenants/acme', {});
  for (const name of ['one', 'two'])
    await before.put(`tenants/acme/networks/${name}`, { offering: 'basic', cidr: '10.0.0.0/16' });
  await before.core.stop();
  const store = openMemoryStore({ disk: before.disk });
  // One is left.
  await store.commit({ put: new Map([['zones/1/65535', JSON.stringify({ state: 'free' })]]) });
  await store.close();
  const rig = await new Rig(before.disk).start();
  await rig.back('gw1', 1);
  const [one, two] = ['one', 'two'].map((name) => `tenants/acme/networks/${name}/public-ips/a`) as [string, string];
  await rig.put(one, {});
  await rig.put(two, {});
  expect([rig.told(one), rig.told(two)]).toEqual(['programmed AtGateways', 'degraded NoZone']);
  rig.agree();
  rig.fake.prompt = false;
  await rig.remove(one);
  // Not before the switch has confirmed that no flow uses it.
  expect(rig.told(two)).toBe('degraded NoZone');
  rig.fake.prompt = true;
  rig.fake.acknowledge();
  await quiet(rig.core);
  expect(rig.fake.flushed).toEqual(['1/65535']);
  expect(rig.told(two)).toBe('programmed AtGateways');
  expect(rig.core.engine.state.natZone(1, 'tenants/acme/networks/two')).toBe(65_535);
  rig.agree();
});

describe('next hops', () => {
  const asked = { ...pool, gatewayMac: undefined };
  /** What a switch sends of an ARP message. */
  const arp = (rig: Rig, hypervisor: number, op: number, mac: string, from = '203.0.113.1') => {
    const bytes = arpRequest(parseMac(mac)!, parseIpv4('203.0.113.99')!);
    const view = new DataView(bytes.buffer);
    view.setUint16(20, op);
    view.setUint32(28, parseIpv4(from)!);
    const userdata = nextHopUserdata(rig.core.intent.get('ip-pools/public')!.number);
    rig.fake.events.packetIn(hypervisor, {
      userdata,
      cookie: 0n,
      table: 2,
      reason: undefined,
      bytes,
      length: bytes.length,
      fields: {},
    });
  };

  test('are asked for, learnt from who was asked, durable, and in force while nobody answers', async () => {
    const rig = await open();
    const told: string[] = [];
    rig.core.status.onStatus((path) => told.push(path));
    await rig.put('ip-pools/public', asked);
    await vi.waitFor(() => expect(rig.fake.sent.length).toBeGreaterThan(0));
    const { hypervisor, packet } = rig.fake.sent[0]!;
    const number = rig.core.intent.get('ip-pools/public')!.number;
    expect(packet.actions).toEqual([
      { type: 'output', port: patchPort(`provider:${rig.core.intent.get('provider-networks/net')!.number}`) },
    ]);
    expect(parseArp(packet.bytes)).toEqual({ op: 1, sha: generatedMac(number), spa: 0, tpa: parseIpv4('203.0.113.1') });
    expect(rig.told('ip-pools/public')).toBe('degraded NoAnswer');
    await rig.put(`${network}/public-ips/front`, {});
    expect(rig.told(`${network}/public-ips/front`)).toBe('degraded AtGateways,NoAnswer');
    const mac = () => rig.core.engine.state.nextHopMac('ip-pools/public');
    // From where nobody asked; another address; no answer at all; nobody's MAC.
    arp(rig, hypervisor + 1, 2, '02:00:00:00:aa:01');
    arp(rig, hypervisor, 2, '02:00:00:00:aa:01', '203.0.113.2');
    arp(rig, hypervisor, 1, '02:00:00:00:aa:01');
    arp(rig, hypervisor, 2, '03:00:00:00:aa:01');
    await quiet(rig.core);
    expect(mac()).toBe(undefined);
    arp(rig, hypervisor, 2, '02:00:00:00:aa:01');
    await quiet(rig.core);
    expect(mac()).toBe(parseMac('02:00:00:00:aa:01'));
    expect(rig.told('ip-pools/public')).toBe('programmed Learnt');
    expect(told).toContain('ip-pools/public');
    // Nobody asked any more.
    arp(rig, hypervisor, 2, '02:00:00:00:aa:02');
    await quiet(rig.core);
    expect(mac()).toBe(parseMac('02:00:00:00:aa:01'));
    rig.agree();
    await rig.core.stop();
    const after = await new Rig(rig.disk).start();
    expect(after.core.engine.state.nextHopMac('ip-pools/public')).toBe(parseMac('02:00:00:00:aa:01'));
    expect(after.told('ip-pools/public')).toBe('programmed Learnt');
    // Another next hop is not where the first was.
    await after.put('ip-pools/public', { ...asked, gateway: '203.0.113.254' });
    expect(after.core.engine.state.nextHopMac('ip-pools/public')).toBe(undefined);
    expect(after.told('ip-pools/public')).toBe('degraded NobodyAsks');
    after.agree();
  });

  test('one that announces another MAC is asked at once', async () => {
    const rig = await open();
    await rig.put('ip-pools/public', asked);
    await vi.waitFor(() => expect(rig.fake.sent.length).toBe(1));
    arp(rig, rig.fake.sent[0]!.hypervisor, 2, '02:00:00:00:aa:01');
    await quiet(rig.core);
    arp(rig, rig.fake.sent[0]!.hypervisor, 1, '02:00:00:00:aa:02');
    await vi.waitFor(() => expect(rig.fake.sent.length).toBe(2));
    arp(rig, rig.fake.sent[1]!.hypervisor, 2, '02:00:00:00:aa:02');
    await quiet(rig.core);
    expect(rig.core.engine.state.nextHopMac('ip-pools/public')).toBe(parseMac('02:00:00:00:aa:02'));
  });

  test('what is given is not asked for', async () => {
    const rig = await open();
    expect(rig.told('ip-pools/public')).toBe('programmed Given');
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(rig.fake.sent).toEqual([]);
    expect(rig.core.engine.state.nextHopMac('ip-pools/public')).toBe(parseMac(given));
  });
});

describe('what is wrong is told of the right object', () => {
  test('two hypervisors with one tunnel address: both say so and name the other, until one has its own', async () => {
    const rig = await open();
    expect(rig.status('hypervisors/gw1').conditions.map(({ type }) => type)).toEqual(['Approved']);
    const heard: string[] = [];
    rig.core.status.onStatus((path) => heard.push(path));
    await rig.back('hv1', 1, {});
    for (const [host, other] of [
      ['gw1', 'hv1'],
      ['hv1', 'gw1'],
    ]) {
      const { state, conditions } = rig.status(`hypervisors/${host}`);
      expect(state).toBe('degraded');
      expect(conditions.find(({ type }) => type === 'EncapConflict')?.message).toMatch(
        `192.0.2.1 is the tunnel address of ${other} too`,
      );
      expect(heard).toContain(`hypervisors/${host}`);
    }
    await rig.back('hv1', 3, {});
    for (const host of ['gw1', 'hv1']) expect(rig.told(`hypervisors/${host}`)).toBe('programmed approved');
  });

  test('a port straight on a provider network its hypervisor has no way to', async () => {
    const rig = await open();
    await rig.put('provider-networks/net', { physicalNetwork: 'phys', tenants: ['acme'] });
    await rig.put(`${network}/tiers/flat`, { cidr: '198.18.0.0/24', gateway: '198.18.0.1', providerNetwork: 'net' });
    await rig.put(`${network}/ports/f`, { tier: 'flat', ifaceId: 'f', ips: ['198.18.0.9'] });
    const heard: string[] = [];
    await rig.show('hv1', 'f');
    expect(rig.told(`${network}/ports/f`)).toBe('degraded InterfaceFound,NoPatch');
    rig.core.status.onStatus((path) => heard.push(path));
    await rig.back('hv1', 3, { phys: 'br-ex' }, ['f']);
    expect(rig.told(`${network}/ports/f`)).toBe('programmed InterfaceFound');
    expect(heard).toContain(`${network}/ports/f`);
    rig.agree();
  });

  test('a VLAN attachment and its device: no gateway, no host that maps the trunk, no bridge, joined', async () => {
    const rig = await open();
    await rig.put('trunks/racks', { physicalNetwork: 'other', vlans: ['100-110'] });
    await rig.put(`${network}/vlan-attachments/rack`, { trunk: 'racks', tier: 'web' });
    await rig.put(`${network}/ports/d`, {
      tier: 'web',
      attachment: 'rack',
      mac: '02:00:00:00:00:0d',
      ips: ['10.0.1.77'],
    });
    expect(rig.told('trunks/racks')).toBe('degraded NoHost');
    expect(rig.told(`${network}/vlan-attachments/rack`)).toBe('degraded NoHost');
    expect(rig.told(`${network}/ports/d`)).toBe('degraded NoPatch');
    const mapped = { phys: 'br-ex', other: 'br-trunk' };
    await rig.back('gw1', 1, mapped);
    expect(rig.told('trunks/racks')).toBe('programmed HostFound');
    expect(rig.told(`${network}/vlan-attachments/rack`)).toBe('programmed AtGateways');
    expect(rig.told(`${network}/ports/d`)).toBe('programmed AttachmentFound');
    const alone = rig.core.engine.bindings.placement.get(`${network}/ports/d`)!;
    expect([alone.hypervisor, alone.standby]).toEqual([1, undefined]);
    const { number } = rig.core.intent.get(`${network}/vlan-attachments/rack`)!;
    expect(rig.fake.patches.get(1)).toContainEqual({ key: `vlan:${number}`, bridge: 'br-trunk', vlan: 100 });
    await rig.back('gw2', 2, mapped);
    const [first, second] = rig.core.engine.state.gateways(network);
    expect(rig.core.engine.bindings.placement.get(`${network}/ports/d`)).toMatchObject({
      hypervisor: first,
      standby: { hypervisor: second },
    });
    rig.agree();
    for (const host of ['gw1', 'gw2']) await rig.put(`hypervisors/${host}`, { admission: 'approved' });
    expect(rig.told(`${network}/vlan-attachments/rack`)).toBe('degraded NoGateway');
    expect(rig.core.engine.bindings.placement.get(`${network}/ports/d`)).toBe(undefined);
    rig.agree();
  });
});
