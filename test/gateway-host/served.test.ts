/** What is served, as it is told in any order, kept on disk and recalled. */
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ServedPort, ServicesMessage } from '../../src/drivers/gateway-services.ts';
import { Memory } from '../../src/gateway-host/configuration/memory.ts';
import { Served } from '../../src/gateway-host/served.ts';
import { serviceIdentity } from '../../src/pipeline/stages/services.ts';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { db1, mac, network, servedWith, web1 } from './arbitrary.ts';

/** Everything there is, and what is found by whom. */
function picture(served: Served) {
  return {
    networks: [...served.networks.values()].map(({ told }) => told).sort((a, b) => a.number - b.number),
    ports: [...served.ports()]
      .map(({ told, network: of }) => ({ of: of.told.number, ...told }))
      .sort((a, b) => a.of - b.of || a.number - b.number),
    size: served.size,
    clients: [...served.ports()].map((port) => served.byMac(port.network.told.key, port.mac)?.number).sort(),
    names: [...served.networks.values()]
      .flatMap((n) =>
        [...n.names].map(([name, ports]) => `${n.told.number} ${name} ${[...ports].map((p) => p.number).sort()}`),
      )
      .sort(),
  };
}

const numbers = fc.integer({ min: 1, max: 3 });
const port = fc.record({ number: fc.integer({ min: 1, max: 6 }), mac: numbers, name: numbers, ip: numbers }).map(
  ({ number, mac: own, name, ip }): ServedPort => ({
    ...{ number, uid: `u${number}`, name: `p${number}`, hostname: `h${name}`, mac: `02:00:00:00:00:0${own}` },
    ...{ ips: [`10.0.1.${ip}`], tier: 'web' },
  }),
);
const message: fc.Arbitrary<ServicesMessage> = fc.oneof(
  fc
    .record({ number: numbers, mtu: fc.constantFrom(1400, 1500) })
    .map(({ number, mtu }) => ({ type: 'network' as const, network: { ...network, number, key: 70 + number, mtu } })),
  fc.record({
    type: fc.constant('ports' as const),
    network: numbers,
    set: fc.array(port, { maxLength: 3 }),
    remove: fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 2 }),
  }),
  numbers.map((number) => ({ type: 'remove' as const, network: number })),
);

test('whatever is told in whatever order, it is what telling the outcome anew gives', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 30 }), (messages) => {
      const served = new Served();
      for (const m of messages) served.apply(m);
      const anew = new Served();
      // Telling the whole again over what was there before changes nothing, and sweeps what is no more.
      const again = servedWith([web1, db1]);
      for (const target of [anew, again]) {
        target.apply({ type: 'begin', hypervisor: 1, name: 'gw1' });
        for (const { told, ports } of served.networks.values()) {
          target.apply({ type: 'network', network: told });
          target.apply({
            type: 'ports',
            network: told.number,
            set: [...ports.values()].map((p) => p.told),
            remove: [],
          });
        }
        target.apply({ type: 'end' });
      }
      const { clients: _, ...expected } = picture(anew);
      expect(picture(served)).toMatchObject(expected);
      expect(picture(again)).toEqual(picture(anew));
    }),
  );
});

test('what is told again as it was is nothing to write down', () => {
  const served = servedWith();
  expect(served.apply({ type: 'network', network: structuredClone(network) })).toEqual({
    networks: [],
    ports: [],
    goneNetworks: [],
    gonePorts: [],
  });
  expect(
    served.apply({ type: 'ports', network: network.number, set: [structuredClone(web1)], remove: [] }).ports,
  ).toEqual([]);
});

test('of two ports with one identity the older is served', () => {
  const young = { ...db1, number: web1.number + 2 ** 28 - 1 };
  const served = servedWith([young, web1]);
  const identity = serviceIdentity(web1.number);
  expect(serviceIdentity(young.number)).toBe(identity);
  expect(served.byIdentity(identity)?.number).toBe(web1.number);
  expect(served.clashes().map(({ number }) => number)).toEqual([young.number]);
  served.apply({ type: 'ports', network: network.number, set: [], remove: [web1.number] });
  expect(served.byIdentity(identity)?.number).toBe(young.number);
});

test('two tenants with the same MAC are two', () => {
  const served = servedWith();
  served.apply({ type: 'network', network: { ...network, number: 20, key: 78, tenant: 'umbrella' } });
  served.apply({ type: 'ports', network: 20, set: [{ ...web1, number: 300, ips: ['10.0.1.50'] }], remove: [] });
  expect(served.byMac(77, mac(web1.mac))?.number).toBe(web1.number);
  expect(served.byMac(78, mac(web1.mac))?.number).toBe(300);
  expect(served.byMac(79, mac(web1.mac))).toBeUndefined();
});

test('what is on disk is what is served, after every change', async () => {
  await using files = ephemeralDirectory('keyway-served-');
  const directory = join(files.path, 'served');
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 12 }), async (messages) => {
      const failures: unknown[] = [];
      const memory = await Memory.open(directory, (error) => failures.push(error));
      const served = new Served();
      await memory.recall(served);
      for (const m of messages) memory.keep(served.apply(m));
      memory.keepSelf(messages.length);
      await memory.close();
      const later = await Memory.open(directory, (error) => failures.push(error));
      const recalled = new Served();
      expect(await later.recall(recalled)).toEqual({ self: messages.length, unreadable: 0 });
      await later.close();
      const { clients: _, ...expected } = picture(served);
      expect(picture(recalled)).toMatchObject(expected);
      expect(failures).toEqual([]);
    }),
    { numRuns: 20 },
  );
});

test('one directory serves one program', async () => {
  await using files = ephemeralDirectory('keyway-served-');
  const memory = await Memory.open(files.path, () => {});
  await expect(Memory.open(files.path, () => {})).rejects.toThrow();
  await memory.close();
});
