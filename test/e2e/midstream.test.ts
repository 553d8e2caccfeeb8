/** An open connection whose switch forgets it goes on, in the direction the server pushes, and only where a rule allows it. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ipOf, openCloud } from './cloud.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('a download goes on when the host of either end has lost its connection tracking', {
  timeout: 120_000,
}, async (context) => {
  await using cloud = await openCloud(context);
  const { acme, apply, hv1, hv2, lab } = cloud;
  const rules = 'tenants/acme/networks/shop/rules';
  await apply([
    {
      path: `${rules}/download`,
      spec: {
        action: 'allow',
        priority: 10,
        from: { port: 'web1' },
        to: { port: 'web2' },
        protocol: 'tcp',
        ports: ['8081'],
      },
    },
    // Nobody may begin towards the client: in reverse the download must not be caught by this.
    {
      path: `${rules}/closed`,
      spec: { action: 'deny', priority: 5, from: { port: 'web2' }, to: { port: 'web1' }, protocol: 'any' },
    },
  ]);
  const file = join(lab.directory, 'download');
  const push = join(lab.directory, 'push.sh');
  writeFileSync(push, 'while :; do echo some bytes of a download; sleep 0.02; done\n');
  const server = acme.web2.exec('socat', ['-u', `EXEC:sh ${push}`, 'TCP4-LISTEN:8081,reuseaddr'], { timeout: 60_000 });
  await pause(300);
  const client = acme.web1.exec('socat', ['-u', `TCP4:${ipOf('web2')}:8081`, `OPEN:${file},creat,append`], {
    timeout: 60_000,
  });
  // Both end with the lab, which they are told as an error.
  void Promise.allSettled([server, client]);
  const size = (): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  await expect.poll(size, { timeout: 5_000 }).toBeGreaterThan(100);

  for (const hypervisor of [hv2, hv1]) {
    await hypervisor.appctl('dpctl/flush-conntrack');
    const before = size();
    await expect.poll(size, { timeout: 2_000, interval: 50 }).toBeGreaterThan(before + 300);
  }

  // Without the rule it stops, forgotten or not.
  await apply([{ path: `${rules}/download`, delete: true }]);
  for (const hypervisor of [hv2, hv1]) await hypervisor.appctl('dpctl/flush-conntrack');
  await pause(1_500);
  const stopped = size();
  await pause(1_000);
  expect(size()).toBe(stopped);
});
