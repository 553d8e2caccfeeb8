/** What the datapath caches: judging must not make a megaflow for each connection. */
import { expect, test } from 'vitest';
import type { LabHypervisor } from '../support/lab.ts';
import { ipOf, openCloud } from './cloud.ts';
import { openStreams, serveStreams } from './streams.ts';

const rules = 'tenants/acme/networks/shop/rules';

/** Megaflows of the userspace datapath that packets of the protocol from or to the server's ports have made. */
async function megaflows(hypervisor: LabHypervisor, protocol: 'tcp' | 'udp'): Promise<string[]> {
  const text = await hypervisor.appctl('dpctl/dump-flows', '-m');
  return text.split('\n').filter((line) => new RegExp(`${protocol}\\(.*=700[12]\\b`).test(line));
}

/** Ports that VMs chose for themselves, matched whole: a mask would follow. */
const exactEphemeral = (line: string): string[] =>
  [...line.matchAll(/\b(?:src|dst)=(\d{5})(?=[,)])/g)].map((m) => m[1]!).filter((p) => Number(p) >= 32_768);

test('connections of one kind share their megaflows, before and after their rule has changed', {
  timeout: 90_000,
}, async (context) => {
  await using cloud = await openCloud(context);
  const { acme, apply, hv1, hv2, lab } = cloud;
  const spec = { action: 'allow', priority: 10, protocol: 'any', from: { tier: 'web' }, to: { port: 'web2' } };
  await apply([{ path: `${rules}/streams`, spec }]);
  const server = await serveStreams(lab, acme.web2, ['tcp:7001', 'udp:7002']);
  const streams = await openStreams(lab, acme.web1, ipOf('web2'), { tcp: [7001], udp: [7002], each: 60, pings: 0 });
  const look = async (when: string) => {
    // What only the first packets met has gone by then.
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    for (const hypervisor of [hv1, hv2]) {
      const [tcp, udp] = [await megaflows(hypervisor, 'tcp'), await megaflows(hypervisor, 'udp')];
      console.log(
        `${when}, on ${hypervisor.name}: ${tcp.length} megaflows of 60 TCP connections, ${udp.length} of 60 UDP`,
      );
      for (const line of [...tcp, ...udp]) expect(exactEphemeral(line), line).toEqual([]);
      expect(tcp.length).toBeGreaterThan(0);
      expect(tcp.length + udp.length).toBeLessThan(20);
    }
  };
  await look('first');
  await apply([{ path: `${rules}/streams`, spec: { ...spec, priority: 11 } }]);
  await look('with another label');
  await streams.stop();
  await server.stop();
});
