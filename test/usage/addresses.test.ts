/** Public addresses are counted by the flows that the pipeline makes for them, and by no others. */
import { expect, test } from 'vitest';
import type { InstalledFlow } from '../../src/drivers/switch-plugin.ts';
import { Placement } from '../../src/inventory/placement.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { giveToProvider, hairpin, type PublicAddress, takeFromProvider } from '../../src/pipeline/stages/provider.ts';
import { Problem } from '../../src/problems.ts';
import type { CountedAddress } from '../../src/usage/homes.ts';
import { Ledger } from '../../src/usage/ledger.ts';
import { UsageReader } from '../../src/usage/reader.ts';

const at: PublicAddress = {
  number: 77,
  address: 0xcb007119,
  mac: 0x0a0000000077,
  network: { number: 70, network: 7, key: 9, gatewayMac: 0x0a0000000070 },
  patch: 5,
  zone: 1030,
  first: undefined,
  mtu: 1450,
};

const address: CountedAddress = {
  kind: 'public-ip',
  path: 'tenants/acme/networks/shop/public-ips/front',
  uid: 'uid',
  createdAt: 0,
  number: at.number,
  ip: at.address,
};

/** A switch with the address's flows, each of which has counted something else. */
class Counting {
  readonly flows: { flow: Flow; packets: number; duration: number }[];
  away = false;
  asked = 0;

  constructor() {
    this.flows = [...takeFromProvider(at), giveToProvider(at, 0x0a0000000001), hairpin(at)].map((flow) => ({
      flow,
      packets: 0,
      duration: 100,
    }));
  }

  count(table: number, packets: number): void {
    for (const one of this.flows) {
      // ARP requests come too, from each neighbour.
      if (one.flow.match.eth_type === 0x0806) one.packets += 1_000;
      else if (one.flow.table === table) one.packets += packets;
      one.duration += 60;
    }
  }

  installed(_: number, cookies: readonly bigint[] = []): Promise<InstalledFlow[]> {
    this.asked++;
    if (this.away) return Promise.reject(new Problem('hypervisor.not-connected', 'away'));
    return Promise.resolve(
      this.flows
        .filter(({ flow }) => cookies.includes(flow.cookie))
        .map(({ flow, packets, duration }) => ({
          ...flow,
          packets: BigInt(packets),
          bytes: BigInt(packets * 100),
          duration,
        })),
    );
  }
}

function room(plugin: Counting, clock = { seconds: 1_000 }) {
  const now = () => clock.seconds * 1_000;
  const ledger = new Ledger({ now, monotonic: now });
  const view = { getAs: () => undefined } as never;
  return { ledger, clock, reader: new UsageReader({ view, placement: new Placement(), plugin, ledger }) };
}

const [ingress, output, turning] = [2, 78, hairpin(at).table];

test('to it and from it, and neither ARP nor what turns round', async () => {
  const plugin = new Counting();
  const { ledger, reader, clock } = room(plugin);
  const next = async () => {
    clock.seconds += 60;
    expect(await reader.readAddresses(1, [address])).toBe(true);
    const { received, sent } = ledger.account('uid')!;
    return [received.packets, sent.packets, received.bytes, sent.bytes];
  };
  plugin.count(ingress, 7);
  plugin.count(output, 4);
  plugin.count(turning, 99);
  expect(await next()).toEqual([7, 4, 700, 400]);
  plugin.count(output, 2);
  expect(await next()).toEqual([7, 6, 700, 600]);
  // One of the flows is made anew, as where the next hop has another MAC: the other goes on.
  for (const one of plugin.flows) if (one.flow.table === output) Object.assign(one, { packets: 0, duration: 0 });
  plugin.count(output, 3);
  expect(await next()).toEqual([7, 9, 700, 900]);
  // Made anew, and beyond where it was before anybody looked.
  for (const one of plugin.flows) if (one.flow.table === output) Object.assign(one, { packets: 0, duration: -40 });
  plugin.count(output, 50);
  expect(await next()).toEqual([7, 59, 700, 5_900]);
});

test('another gateway counts beside the first, and a switch that is away is asked again later', async () => {
  const [one, other] = [new Counting(), new Counting()];
  const { ledger, reader, clock } = room(one);
  const second = new UsageReader({
    view: { getAs: () => undefined } as never,
    placement: new Placement(),
    plugin: other,
    ledger,
  });
  one.count(ingress, 10);
  await reader.readAddresses(1, [address]);
  other.count(ingress, 5);
  await second.readAddresses(2, [address]);
  expect(ledger.account('uid')!.received.packets).toBe(15);
  one.away = true;
  one.count(ingress, 3);
  clock.seconds += 60;
  expect(await reader.readAddresses(1, [address])).toBe(false);
  expect(ledger.account('uid')!.received.packets).toBe(15);
  one.away = false;
  clock.seconds += 60;
  one.count(ingress, 1);
  await reader.readAddresses(1, [address]);
  expect(ledger.account('uid')!.received.packets).toBe(19);
  // The flows go with the address's home, and come back at 0.
  const { flows } = one;
  Object.defineProperty(one, 'flows', { value: [] });
  await reader.readAddresses(1, [address]);
  Object.defineProperty(one, 'flows', { value: flows.map((f) => ({ ...f, packets: 2, duration: 5 })) });
  clock.seconds += 60;
  await reader.readAddresses(1, [address]);
  expect(ledger.account('uid')!.received.packets).toBe(21);
});
