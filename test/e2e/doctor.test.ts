/** The doctor and recompute on a living cloud of real Open vSwitch: well when it is, and right about what is broken. */
import { expect, test } from 'vitest';
import type { Binding } from '../../src/reconcile/contract.ts';
import type { Check, Diagnosis, Recomputation } from '../../src/reconcile/upkeep.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { type Cloud, openCloud } from './cloud.ts';

test('a cloud that is well, whose underlay breaks, whose switch dies, and that is well again', async (context) => {
  await using cloud = await openCloud(context);
  const { lab, hv1, hv2 } = cloud;
  const doctor = async (): Promise<Check[]> => ((await lab.admin('GET', '/v1/doctor')) as Diagnosis).checks;
  const bad = async (): Promise<Check[]> => (await doctor()).filter(({ state }) => state !== 'ok');
  let last: Check[] = [];
  const untilFound = async (what: string, found: (checks: Check[]) => boolean) => {
    const look = async () => {
      last = await bad();
      return found(last);
    };
    try {
      await until(what, look, 30_000, 200);
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${JSON.stringify(last, null, 1)}`, { cause: error });
    }
  };
  const isWell = (checks: Check[]) => checks.every(({ check }) => check === 'thread.delay');

  await untilFound('all to be well', isWell);
  const well = await doctor();
  expect(well.find(({ check }) => check === 'tunnel')).toMatchObject({
    object: '2 hypervisors',
    found: '1 with BFD up',
  });
  expect(well.find(({ check }) => check === 'hypervisor.mtu')).toMatchObject({ state: 'ok' });
  expect(well.find(({ check }) => check === 'drift')).toMatchObject({ state: 'ok', object: '2 hypervisors' });
  expect(await recompute(cloud)).toMatchObject({ different: [], unsettled: [] });

  // A VM that may send more than the underlay carries.
  const web1 = (await lab.admin('GET', '/v1/tenants/acme/networks/shop/ports/web1')) as { binding: Binding };
  const vif = web1.binding.interface;
  await hv1.exec('ip', ['link', 'set', vif, 'mtu', '1500']);
  await untilFound('the MTU to be told', (checks) => checks.some(({ check }) => check === 'hypervisor.mtu'));
  expect(last).toMatchObject([
    { object: 'hypervisors/hv1', state: 'warn', found: expect.stringMatching(/br-phy carries 1500 .* need 1542/) },
  ]);
  await hv1.exec('ip', ['link', 'set', vif, 'mtu', '1400']);

  await hv2.exec('ip', ['link', 'set', 'uplink', 'down']);
  await untilFound('the tunnels to be told', (checks) => checks.filter(({ check }) => check === 'tunnel').length === 2);
  expect(last.find(({ object }) => object === 'hypervisors/hv1 -> hypervisors/hv2')).toMatchObject({
    check: 'tunnel',
    state: 'fail',
    found: expect.stringMatching(/BFD is down/),
    advice: expect.stringMatching(/GRE \(IP protocol 47\)/),
  });
  await hv2.exec('ip', ['link', 'set', 'uplink', 'up']);

  await hv2.kill('ovs-vswitchd');
  await untilFound('the switch to be missed', (checks) =>
    checks.some(({ check, object }) => check === 'hypervisor.connection' && object === 'hypervisors/hv2'),
  );
  await hv2.start('ovs-vswitchd');
  await untilFound('all to be well again', isWell);
}, 120_000);

async function recompute({ lab }: Cloud): Promise<Recomputation> {
  return (await lab.admin('GET', '/v1/recompute')) as Recomputation;
}
