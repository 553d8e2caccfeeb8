/** A VM that is plugged in on two hypervisors while it moves, as live migration does; real packets. */
import { expect, test } from 'vitest';
import { gatewayOf, ipOf, macOf, openRoutedCloud } from './routed-cloud.ts';

const path = 'tenants/acme/networks/shop/ports/db2';
type Answer = { binding: { hypervisor: string } | null; status: { state: string; conditions: { type: string }[] } };

test('both sides plugged: the first has the port until it lets go or is told to', {
  timeout: 120_000,
}, async (context) => {
  await using cloud = await openRoutedCloud(context);
  const { acme, lab, apply } = cloud;
  const { web1, db2 } = acme;
  const order = (hypervisors: string[]) =>
    apply([{ path, spec: { tier: 'db', mac: macOf('db2'), ips: [ipOf('db2')], ifaceId: 'acme-db2', hypervisors } }]);
  const answer = async () => (await lab.admin('GET', `/v1/${path}`)) as Answer;
  const conditions = async () => (await answer()).status.conditions.map(({ type }) => type);
  await order(['hv1', 'hv2']);
  // The same machine on the other hypervisor, as it comes up there.
  const arriving = await lab.addVm({
    name: 'acme-db2-there',
    hypervisor: 'hv2',
    mac: macOf('db2'),
    address: `${ipOf('db2')}/24`,
    gateway: gatewayOf('db'),
    ifaceId: 'acme-db2',
  });
  await db2.serve(5432, 'here');
  await arriving.serve(5432, 'there');
  await arriving.plug();
  await expect.poll(conditions, { timeout: 10_000 }).toContain('Migrating');
  expect(await conditions()).not.toContain('BindingConflict');
  expect((await answer()).status.state).toBe('programmed');
  expect(await web1.tcp(ipOf('db2'), 5432)).toEqual({ answer: 'here' });

  // An orchestrator that knows of the moment says so; the port is there before the answer.
  await order(['hv2']);
  expect((await answer()).binding?.hypervisor).toBe('hv2');
  expect(await web1.tcp(ipOf('db2'), 5432)).toEqual({ answer: 'there' });
  // A third party that still shows it is a conflict, and does not get it.
  expect(await conditions()).toContain('BindingConflict');

  // Back, this time by unplugging alone.
  await order(['hv1', 'hv2']);
  expect(await web1.tcp(ipOf('db2'), 5432)).toEqual({ answer: 'there' });
  await arriving.unplug();
  await expect.poll(async () => (await answer()).binding?.hypervisor, { timeout: 10_000 }).toBe('hv1');
  expect(await web1.tcp(ipOf('db2'), 5432)).toEqual({ answer: 'here' });
});
