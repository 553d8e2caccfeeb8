/** Whatever a VM sends, and whatever the services say: a tenant's is the tenant's. Random frames on real Open vSwitch. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gatewayMacOf } from '../../src/compile/serving.ts';
import { formatMac } from '../../src/intent/addresses.ts';
import { serviceIdentity, serviceMac } from '../../src/pipeline/stages/services.ts';
import { icmp6Frame } from '../e2e/frames.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';
import { acme, bolt, ipv4Frame, openRig, other, type Rig, readIpv4, vm } from './rig.ts';

const dotted = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');

/** What matters here, and what is near it; about half of it as who sends it should. */
function frames(rig: Rig, self: { mac: string; ip: string; ip6: string }) {
  const macOf = (network: string) => formatMac(gatewayMacOf(rig.core.intent.getAs('network', network)!));
  const identityOf = (port: string) => dotted(serviceIdentity(rig.number(port)));
  const router = (network: string) => formatMac(0x0a * 2 ** 40 + rig.number(`${network}/tiers/web`));
  const macs = fc.constantFrom(
    ...[
      vm.mac,
      other.mac,
      macOf(acme),
      macOf(bolt),
      router(acme),
      router(bolt),
      formatMac(serviceMac),
      'ff:ff:ff:ff:ff:ff',
    ],
  );
  const addresses = fc.constantFrom(
    ...[vm.ip, other.ip, '10.0.1.1', '169.254.169.254', '0.0.0.0', '255.255.255.255', '10.0.1.77', '169.254.169.253'],
    ...[identityOf(`${acme}/ports/vm`), identityOf(`${bolt}/ports/vm`), '240.0.0.1', '8.8.8.8'],
  );
  const mostly = (own: string, any: fc.Arbitrary<string>) => fc.oneof({ weight: 4, arbitrary: fc.constant(own) }, any);
  const port = fc.constantFrom(53, 67, 68, 80, 443, 546, 547, 40_000);
  // A neighbour and the services are met often enough for no run to miss them.
  const to = fc.oneof(
    { weight: 2, arbitrary: fc.record({ ethDst: macs, destination: addresses }) },
    fc.constant({ ethDst: other.mac, destination: other.ip }),
    fc.constant({ ethDst: router(acme), destination: '169.254.169.254' }),
  );
  const four = fc
    .record({
      ethSrc: mostly(self.mac, macs),
      source: mostly(self.ip, addresses),
      to,
      protocol: fc.constantFrom('udp', 'tcp', 'icmp'),
      ports: fc.tuple(port, port),
    })
    .map(({ to: receiver, ...frame }) => ipv4Frame({ ...frame, ...receiver }));
  const address6 = fc.constantFrom('fe80::a', '::', vm.ip6, 'ff02::1', 'ff02::2', 'fd00:0:0:1::1');
  const six = fc
    .record({
      ethSrc: mostly(self.mac, macs),
      ethDst: fc.oneof(macs, fc.constant('33:33:00:00:00:02')),
      source: mostly(self.ip6, address6),
      destination: address6,
      type: fc.constantFrom(128, 133, 134, 135, 136, 137),
    })
    .map((frame) => icmp6Frame({ ...frame, body: Buffer.alloc(24) }));
  return { four, six };
}

test('what a VM sends reaches its own tenant alone, and the services as itself alone', {
  timeout: 60_000,
}, async (context) => {
  await openVswitchOrSkip(context);
  await using rig = await openRig();
  const key = rig.id('tenants/acme');
  const { four, six } = frames(rig, { ...vm, ip6: 'fe80::a' });
  const met = { program: 0, services: 0, neighbour: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 4, arbitrary: four }, six), { minLength: 20, maxLength: 20 }),
      async (sent) => {
        rig.forget();
        await rig.inject('vm', sent);
        await rig.through();
        expect(rig.sent('twin')).toEqual([]);
        for (const packet of rig.packets) {
          expect(Number(packet.fields.metadata)).toBe(key);
          expect(Buffer.from(packet.bytes).toString('hex', 6, 12)).toBe(vm.mac.replaceAll(':', ''));
          met.program++;
        }
        for (const frame of rig.sent('services')) {
          const { source, ports } = readIpv4(frame);
          expect(source).toBe(serviceIdentity(rig.number(`${acme}/ports/vm`)));
          expect([53, 80]).toContain(ports[1]);
          met.services++;
        }
        met.neighbour += rig.sent('other').length;
      },
    ),
    { numRuns: 25, endOnFailure: true },
  );
  // All of it has happened.
  expect(
    Object.values(met).every((count) => count > 0),
    JSON.stringify(met),
  ).toBe(true);
});

test('what the services send reaches the port it is for alone', { timeout: 60_000 }, async (context) => {
  await openVswitchOrSkip(context);
  await using rig = await openRig();
  const { four, six } = frames(rig, { mac: formatMac(serviceMac), ip: '169.254.169.254', ip6: 'fe80::1' });
  const own = {
    vm: serviceIdentity(rig.number(`${acme}/ports/vm`)),
    twin: serviceIdentity(rig.number(`${bolt}/ports/vm`)),
  };
  let delivered = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 9, arbitrary: four }, six), { minLength: 20, maxLength: 20 }),
      async (sent) => {
        rig.forget();
        await rig.inject('services', sent);
        await rig.through();
        for (const place of ['vm', 'twin'] as const) {
          const meant = sent.filter((frame) => {
            const isIpv4 = frame.slice(24, 28) === '0800';
            const { source, destination } = isIpv4 ? readIpv4(frame) : { source: 0, destination: 0 };
            return source === 0xa9fea9fe && destination === own[place];
          });
          expect(rig.sent(place).length).toBe(meant.length);
          delivered += meant.length;
        }
        expect([rig.packets.length, rig.sent('other').length, rig.sent('services').length]).toEqual([0, 0, 0]);
      },
    ),
    { numRuns: 20, endOnFailure: true },
  );
  expect(delivered).toBeGreaterThan(0);
});
