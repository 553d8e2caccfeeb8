/** A provider network is told where a public address is now, by the switch that has it, and by no other. */
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { startCore } from '../../src/core.ts';
import type { HypervisorNumber, PacketOut } from '../../src/drivers/switch-plugin.ts';
import { formatMac, parseIpv4, publicMac } from '../../src/intent/addresses.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { quiet } from '../support/fake-cloud.ts';
import { FakeSwitches, patchPort } from '../support/fake-switches.ts';

class Sending extends FakeSwitches {
  readonly sent: { from: HypervisorNumber; packet: PacketOut }[] = [];
  sendPacket(from: HypervisorNumber, packet: PacketOut): Promise<void> {
    this.sent.push({ from, packet });
    return Promise.resolve();
  }
}

const network = 'tenants/acme/networks/shop';
const address = '203.0.113.9';
const mac = '0e:4b:cb:00:71:09';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('where an address comes to, there it is announced, once its flows are there', async () => {
  expect(formatMac(publicMac(parseIpv4(address)!))).toBe(mac);
  const fake = new Sending();
  const core = await startCore({ store: openMemoryStore(), plugin: fake, log: pino({ level: 'silent' }) });
  const put = async (list: Record<string, Record<string, unknown>>) => {
    await core.intent.transact(
      Object.entries(list).map(([path, spec]) => ({ op: 'put' as const, path, spec })),
      { restrictedAllowed: true, many: true },
    );
    await quiet(core);
  };
  await put({
    'hypervisors/gw': { admission: 'approved', gateway: true },
    'hypervisors/hv': { admission: 'approved' },
    'provider-networks/internet': { physicalNetwork: 'wire' },
    'ip-pools/public': {
      providerNetwork: 'internet',
      cidr: '203.0.113.0/24',
      gateway: '203.0.113.1',
      gatewayMac: '02:00:00:00:ff:01',
    },
    'tenants/acme': {},
    [network]: { offering: 'basic', cidr: '10.0.0.0/16' },
    [`${network}/tiers/web`]: { cidr: '10.0.1.0/24' },
    [`${network}/ports/a`]: { tier: 'web', ips: ['10.0.1.10'], ifaceId: 'a' },
    [`${network}/public-ips/front`]: { address },
  });
  fake.connect('gw', '192.0.2.1', { wire: 'br-ex' });
  fake.connect('hv', '192.0.2.2', { wire: 'br-ex' });
  fake.interfaces(1, []);
  fake.interfaces(2, []);
  await quiet(core);
  // No rule speaks of it: it is nowhere.
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(fake.sent).toEqual([]);

  // Not before the switch has confirmed.
  fake.prompt = false;
  await put({ [`${network}/nat-rules/own`]: { type: 'static', publicIp: 'front', port: 'a' } });
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(fake.sent).toEqual([]);
  fake.prompt = true;
  fake.acknowledge();
  await expect.poll(() => fake.sent.length).toBe(1);
  const patch = patchPort(`provider:${core.intent.getAs('provider-network', 'provider-networks/internet')!.number}`);
  const [first] = fake.sent;
  expect(first?.from).toBe(1);
  expect(first?.packet.actions).toEqual([{ type: 'output', port: patch }]);
  const own = mac.replaceAll(':', '');
  // RFC 5227 section 3: an ARP request in which both addresses are its own.
  expect(hex(first!.packet.bytes)).toBe(`ffffffffffff${own}08060001080006040001${own}cb007109000000000000cb007109`);

  // A change of the rule does not move it; the port that is plugged in elsewhere does.
  await put({ [`${network}/nat-rules/own`]: { type: 'static', publicIp: 'front', port: 'a', description: 'x' } });
  fake.interfaces(2, [{ ifaceId: 'a', name: 'vif-a', ofport: 5 }]);
  await quiet(core);
  await expect.poll(() => fake.sent.map(({ from }) => from)).toEqual([1, 2]);
  // And back to the gateway. What has moved on is not repeated from where it was.
  fake.interfaces(2, []);
  await quiet(core);
  await expect.poll(() => fake.sent.map(({ from }) => from)).toEqual([1, 2, 1]);
  await expect.poll(() => fake.sent.map(({ from }) => from), { timeout: 4_000 }).toEqual([1, 2, 1, 1]);
  await core.stop();
});
