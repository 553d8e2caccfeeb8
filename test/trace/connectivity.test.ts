/** Probes over real tunnels: a whole underlay, one that is too narrow, one that filters one way, a broken one. */
import { expect, test } from 'vitest';
import type { Connectivity } from '../../src/trace/service.ts';
import { openCloud } from '../e2e/cloud.ts';

test('says of each tunnel what it carries, and what is broken', { timeout: 180_000 }, async (context) => {
  await using cloud = await openCloud(context);
  const { lab, hv2, acme } = cloud;
  const check = async (body: object = {}): Promise<Connectivity['pairs'][number]> => {
    const { pairs } = (await lab.admin('POST', '/v1/connectivity', body)) as Connectivity;
    expect(pairs).toHaveLength(1);
    return pairs[0]!;
  };
  const capture = await acme.web2.capture();
  // BFD takes its time to come up.
  await expect.poll(async () => (await check()).state, { timeout: 20_000, interval: 500 }).toBe('ok');
  const whole = await check();
  expect(whole).toMatchObject({ a: 'hv1', b: 'hv2', state: 'ok', advice: '' });
  expect(whole.ways.map((way) => way.probes)).toEqual(['all', 'all']);
  // As large as 1500 bytes of the underlay leave room for: 42 are GRE's over IPv4, of which 14 are the frame's own.
  expect(whole.ways.map((way) => Math.max(...way.sizes.map((one) => one.size)))).toEqual([1472, 1472]);
  expect((await capture.stop()).filter((line) => /88b5/i.test(line))).toEqual([]);

  const set = async (...link: string[]): Promise<void> => {
    expect(await lab.exec('ip', ['link', 'set', ...link])).toMatchObject({ status: 0 });
  };
  await set('u2', 'mtu', '1400');
  const narrow = await check({ hypervisors: ['hv1', 'hv2'] });
  expect(narrow).toMatchObject({
    state: 'fail',
    found: 'Too big is lost: from hv1 to hv2 frames of 1294 bytes arrive, of 1472 do not',
    ways: [{ probes: 'partly' }, { probes: 'partly' }],
  });
  await set('u2', 'mtu', '1500');

  // What comes to hv2 from hv1 is filtered there, and nothing else.
  const underlay = (command: string, ...args: string[]) =>
    lab.enclosure.call('hypervisor.ofctl', { name: 'hv2', bridge: 'br-phy', command, args });
  await underlay('add-flow', 'cookie=0xdead,priority=1000,in_port=uplink,ip,nw_proto=47,actions=drop');
  const oneWay = await check({ hypervisors: ['hv2'] });
  expect(oneWay).toMatchObject({
    state: 'fail',
    found: 'One way only: what hv1 sends does not come to hv2, the other way it does',
    ways: [{ probes: 'none' }, { probes: 'all' }],
  });
  await underlay('del-flows', 'cookie=0xdead/-1');

  await hv2.exec('ip', ['link', 'set', 'uplink', 'down']);
  expect(await check()).toMatchObject({ state: 'fail', found: expect.stringMatching(/^No answer, either way/) });
  await hv2.exec('ip', ['link', 'set', 'uplink', 'up']);

  // Only what cannot be asked is told as such.
  await hv2.kill('ovs-vswitchd');
  await expect
    .poll(() => check(), { timeout: 15_000, interval: 500 })
    .toMatchObject({ state: 'warn', found: expect.stringMatching(/^Not probed/) });
});
