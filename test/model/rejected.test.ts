/** A flow the switch rejects costs its own object only, and the object says so. */
import { expect, test } from 'vitest';
import { cookieResource } from '../../src/pipeline/cookie.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { joinSwitch, settled, startTestCore } from '../support/core.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';

const network = 'tenants/acme/networks/shop';

test('a rejected flow sets its object aside, named in its status; the rest is programmed; mended, it is taken', async (context) => {
  await openVswitchOrSkip(context);
  await using core = await startTestCore();
  const { intent, plugin, status } = core;
  // Until told otherwise, flows of the object with this number are sent to a group no switch has.
  let spoiled = 0;
  const encode = plugin.encode.bind(plugin);
  plugin.encode = (flows) =>
    encode(
      flows.map((f) =>
        cookieResource(f.cookie) === spoiled && f.table === tables.Rules.id
          ? { ...f, actions: [...f.actions, { type: 'group', group: 99 }] }
          : f,
      ),
    );
  await using hv1 = await joinSwitch(core, 'hv1', '192.0.2.1');
  const put = async (path: string, spec: Record<string, unknown>) => {
    await intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });
    await settled(core);
  };
  await put('tenants/acme', {});
  await put(network, { offering: 'basic', cidr: '10.0.0.0/16' });
  await put(`${network}/tiers/web`, { cidr: '10.0.1.0/24' });
  await put(`${network}/ports/a`, { tier: 'web', ifaceId: 'a' });
  await put(`${network}/ports/b`, { tier: 'web', ifaceId: 'b' });
  await hv1.addPort('vif-a', 'a');
  await hv1.addPort('vif-b', 'b');
  await expect.poll(() => core.fabric.binding(`${network}/ports/b`)).not.toBe(null);
  await settled(core);
  await put(`${network}/rules/good`, {
    action: 'allow',
    priority: 10,
    from: { any: true },
    to: { any: true },
    protocol: 'udp',
  });
  const next = (intent.get(`${network}/rules/good`)?.number ?? 0) + 1;
  spoiled = next;
  const rule = { action: 'allow', priority: 10, from: { any: true }, to: { any: true }, protocol: 'tcp' };
  await put(`${network}/rules/bad`, rule);
  expect(intent.get(`${network}/rules/bad`)?.number).toBe(next);

  const bad = status.status(intent.get(`${network}/rules/bad`)!);
  expect(bad.state).toBe('failed');
  const refusal = bad.conditions.find((c) => c.type === 'Rejected');
  expect(refusal?.reason).toBe('OFPBAC_BAD_OUT_GROUP');
  expect(refusal?.message).toMatch(/hypervisor hv1 refused the flow .*group:99/);
  // The rule of the same unit, and everything else, is there.
  expect(status.status(intent.get(`${network}/rules/good`)!).state).toBe('programmed');
  expect(status.status(intent.get(`${network}/ports/a`)!).state).toBe('programmed');
  const dump = await hv1.ofctl('dump-flows', `table=${tables.Rules.id}`);
  expect(dump).toContain('udp');
  expect(dump).not.toContain('tcp');

  // What comes later is programmed as ever.
  await put(`${network}/rules/later`, {
    action: 'allow',
    priority: 10,
    from: { any: true },
    to: { any: true },
    protocol: 'icmp',
  });
  expect(status.status(intent.get(`${network}/rules/later`)!).state).toBe('programmed');
  expect(await hv1.ofctl('dump-flows', `table=${tables.Rules.id}`)).toContain('icmp');

  spoiled = 0;
  await put(`${network}/rules/bad`, { ...rule, description: 'touched' });
  await put(`${network}/rules/bad`, { ...rule, ports: ['80'] });
  expect(status.status(intent.get(`${network}/rules/bad`)!).state).toBe('programmed');
  expect(await hv1.ofctl('dump-flows', `table=${tables.Rules.id}`)).toContain('tp_dst=80');
});
