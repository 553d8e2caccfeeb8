/** Who touches what and who meets whom, against a plain count over all bound ports, after every step. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Placement } from '../../src/inventory/placement.ts';

const ports = ['a', 'b'].flatMap((tenant) =>
  ['n', 'm'].flatMap((network) =>
    ['p', 'q', 'r'].map((port) => `tenants/${tenant}/networks/${network}/ports/${port}` as const),
  ),
);

const steps = fc.array(
  fc.record({ port: fc.constantFrom(...ports), to: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }) }),
  { maxLength: 60 },
);

test('hosts and peers are those of the ports that are bound, in order', () => {
  fc.assert(
    fc.property(steps, (moves) => {
      const placement = new Placement();
      const bound = new Map<string, number>();
      for (const { port, to } of moves) {
        if (to === undefined) {
          placement.unbind(port);
          bound.delete(port);
        } else {
          placement.bind(port, { hypervisor: to, interface: 'i', ofport: 1, zone: 1 });
          bound.set(port, to);
        }
        const hosts = (prefix: string): number[] =>
          [...new Set([...bound].filter(([p]) => p.startsWith(prefix)).map(([, h]) => h))].sort((x, y) => x - y);
        for (const tenant of ['tenants/a', 'tenants/b']) {
          expect(placement.hostsOfTenant(tenant)).toEqual(hosts(`${tenant}/`));
          expect(placement.hostsOfNetwork(`${tenant}/networks/n`)).toEqual(hosts(`${tenant}/networks/n/`));
        }
        for (let one = 1; one <= 12; one++) {
          const shared = ['tenants/a/', 'tenants/b/'].map(hosts).filter((all) => all.includes(one));
          const peers = [...new Set(shared.flat())].filter((h) => h !== one).sort((x, y) => x - y);
          expect(placement.peersOf(one)).toEqual(peers);
          for (let other = 1; other <= 12; other++) expect(placement.arePeers(one, other)).toBe(peers.includes(other));
        }
      }
    }),
    { numRuns: 60 },
  );
});
