/** Lines of the log say whom they are about: the same fields everywhere, with the object and its revision. */
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { startCore } from '../../src/core.ts';
import { cookie } from '../../src/pipeline/cookie.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { joinSwitch, settled, startTestCore } from '../support/core.ts';
import { quiet } from '../support/fake-cloud.ts';
import { FakeSwitches } from '../support/fake-switches.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';

type Line = Record<string, unknown> & { level: number; msg: string };

function capture() {
  const lines: Line[] = [];
  const log = pino({ level: 'debug' }, { write: (text: string) => lines.push(JSON.parse(text) as Line) });
  return { lines, log, line: (msg: string | RegExp) => lines.find((one) => one.msg.match(msg)) };
}

test('of what switches tell: hypervisor, object, revision, flow, error', async () => {
  const { lines, log, line } = capture();
  const fake = new FakeSwitches();
  const store = openMemoryStore();
  const core = await startCore({ store, plugin: fake, log });
  fake.connect('stranger', '192.0.2.9');
  await core.intent.transact([{ op: 'put', path: 'tenants/acme', spec: {} }]);
  await core.intent.transact([{ op: 'put', path: 'hypervisors/hv1', spec: { admission: 'approved' } }], {
    restrictedAllowed: true,
  });
  const { id, revision } = core.intent.getAs('hypervisor', 'hypervisors/hv1')!;
  fake.connect('hv1', '192.0.2.1');
  fake.connect('hv1', '192.0.2.2');
  fake.interfaces(id, []);
  await quiet(core);
  const acme = core.intent.get('tenants/acme')!;
  const refused = { flow: 'table=0 actions=drop', error: 'OFPBAC_BAD_TYPE' };
  fake.events.rejected({ hypervisor: id, unit: 'u', cookie: cookie(0, acme.number), ...refused });
  fake.events.accepted(id, cookie(0, acme.number));
  fake.events.rejected({ hypervisor: id, unit: 'base', cookie: cookie(0, 0), ...refused });
  fake.events.drifted(id, { missing: 1, extra: 2, different: 3 });
  fake.events.disconnected(id, 'closed by the peer');
  fake.events.chassisGone('hv1', 'closed by the peer');

  const host = { hypervisor: 'hv1', object: 'hypervisors/hv1', revision };
  expect(lines.filter(({ msg }) => /connected over OVSDB/.test(msg))).toMatchObject([
    { systemId: 'stranger', peer: 'unix' },
    { ...host, systemId: 'hv1', peer: 'unix' },
  ]);
  expect(line(/other facts/)).toMatchObject(host);
  expect(line(/connected and in sync/)).toMatchObject({ ...host, programmed: expect.any(Number) });
  expect(line(/now takes/)).toMatchObject({ hypervisor: 'hv1', object: 'tenants/acme', revision: acme.revision });
  const rejections = lines.filter(({ msg }) => /refused a flow/.test(msg));
  expect(rejections[0]).toMatchObject({
    hypervisor: 'hv1',
    object: 'tenants/acme',
    revision: acme.revision,
    ...refused,
  });
  expect(rejections[1]).toMatchObject({ hypervisor: 'hv1', ...refused });
  expect(rejections[1]).not.toHaveProperty('object');
  expect(line(/^drift/)).toMatchObject({ ...host, missing: 1, extra: 2, different: 3 });
  expect(line(/is disconnected/)).toMatchObject({ ...host, reason: 'closed by the peer' });
  expect(line(/has gone/)).toMatchObject({ ...host, systemId: 'hv1' });
  await core.stop();
  await store.close();
});

test('of the southbound thread: names in place of its numbers', async (context) => {
  await openVswitchOrSkip(context);
  const { lines, log, line } = capture();
  await using core = await startTestCore({ log, plugin: { logLevel: 'debug' } });
  await using vswitch = await joinSwitch(core, 'hv1', '192.0.2.1');
  const { revision } = core.intent.get('hypervisors/hv1')!;
  const host = { hypervisor: 'hv1', object: 'hypervisors/hv1', revision };
  await settled(core);
  await vswitch.ofctl('add-flow', 'table=5,priority=7,actions=drop');
  await until('the drift to be told', () => line(/^drift/) !== undefined);
  await vswitch.vsctl('--no-wait', 'add-port', 'br-int', 'odd', '--', 'set', 'Interface', 'odd', 'type=nonsense');
  await until('the error to be told', () => line(/error on an interface/) !== undefined);
  expect(line(/was read back/)).toMatchObject({ ...host, why: 'connect' });
  expect(line(/a switch connected/)).toMatchObject(host);
  expect(line(/switch has drifted/)).toMatchObject({ ...host, extra: 1 });
  expect(line(/error on an interface/)).toMatchObject({ ...host, systemId: 'hv1', interface: 'odd' });
  // Every line of a hypervisor that was approved names it whole.
  for (const one of lines.filter(({ hypervisor }) => hypervisor !== undefined))
    expect(one, one.msg).toMatchObject({ hypervisor: 'hv1', object: expect.any(String), revision: expect.any(Number) });
});
