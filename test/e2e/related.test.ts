/** ICMP errors about a connection reach who opened it, while what allowed the connection is in force. */
import { expect, test } from 'vitest';
import { ipOf, openCloud } from './cloud.ts';

const rules = 'tenants/acme/networks/shop/rules';

test('a port that nobody serves is told as unreachable, and no longer once the rule is gone', {
  timeout: 60_000,
}, async (context) => {
  await using cloud = await openCloud(context);
  const { acme, apply } = cloud;
  const spec = { action: 'allow', priority: 10, protocol: 'udp', from: { port: 'web1' }, to: { port: 'web2' } };
  await apply([{ path: `${rules}/datagrams`, spec }]);
  const unreachable = async (): Promise<number> => {
    const errors = await acme.web1.capture({ filter: 'icmp[0] = 3' });
    for (let i = 0; i < 3; i++) {
      await acme.web1.exec('socat', ['-u', 'STDIN', `UDP4-SENDTO:${ipOf('web2')}:4444,sourceport=5555`], {
        input: 'x',
      });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    return (await errors.stop()).filter((line) => line.includes('udp port 4444 unreachable')).length;
  };
  // The first packet over a cold tunnel may be lost.
  expect(await unreachable()).toBeGreaterThan(1);
  // Another label: what is sent forward brings it up to date.
  await apply([{ path: `${rules}/datagrams`, spec: { ...spec, priority: 11 } }]);
  expect(await unreachable()).toBeGreaterThan(1);
  await apply([{ path: `${rules}/datagrams`, delete: true }]);
  expect(await unreachable()).toBe(0);
});
