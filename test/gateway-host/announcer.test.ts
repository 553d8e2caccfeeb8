/** Who announces public addresses, and when: the second gateway once the first is dead in its eyes, and never both for long. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Announcer } from '../../src/gateway-host/announcer.ts';
import { Served } from '../../src/gateway-host/served.ts';
import { ip4, network } from './arbitrary.ts';

const patch = 'provider:5';
const publicAddresses = [{ address: '203.0.113.9', mac: '0a:00:00:00:00:63', patch }];

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Hypervisor `self` of the gateways 1 and 2. */
function host(self: number, good = true) {
  const served = new Served();
  const sent: { at: number; ofport: number; address: number }[] = [];
  let patches = new Map([[patch, 7]]);
  const announcer = new Announcer({
    networks: () => served.networks.values(),
    patch: (key) => patches.get(key),
    send(ofport, frame) {
      if (good) sent.push({ at: Date.now(), ofport, address: frame.readUInt32BE(28) });
      return good;
    },
    log() {},
  });
  announcer.self = self;
  const tell = (gateways: number[], addresses = publicAddresses) => {
    const effects = served.apply({ type: 'network', network: { ...network, gateways, publicAddresses: addresses } });
    for (const changed of effects.networks) announcer.networkChanged(changed);
  };
  return {
    announcer,
    sent,
    tell,
    /** What the local database says. */
    sees(peer: number, alive: boolean, there = patches) {
      patches = there;
      announcer.update(new Map([[peer, alive]]), patches);
    },
    /** Announcements (a request and a reply each) since the last time. */
    async said(milliseconds = 5_000): Promise<number> {
      await vi.advanceTimersByTimeAsync(milliseconds);
      return sent.splice(0).length / 2;
    },
  };
}

test('the first says so when it is told, the second nothing while the first lives', async () => {
  const [one, two] = [host(1), host(2)];
  for (const [gateway, other] of [
    [one, 2],
    [two, 1],
  ] as const) {
    gateway.sees(other, true);
    gateway.tell([1, 2]);
  }
  expect(await one.said()).toBe(4);
  expect(await two.said()).toBe(0);
});

test('the second says so at once when the first is dead, and no more once it is back', async () => {
  const two = host(2);
  two.sees(1, true);
  two.tell([1, 2]);
  await two.said();
  two.sees(1, false);
  expect(await two.said(0)).toBe(1);
  expect(two.announcer.inCharge(servedOf(two))).toBe(true);
  expect(await two.said(300)).toBe(1);
  two.sees(1, true);
  expect(await two.said()).toBe(0);
});

test('the first says so again when the second is back in its sight', async () => {
  const one = host(1);
  one.sees(2, true);
  one.tell([1, 2]);
  await one.said();
  one.sees(2, false);
  one.sees(2, true);
  expect(await one.said()).toBeGreaterThanOrEqual(4);
});

test('what has no patch yet is announced when that is there; who is no gateway of it says nothing', async () => {
  const one = host(1);
  one.sees(2, true, new Map());
  one.tell([1, 2]);
  expect(await one.said()).toBe(0);
  one.sees(2, true, new Map([[patch, 9]]));
  await vi.advanceTimersByTimeAsync(0);
  expect(one.sent[0]).toMatchObject({ ofport: 9, address: ip4('203.0.113.9') });
  const three = host(3);
  three.sees(1, false);
  three.tell([1, 2]);
  expect(await three.said()).toBe(0);
});

test('a tunnel to the first that was never seen is no sign that it is dead', async () => {
  const two = host(2);
  two.announcer.update(new Map(), new Map([[patch, 7]]));
  two.tell([1, 2]);
  expect(await two.said()).toBe(0);
});

test('a tunnel that was just made is given time to come up', async () => {
  const two = host(2);
  two.sees(1, false);
  two.tell([1, 2]);
  expect(await two.said(1_000)).toBe(0);
  two.sees(1, true);
  expect(await two.said()).toBe(0);
  const alone = host(2);
  alone.sees(1, false);
  alone.tell([1, 2]);
  expect(await alone.said(2_900)).toBe(0);
  expect(await alone.said()).toBe(4);
});

function servedOf(two: ReturnType<typeof host>) {
  const served = new Served();
  served.apply({ type: 'network', network: { ...network, gateways: [1, 2], publicAddresses } });
  expect(two.sent).toBeDefined();
  return served.networks.get(network.number)!;
}
