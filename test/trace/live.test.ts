/** Packets really sent, between hypervisors in namespaces: what counters say, and what the VM sees. */
import { expect, test } from 'vitest';
import { openCloud } from '../e2e/cloud.ts';

const network = 'tenants/acme/networks/shop';
const trace = (more: object) => ({ from: `${network}/ports/web1`, protocol: 'tcp', live: true, ...more });

test('a live trace arrives and is seen on both switches; a refused one is counted up to where it ends', {
  timeout: 120_000,
}, async (context) => {
  await using cloud = await openCloud(context);
  const { lab, acme } = cloud;
  const capture = await acme.web2.capture({ filter: 'tcp port 80 or tcp port 81' });
  const sent = await lab.admin(
    'POST',
    '/v1/trace',
    trace({ to: '10.0.1.12', ports: { source: 50_123, destination: 80 } }),
  );
  const answer = sent as {
    verdict: { outcome: string };
    live: { arrived: boolean };
    hops: { hypervisor: string; seen: boolean }[];
  };
  expect(answer.verdict.outcome).toBe('delivered');
  expect(answer.hops.map(({ hypervisor, seen }) => ({ hypervisor, seen }))).toEqual([
    { hypervisor: 'hv1', seen: true },
    { hypervisor: 'hv2', seen: true },
  ]);
  expect(answer.live.arrived).toBe(true);

  const refused = (await lab.admin(
    'POST',
    '/v1/trace',
    trace({ to: '10.0.1.12', ports: { destination: 81 } }),
  )) as typeof answer;
  expect(refused.verdict.outcome).toBe('refused');
  expect(refused.live.arrived).toBe(false);
  expect(refused.hops.map(({ hypervisor, seen }) => ({ hypervisor, seen }))).toEqual([
    { hypervisor: 'hv1', seen: true },
  ]);

  // One frame that the VM could not tell from one of web1's, and nothing of the refused one.
  const lines = await capture.stop();
  expect(lines.filter((line) => /10\.0\.1\.11\.50123 > 10\.0\.1\.12\.80: Flags \[S\]/.test(line))).toHaveLength(1);
  expect(lines.filter((line) => line.includes('10.0.1.12.81:'))).toEqual([]);

  // What is foretold is what happens, whoever the two are.
  const tenants = [network, 'tenants/umbrella/networks/shop'];
  for (const [i, from] of tenants.entries()) {
    for (const [to, service] of [
      ['10.0.1.12', { protocol: 'icmp' }],
      ['10.0.1.12', { protocol: 'udp', ports: { destination: 53 } }],
      ...(i === 0 ? ([['10.0.1.13', { protocol: 'icmp' }]] as const) : []),
    ] as const) {
      const told = (await lab.admin('POST', '/v1/trace', {
        from: `${from}/ports/web1`,
        to,
        live: true,
        ...service,
      })) as typeof answer;
      expect(told.live.arrived, `${from} ${to}`).toBe(told.verdict.outcome === 'delivered');
      expect(told.verdict.outcome).toBe('protocol' in service && service.protocol === 'icmp' ? 'delivered' : 'refused');
    }
  }

  // The underlay is broken: nothing arrives, and it shows where it was seen last.
  await cloud.hv2.exec('ip', ['link', 'set', 'uplink', 'down']);
  const lost = (await lab.admin(
    'POST',
    '/v1/trace',
    trace({ to: '10.0.1.12', ports: { destination: 80, source: 50_124 } }),
  )) as typeof answer;
  expect(lost.verdict.outcome).toBe('delivered');
  expect(lost.live.arrived).toBe(false);
  expect(lost.hops.map(({ hypervisor, seen }) => ({ hypervisor, seen }))).toEqual([
    { hypervisor: 'hv1', seen: true },
    { hypervisor: 'hv2', seen: false },
  ]);
});
