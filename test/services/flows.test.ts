/** What a VM asks of the services of a gateway host, who gets to hear it, and what it can't say: flows on real Open vSwitch. */
import { afterAll, expect, type TestContext, test } from 'vitest';
import { gatewayMacOf } from '../../src/compile/serving.ts';
import { formatMac } from '../../src/intent/addresses.ts';
import { load, registers } from '../../src/pipeline/registers.ts';
import { serviceAddress, serviceIdentity, serviceMac } from '../../src/pipeline/stages/services.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { arpFrame, icmp6Frame } from '../e2e/frames.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';
import { acme, bolt, differences, ipv4Frame, openRig, other, type Place, type Rig, readIpv4, vm } from './rig.ts';

const services = '169.254.169.254';
const everywhere: readonly Place[] = ['vm', 'twin', 'other', 'services'];
const bare = (mac: string): string => mac.replaceAll(':', '');

let opened: Promise<Rig> | undefined;

async function rigFor(context: Pick<TestContext, 'skip'>): Promise<Rig> {
  await openVswitchOrSkip(context);
  opened ??= openRig();
  const rig = await opened;
  rig.forget();
  return rig;
}

afterAll(async () => {
  await (await opened)?.[Symbol.asyncDispose]();
});

const keyOf = (rig: Rig, network: string): number => rig.id(network.slice(0, network.indexOf('/networks')));
const gatewayMac = (rig: Rig, network: string): string => {
  const resource = rig.core.intent.getAs('network', network);
  return formatMac(gatewayMacOf(resource!));
};
const identity = (rig: Rig, port: string): number => serviceIdentity(rig.number(port));

const dhcp = (source: string, ethSrc: string = vm.mac, ports: [number, number] = [68, 67]): string =>
  ipv4Frame({ ethSrc, source, destination: '255.255.255.255', protocol: 'udp', ports });

const ask = (
  protocol: 'udp' | 'tcp' | 'icmp',
  port: number,
  over: Partial<Parameters<typeof ipv4Frame>[0]> = {},
): string =>
  ipv4Frame({
    ethSrc: vm.mac,
    ethDst: '0a:00:00:00:00:01',
    source: vm.ip,
    destination: services,
    protocol,
    ports: [40_000, port],
    ...over,
  });

const solicit = (ethSrc: string, source: string): string =>
  icmp6Frame({ ethSrc, ethDst: '33:33:00:00:00:02', source, destination: 'ff02::2', type: 133, body: Buffer.alloc(4) });

/** Nothing came to the program, and nothing went out anywhere. */
function expectSilence(rig: Rig, what: string): void {
  expect([what, rig.packets.length, ...everywhere.map((place) => rig.sent(place).length)]).toEqual([
    what,
    0,
    0,
    0,
    0,
    0,
  ]);
}

test('a request for an address comes to the program with tenant, network and MAC, of each tenant as its own', async (context) => {
  const rig = await rigFor(context);
  for (const [place, network] of [
    ['vm', acme],
    ['twin', bolt],
  ] as const) {
    for (const frame of [dhcp('0.0.0.0'), dhcp(vm.ip), solicit(vm.mac, 'fe80::a'), solicit(vm.mac, '::')]) {
      rig.forget();
      await rig.send(place, frame);
      await until('the request', () => rig.packets.length > 0);
      const [packet, ...more] = rig.packets;
      expect(more).toEqual([]);
      expect(packet?.table).toBe(tables.Responder.id);
      expect(Number(packet?.fields.metadata)).toBe(keyOf(rig, network));
      expect(packet?.fields.reg4).toBe(rig.id(network));
      const bytes = Buffer.from(packet!.bytes).toString('hex');
      expect(bytes.slice(12, 24)).toBe(bare(vm.mac));
      expect(bytes.slice(0, 12)).toBe(bare(gatewayMac(rig, network)));
      expect(bytes.slice(28)).toBe(frame.slice(28));
      for (const at of everywhere) expect(rig.sent(at)).toEqual([]);
    }
  }
});

test('nobody asks under another MAC, or another address, or in more VLANs than none', async (context) => {
  const rig = await rigFor(context);
  const frames = {
    'the MAC of another port': dhcp('0.0.0.0', other.mac),
    'the MAC of nobody': dhcp('0.0.0.0', '02:00:00:00:00:99'),
    'the address of another port': dhcp(other.ip),
    'a tag': dhcp('0.0.0.0').replace(/^(.{24})/, '$18100000a'),
    'a solicitation under another MAC': solicit(other.mac, 'fe80::b'),
    'no address, to no DHCP server': ipv4Frame({
      ethSrc: vm.mac,
      source: '0.0.0.0',
      destination: '255.255.255.255',
      protocol: 'udp',
      ports: [4_000, 67],
    }),
    'a later fragment': ipv4Frame({
      ethSrc: vm.mac,
      source: '0.0.0.0',
      destination: '255.255.255.255',
      protocol: 'udp',
      ports: [68, 67],
      fragment: 'later',
    }),
  };
  for (const [what, frame] of Object.entries(frames)) {
    rig.forget();
    await rig.send('vm', frame);
    expectSilence(rig, what);
  }
});

test('no VM is a DHCP server or a router, to its neighbours or to the program', async (context) => {
  const rig = await rigFor(context);
  const toOther = { ethSrc: vm.mac, ethDst: other.mac, source: vm.ip, destination: other.ip, protocol: 'udp' } as const;
  const advert = { ethSrc: vm.mac, ethDst: '33:33:00:00:00:01', source: 'fe80::a', destination: 'ff02::1' };
  const frames = {
    'an offer': ipv4Frame({ ...toOther, ports: [67, 68] }),
    'an offer to all': dhcp(vm.ip, vm.mac, [67, 68]),
    'a relay': dhcp(vm.ip, vm.mac, [67, 67]),
    'a router advertisement': icmp6Frame({ ...advert, type: 134, body: Buffer.alloc(12) }),
    'a redirect': icmp6Frame({ ...advert, type: 137, body: Buffer.alloc(36) }),
    'under the address of the services': ipv4Frame({ ...toOther, source: services, ports: [53, 40_000] }),
    'under the MAC of the gateway': ipv4Frame({ ...toOther, ethSrc: gatewayMac(rig, acme), ports: [53, 40_000] }),
  };
  for (const [what, frame] of Object.entries(frames)) {
    rig.forget();
    await rig.send('vm', frame);
    expectSilence(rig, what);
  }
  // The same without port security: what it may say as any address it still may not as the gateway.
  await rig.put(`${acme}/ports/vm`, {
    tier: 'web',
    mac: vm.mac,
    ips: [vm.ip, vm.ip6],
    ifaceId: 'vm',
    portSecurity: false,
  });
  for (const [what, frame] of Object.entries(frames)) {
    rig.forget();
    await rig.send('vm', frame);
    if (what !== 'under the address of the services') expectSilence(rig, `${what}, without port security`);
  }
  await rig.put(`${acme}/ports/vm`, { tier: 'web', mac: vm.mac, ips: [vm.ip, vm.ip6], ifaceId: 'vm' });
  expect(differences(rig.core)).toEqual([]);
});

test('questions reach the services under an address that stands for one port of one tenant', async (context) => {
  const rig = await rigFor(context);
  for (const [place, network] of [
    ['vm', acme],
    ['twin', bolt],
  ] as const) {
    for (const [protocol, port] of [
      ['udp', 53],
      ['tcp', 53],
      ['tcp', 80],
    ] as const) {
      rig.forget();
      await rig.send(place, ask(protocol, port));
      await until('the question', () => rig.sent('services').length > 0);
      expect(rig.sent('services').map(readIpv4)).toEqual([
        {
          ethSrc: bare(vm.mac),
          ethDst: bare(formatMac(serviceMac)),
          source: identity(rig, `${network}/ports/vm`),
          destination: serviceAddress.value,
          ports: [40_000, port],
        },
      ]);
      expect(rig.packets).toEqual([]);
    }
  }
  expect(identity(rig, `${acme}/ports/vm`)).not.toBe(identity(rig, `${bolt}/ports/vm`));
});

test('nothing but the named ports of 169.254.169.254 is served, whatever the rules allow', async (context) => {
  const rig = await rigFor(context);
  const frames: [string, string][] = [
    ...[1, 22, 52, 54, 67, 79, 81, 443, 8080].map((port): [string, string] => [`TCP ${port}`, ask('tcp', port)]),
    ...[1, 67, 80, 123, 5353].map((port): [string, string] => [`UDP ${port}`, ask('udp', port)]),
    ['an echo request', ask('icmp', 0)],
    ['a later fragment', ask('udp', 53, { fragment: 'later' })],
    ['another address of its', ask('tcp', 80, { destination: '169.254.169.253' })],
    ['a foreign source', ask('tcp', 80, { source: other.ip })],
    ['an identity as source', ask('tcp', 80, { source: '240.0.0.5' })],
    ['a foreign MAC', ask('tcp', 80, { ethSrc: other.mac })],
  ];
  for (const [what, frame] of frames) {
    rig.forget();
    await rig.send('vm', frame);
    expect([what, rig.packets.length, rig.sent('services').length, rig.sent('other').length]).toEqual([what, 0, 0, 0]);
  }
});

test('answers reach the port they are for, and services say nothing else', async (context) => {
  const rig = await rigFor(context);
  const address = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
  const answer = (over: Partial<Parameters<typeof ipv4Frame>[0]> = {}): string =>
    ipv4Frame({
      ethSrc: formatMac(serviceMac),
      ethDst: formatMac(serviceMac + 1),
      source: services,
      destination: address(identity(rig, `${bolt}/ports/vm`)),
      protocol: 'tcp',
      ports: [80, 40_000],
      ...over,
    });
  await rig.send('services', answer());
  await until('the answer', () => rig.sent('twin').length > 0);
  expect(rig.sent('twin').map(readIpv4)).toEqual([
    {
      ethSrc: bare(gatewayMac(rig, bolt)),
      ethDst: bare(vm.mac),
      source: serviceAddress.value,
      destination: Buffer.from(vm.ip.split('.').map(Number)).readUInt32BE(),
      ports: [80, 40_000],
    },
  ]);
  for (const place of ['vm', 'other', 'services'] as const) expect(rig.sent(place)).toEqual([]);
  for (const [what, frame] of Object.entries({
    'another source': answer({ source: '10.0.1.11' }),
    'nobody there': answer({ destination: '240.0.0.1' }),
    'an address of a VM': answer({ destination: vm.ip }),
    ARP: arpFrame({ ethSrc: formatMac(serviceMac), sha: formatMac(serviceMac), spa: services, tpa: '240.0.0.1' }),
  })) {
    rig.forget();
    await rig.send('services', frame);
    expectSilence(rig, what);
  }
});

test("the program's answer to a request takes its way from Lookup on", async (context) => {
  const rig = await rigFor(context);
  const offer = ipv4Frame({
    ethSrc: gatewayMac(rig, bolt),
    ethDst: vm.mac,
    source: services,
    destination: '255.255.255.255',
    protocol: 'udp',
    ports: [67, 68],
  });
  rig.client.sendPacket({
    inPort: 0xfffffffd,
    actions: [
      load(registers.key, keyOf(rig, bolt)),
      load(registers.network, rig.id(bolt)),
      load(registers.service, 1),
      { type: 'resubmit', table: tables.Lookup.id },
    ],
    bytes: Buffer.from(offer, 'hex'),
  });
  await until('the offer', () => rig.sent('twin').length > 0);
  expect(rig.sent('twin')).toEqual([offer]);
  expect(rig.sent('vm')).toEqual([]);
});

test('ARP for the services is answered by the router of the tier', async (context) => {
  const rig = await rigFor(context);
  await rig.send('vm', arpFrame({ ethSrc: vm.mac, sha: vm.mac, spa: vm.ip, tpa: services }));
  await until('the answer', () => rig.sent('vm').length > 0);
  const router = `0a${rig.number(`${acme}/tiers/web`).toString(16).padStart(10, '0')}`;
  expect(rig.sent('vm').map((frame) => frame.slice(0, 64))).toEqual([
    `${bare(vm.mac)}${router}08060001080006040002${router}a9fea9fe`,
  ]);
});

test('a network without DHCP is told names and metadata, and no addresses; and one without the service nothing', async (context) => {
  const rig = await rigFor(context);
  const network = { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00::/48' };
  await rig.put(acme, { ...network, dhcp: false });
  expect(differences(rig.core)).toEqual([]);
  rig.forget();
  for (const frame of [dhcp('0.0.0.0'), solicit(vm.mac, 'fe80::a')]) await rig.send('vm', frame);
  expectSilence(rig, 'dhcp: false');
  await rig.send('vm', ask('tcp', 80));
  await until('the question', () => rig.sent('services').length > 0);
  await rig.put('offerings/bare', { services: ['routing', 'rules', 'source-nat'] });
  await rig.put(acme, { ...network, offering: 'bare' });
  expect(differences(rig.core)).toEqual([]);
  rig.forget();
  for (const frame of [dhcp('0.0.0.0'), solicit(vm.mac, 'fe80::a'), ask('tcp', 80)]) await rig.send('vm', frame);
  expect([rig.packets.length, rig.sent('services').length]).toEqual([0, 0]);
  // The offering grows, and the network with it.
  await rig.put('offerings/bare', { services: ['routing', 'rules', 'source-nat', 'dhcp'] });
  expect(differences(rig.core)).toEqual([]);
  rig.forget();
  await rig.send('vm', dhcp('0.0.0.0'));
  await until('the request', () => rig.packets.length > 0);
});
