/** What rules, policies and the default deny decided, in the controller's log: by name, a sample of it, and cheap. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { ipOf, openCloud } from './cloud.ts';
import { openStreams, serveStreams } from './streams.ts';

type Line = Record<string, unknown> & { decision: 'allow' | 'deny'; by: string; rule?: string; hypervisor: string };

const network = 'tenants/acme/networks/shop';

test('rules with log, and networks with logDenied, have their decisions logged; others do not', {
  timeout: 90_000,
}, async (context) => {
  await using cloud = await openCloud(context);
  const { acme, umbrella, apply, lab, hv1 } = cloud;
  const lines = (): Line[] =>
    readFileSync(join(lab.directory, 'controller.log'), 'utf8')
      .split('\n')
      .filter((text) => text.includes('"decision"'))
      .map((text) => JSON.parse(text) as Line);
  const seen = (what: Partial<Line>) => lines().filter((l) => Object.entries(what).every(([k, v]) => l[k] === v));
  const refused = { patience: 1_200 };

  // Nobody asked.
  expect(await acme.web1.tcp(ipOf('web2'), 81, refused)).toEqual({ failure: 'timeout' });
  expect(lines()).toEqual([]);

  const open = { action: 'allow', priority: 10, protocol: 'any', from: { port: 'web1' }, to: { port: 'web2' } };
  await apply([
    { path: `${network}/rules/open`, spec: { ...open, log: true } },
    {
      path: `${network}/rules/no-ssh`,
      spec: {
        action: 'deny',
        priority: 5,
        protocol: 'tcp',
        ports: ['22'],
        from: { any: true },
        to: { tier: 'web' },
        log: true,
      },
    },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16', logDenied: true } },
  ]);
  await acme.web2.serve(9000);
  expect(await acme.web1.tcp(ipOf('web2'), 9000)).toEqual({ answer: 'acme-web2' });
  await until('the connection in the log', () => seen({ rule: 'open' }).length >= 2);
  // Both ends judge, and both say so.
  const connection = {
    decision: 'allow' as const,
    by: 'rule',
    protocol: 'tcp',
    source: ipOf('web1'),
    destinationPort: 9000,
  };
  expect(seen({ ...connection, rule: 'open', hypervisor: 'hv1', port: `${network}/ports/web1` })).not.toEqual([]);
  expect(seen({ ...connection, rule: 'open', hypervisor: 'hv2', port: `${network}/ports/web2` })).not.toEqual([]);

  expect(await acme.web1.tcp(ipOf('web2'), 22, refused)).toEqual({ failure: 'timeout' });
  const denied = { decision: 'deny' as const, hypervisor: 'hv1', source: ipOf('web1'), destination: ipOf('web2') };
  await until('the denied packet', () => seen({ ...denied, rule: 'no-ssh', destinationPort: 22 }).length > 0);
  expect(await acme.web2.tcp(ipOf('web1'), 82, refused)).toEqual({ failure: 'timeout' });
  await until(
    'the default deny',
    () => seen({ decision: 'deny', by: 'default', source: ipOf('web2'), destinationPort: 82 }).length > 0,
  );

  // A tenant that logs nothing is not in it.
  expect(await umbrella.web1.tcp(ipOf('web2'), 81, refused)).toEqual({ failure: 'timeout' });
  expect(lines().filter((l) => l.network !== network)).toEqual([]);

  // Established traffic never goes to the controller, and a flood is a sample.
  const server = await serveStreams(lab, acme.web2, ['tcp:7001']);
  const streams = await openStreams(lab, acme.web1, ipOf('web2'), { tcp: [7001], each: 20, pings: 0 });
  await until('the streams in the log', () => seen({ rule: 'open', destinationPort: 7001 }).length >= 20);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const before = lines().length;
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(lines().length).toBe(before);
  await streams.stop();
  await server.stop();
  const flood = 'for i in $(seq 2000); do echo; done | socat -u -b 1 STDIN UDP4-SENDTO:$0:5353';
  await acme.web3.exec('sh', ['-c', flood, ipOf('web2')]);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const sample = seen({ by: 'default', source: ipOf('web3'), destinationPort: 5353 }).length;
  console.log(`${sample} of 2,000 denied packets are in the log`);
  expect(sample).toBeGreaterThan(10);
  expect(sample).toBeLessThan(300);
  expect(await hv1.ofctl('dump-meters')).toMatch(/pktps.*burst/);

  // Counted at both ends: what it decided, and what its connection carried but for the first packet.
  await apply([
    {
      path: `${network}/rules/echo`,
      spec: { ...open, priority: 3, protocol: 'icmp', icmp: { type: 8 } },
    },
  ]);
  await acme.web1.exec('ping', ['-c', '7', '-i', '0.05', '-s', '100', ipOf('web2')]);
  const size = 14 + 20 + 8 + 100;
  const carried = { packets: 2 * 13, bytes: 2 * 13 * size };
  await expect
    .poll(() => lab.admin('GET', `/v1/${network}/rules/echo/hits`), { timeout: 5_000 })
    .toEqual({ packets: 2 * 7, bytes: 2 * 7 * size, carried, complete: true });

  // A policy says its own name.
  await apply([
    {
      path: 'policies/watch',
      spec: {
        action: 'allow',
        priority: 1,
        tenants: ['umbrella'],
        protocol: 'tcp',
        ports: ['81'],
        from: { any: true },
        to: { any: true },
        log: true,
      },
    },
  ]);
  await umbrella.web2.serve(81);
  expect(await umbrella.web1.tcp(ipOf('web2'), 81)).toEqual({ answer: 'umbrella-web2' });
  await until('the policy in the log', () => seen({ by: 'policy', rule: 'watch', decision: 'allow' }).length >= 2);
});
