/** `hypervisor interfaces` and `port import`. */
import type { Handler, Run } from '../command.ts';
import { Refused, UsageError } from '../errors.ts';
import { kindModel } from '../model.ts';
import { pathOf, resolve } from '../names.ts';
import { safe } from '../style.ts';
import { cell, Table } from '../table.ts';
import { type ApplyOptions, planOf, printPlan, type Resource } from './plan.ts';
import { waitQuery } from './wait.ts';

type Seen = { ifaceId: string; name: string; mac: string | null };

async function interfacesOf(run: Run, hypervisor: string): Promise<Seen[]> {
  const client = await run.session.client();
  const path = pathOf(kindModel('hypervisor'), [hypervisor]);
  const { body } = await client.request('GET', `/v1/${path}/interfaces`);
  return (body as { interfaces: Seen[] }).interfaces;
}

export const list: Handler = async (run) => {
  const { session, args } = run;
  const interfaces = await interfacesOf(run, args.positionals[0]!);
  const format = session.format();
  if (await session.printAs(format, { interfaces })) return 0;
  if (format === 'name') {
    for (const { name } of interfaces) session.print(`${safe(name)}\n`);
    return 0;
  }
  const columns = ['INTERFACE', 'IFACE-ID', 'MAC'].map((title) => ({ title }));
  const rows = interfaces.map(({ name, ifaceId, mac }) => [safe(name), safe(ifaceId), cell(mac ?? undefined)]);
  session.print(new Table(columns, session.paint, session.columns).whole(rows));
  return 0;
};

export const importPorts: Handler = async (run) => {
  const { args, session } = run;
  const hypervisor = args.value('hypervisor')!;
  const { defaults } = await session.settings();
  const { names } = resolve(kindModel('network'), args.positionals[0], (parent) => args.value(parent), defaults);
  const chosen = choose(await interfacesOf(run, hypervisor), args.all('interface'), hypervisor);
  const resources = resourcesOf(run, chosen, names, hypervisor);
  const client = await session.client();
  const send = async (options: ApplyOptions, limit?: number) => {
    try {
      return await planOf(client, { resources }, options, limit);
    } catch (error) {
      if (error instanceof Refused) error.place = (pointer) => placeOf(pointer, chosen);
      throw error;
    }
  };
  const plan = await send({ dryRun: true });
  const there = plan.outcomes.find(({ outcome }) => outcome !== 'created');
  if (there !== undefined)
    throw new UsageError(`It is there already: ${there.path}`, 'Give another name: --name INTERFACE=PORT.');
  if (args.has('dry-run')) {
    await printPlan(session, plan);
    return 0;
  }
  const { query, timeout } = waitQuery(run);
  await printPlan(session, await send({ ...query }, timeout), { dryRun: false });
  return 0;
};

/** @throws UsageError naming what is not there */
function choose(seen: readonly Seen[], wanted: readonly string[], hypervisor: string): Seen[] {
  if (wanted.length === 0) {
    if (seen.length > 0) return [...seen];
    throw new UsageError(`${hypervisor} shows no interface that is no port yet`);
  }
  return wanted.map((one) => find(seen, one, `--interface ${one}`, hypervisor));
}

function find(seen: readonly Seen[], written: string, flag: string, hypervisor: string): Seen {
  const found = seen.find(({ name, ifaceId }) => name === written || ifaceId === written);
  if (found !== undefined) return found;
  throw new UsageError(
    `${flag}: ${hypervisor} shows no such interface that is no port yet`,
    `See what it shows: keyway hypervisor interfaces ${hypervisor}`,
  );
}

function resourcesOf(run: Run, chosen: readonly Seen[], network: readonly string[], hypervisor: string): Resource[] {
  const { args } = run;
  const given = (flag: string): Map<Seen, string> => {
    const values = new Map<Seen, string>();
    for (const text of args.all(flag)) {
      const at = text.indexOf('=');
      if (at < 1 || at === text.length - 1) throw new UsageError(`--${flag} ${text}: written as INTERFACE=…`);
      values.set(find(chosen, text.slice(0, at), `--${flag} ${text}`, hypervisor), text.slice(at + 1));
    }
    return values;
  };
  const [ips, macs, portNames] = [given('ip'), given('mac'), given('name')];
  const kind = kindModel('port');
  return chosen.map((one) => {
    const mac = macs.get(one) ?? one.mac;
    if (mac === null || mac === undefined)
      throw new UsageError(
        `${hypervisor} does not say the MAC of ${one.name}`,
        `Give it: --mac ${one.name}=MAC, or set external_ids:attached-mac of the interface`,
      );
    const addresses = ips.get(one)?.split(',');
    const spec = {
      tier: args.value('tier')!,
      mac,
      ifaceId: one.ifaceId,
      ...(addresses === undefined ? {} : { ips: addresses }),
    };
    const name = portNames.get(one) ?? nameFor(hypervisor, one.name);
    return { path: pathOf(kind, [...network, name]), kind: 'port', spec };
  });
}

/** `hv1-tap0`, out of what a name may hold; interfaces are unique on a hypervisor only. */
function nameFor(hypervisor: string, name: string): string {
  const plain = `${hypervisor}-${name}`.toLowerCase().replaceAll(/[^a-z0-9-]/g, '-');
  return plain.slice(0, 63).replace(/-+$/, '');
}

/** The interface, and the flag that says what was refused. */
function placeOf(pointer: string, chosen: readonly Seen[]): string {
  const [, index, member] = /^\/resources\/(\d+)(?:\/spec\/([^/]+))?/.exec(pointer) ?? [];
  const one = index === undefined ? undefined : chosen[Number(index)];
  if (one === undefined) return pointer;
  const flag = { ips: '--ip', mac: '--mac', tier: '--tier' }[member ?? ''] ?? member;
  return flag === undefined ? one.name : `${one.name}: ${flag}`;
}
