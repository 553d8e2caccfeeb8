/** Who touches what and who meets whom, and what each change says it has touched, against a plain look at all bound ports and gateways. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Bound, homesOf, Placement } from '../../src/inventory/placement.ts';

const tenants = ['tenants/a', 'tenants/b'];
const networks = tenants.flatMap((tenant) => ['n', 'm'].map((name) => `${tenant}/networks/${name}`));
const ports = networks.flatMap((network) => ['p', 'q', 'r'].map((name) => `${network}/ports/${name}`));
const hypervisors = Array.from({ length: 12 }, (_, i) => i + 1);

/** Bound ports and gateways, and nothing else: everything is worked out from them when asked. */
class Model {
  readonly bound = new Map<string, Bound>();
  readonly gateways = new Map<string, number[]>();

  hosts(below: string): number[] {
    const found = [...this.bound].filter(([port]) => port.startsWith(`${below}/`)).flatMap(([, at]) => homesOf(at));
    return ascending(found.map(({ hypervisor }) => hypervisor));
  }

  reach(below: string): number[] {
    const gateways = [...this.gateways].filter(([network]) => `${network}/`.startsWith(`${below}/`));
    return ascending([...this.hosts(below), ...gateways.flatMap(([, of]) => of)]);
  }

  portsOn(hypervisor: number): string[] {
    return [...this.bound]
      .filter(([, at]) => homesOf(at).some((h) => h.hypervisor === hypervisor))
      .map(([port]) => port);
  }

  served(hypervisor: number): string[] {
    return [...this.gateways].filter(([, of]) => of.includes(hypervisor)).map(([network]) => network);
  }

  peersOf(hypervisor: number): number[] {
    const shared = tenants.map((tenant) => this.reach(tenant)).filter((hosts) => hosts.includes(hypervisor));
    return ascending(shared.flat()).filter((h) => h !== hypervisor);
  }

  pairsAt(hypervisor: number): string[] {
    const pairs = networks.filter((network) => {
      const of = this.gateways.get(network) ?? [];
      return of.length === 2 && of[0] !== hypervisor && this.reach(network).includes(hypervisor);
    });
    return [...new Set(pairs.map((network) => `${this.gateways.get(network)}`))].sort();
  }
}

function ascending(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((x, y) => x - y);
}

function differing(a: readonly number[], b: readonly number[]): number[] {
  return ascending([...a.filter((h) => !b.includes(h)), ...b.filter((h) => !a.includes(h))]);
}

const home = {
  ofport: fc.integer({ min: 0, max: 2 }),
  zone: fc.integer({ min: 1024, max: 1026 }),
};

const place: fc.Arbitrary<Bound> = fc
  .record({
    at: fc.uniqueArray(fc.constantFrom(...hypervisors), { minLength: 1, maxLength: 2 }),
    interface: fc.constantFrom('v1', 'v2'),
    first: fc.record(home),
    second: fc.record(home),
  })
  .map(({ at: [hypervisor, other], first, second, ...more }) => ({
    hypervisor: hypervisor!,
    ...first,
    ...more,
    ...(other === undefined ? {} : { standby: { hypervisor: other, ...second } }),
  }));

const steps = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ port: fc.constantFrom(...ports), to: fc.option(place, { nil: undefined, freq: 3 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        network: fc.constantFrom(...networks),
        gateways: fc.uniqueArray(fc.constantFrom(1, 2, 3, 4), { maxLength: 2 }),
      }),
    },
  ),
  { maxLength: 60 },
);

test('every index is what the bound ports and gateways give, and an effect names what has changed and nothing else', () => {
  fc.assert(
    fc.property(steps, (moves) => {
      const placement = new Placement();
      const model = new Model();
      for (const move of moves) {
        const path = 'port' in move ? move.port : move.network;
        const [tenant, network] = [path.split('/').slice(0, 2).join('/'), path.split('/').slice(0, 4).join('/')];
        const before = [model.hosts(network), model.reach(tenant)] as const;
        const pairs = new Map(hypervisors.map((one) => [one, model.pairsAt(one)]));
        if ('port' in move) {
          const { port, to } = move;
          const effect = to === undefined ? placement.unbind(port) : placement.bind(port, to);
          if (to === undefined) model.bound.delete(port);
          else model.bound.set(port, to);
          expect(effect.port).toBe(port);
          expect(ascending(effect.tenantHosts)).toEqual(differing(before[1], model.reach(tenant)));
          expect(effect.networkHosts).toBe(differing(before[0], model.hosts(network)).length > 0);
        } else {
          const roles = new Set(hypervisors.filter((one) => model.served(one).length > 0));
          const known = model.gateways.get(network) ?? [];
          const effect = placement.setGateways(network, move.gateways);
          if (move.gateways.length === 0) model.gateways.delete(network);
          else model.gateways.set(network, move.gateways);
          expect(effect.before).toEqual(known);
          expect(ascending(effect.tenantHosts)).toEqual(differing(before[1], model.reach(tenant)));
          const changed = hypervisors.filter((one) => roles.has(one) !== model.served(one).length > 0);
          expect(ascending(effect.roles)).toEqual(changed);
        }
        const otherPairs = placement.takeOtherPairs();
        for (const one of hypervisors) {
          expect([...placement.pairsAt(one)].map(String).sort()).toEqual(model.pairsAt(one));
          if (`${pairs.get(one)}` !== `${model.pairsAt(one)}`) expect(otherPairs.has(one)).toBe(true);
          expect([...placement.servedBy(one)].sort()).toEqual(model.served(one).sort());
          expect(placement.isGateway(one)).toBe(model.served(one).length > 0);
        }

        expect(placement.size).toBe(model.bound.size);
        expect(new Map(placement.ports())).toEqual(model.bound);
        for (const one of ports) expect(placement.get(one)).toEqual(model.bound.get(one));
        for (const one of tenants) expect(placement.hostsOfTenant(one)).toEqual(model.reach(one));
        for (const one of networks) {
          expect(placement.hostsOfNetwork(one)).toEqual(model.hosts(one));
          expect(placement.reachOfNetwork(one)).toEqual(model.reach(one));
          expect(placement.gatewaysOf(one)).toEqual(model.gateways.get(one) ?? []);
          const there = [...model.bound.keys()].filter((path) => path.startsWith(`${one}/`));
          expect([...placement.boundPortsOf(one)].sort()).toEqual(there.sort());
        }
        expect([...placement.networks()].sort()).toEqual(networks.filter((one) => model.reach(one).length > 0).sort());
        expect([...placement.tenants()].sort()).toEqual(tenants.filter((one) => model.reach(one).length > 0).sort());
        for (const one of hypervisors) {
          expect([...placement.portsOn(one)].sort()).toEqual(model.portsOn(one).sort());
          const peers = model.peersOf(one);
          expect(placement.peersOf(one)).toEqual(peers);
          for (const other of hypervisors) expect(placement.arePeers(one, other)).toBe(peers.includes(other));
        }
      }
    }),
    { numRuns: 60 },
  );
});

const at = (hypervisor: number, ofport = 1): Bound => ({ hypervisor, interface: 'v', ofport, zone: 1024 });
const [p, q] = ['tenants/a/networks/n/ports/p', 'tenants/a/networks/n/ports/q'];
const other = 'tenants/a/networks/m/ports/p';

describe('what a change touches', () => {
  test('the first port of a tenant on a hypervisor brings both network and tenant there, the next neither', () => {
    const placement = new Placement();
    expect(placement.bind(p, at(1))).toEqual({ port: p, networkHosts: true, tenantHosts: [1] });
    expect(placement.bind(q, at(1))).toEqual({ port: q, networkHosts: false, tenantHosts: [] });
    expect(placement.bind(other, at(1))).toEqual({ port: other, networkHosts: true, tenantHosts: [] });
    expect(placement.unbind(p)).toEqual({ port: p, networkHosts: false, tenantHosts: [] });
    expect(placement.unbind(q)).toEqual({ port: q, networkHosts: true, tenantHosts: [] });
    expect(placement.unbind(other)).toEqual({ port: other, networkHosts: true, tenantHosts: [1] });
    expect(placement.size).toBe(0);
  });

  test('a move is a leaving and a coming', () => {
    const placement = new Placement();
    placement.bind(p, at(1));
    placement.bind(q, at(2));
    expect(placement.bind(p, at(3))).toEqual({ port: p, networkHosts: true, tenantHosts: [1, 3] });
    expect(placement.peersOf(2)).toEqual([3]);
    expect(placement.peersOf(1)).toEqual([]);
    // Where the tenant is already.
    expect(placement.bind(p, at(2))).toEqual({ port: p, networkHosts: true, tenantHosts: [3] });
    expect([...placement.portsOn(3)]).toEqual([]);
  });

  test('another OpenFlow port, interface or zone on the same hypervisor touches the port alone', () => {
    const placement = new Placement();
    placement.bind(p, at(1));
    const later = { hypervisor: 1, interface: 'w', ofport: 7, zone: 1030 };
    expect(placement.bind(p, later)).toEqual({ port: p, networkHosts: false, tenantHosts: [] });
    expect(placement.get(p)).toEqual(later);
  });

  test('what is not bound cannot leave', () => {
    const placement = new Placement();
    expect(placement.unbind(p)).toEqual({ port: p, networkHosts: false, tenantHosts: [] });
  });

  test('peers by two tenants stay peers until the last of them has left', () => {
    const placement = new Placement();
    const theirs = 'tenants/b/networks/n/ports/p';
    const theirsToo = 'tenants/b/networks/n/ports/q';
    for (const [port, h] of [
      [p, 1],
      [q, 2],
      [theirs, 1],
      [theirsToo, 2],
    ] as const)
      placement.bind(port, at(h));
    placement.unbind(q);
    expect(placement.arePeers(1, 2)).toBe(true);
    placement.unbind(theirs);
    expect(placement.arePeers(1, 2)).toBe(false);
    expect(placement.peersOf(2)).toEqual([]);
  });

  test('a hypervisor is no peer of its own', () => {
    const placement = new Placement();
    placement.bind(p, at(1));
    placement.bind(q, at(1));
    expect([placement.arePeers(1, 1), placement.peersOf(1)]).toEqual([false, []]);
  });
});
