/** `flows dump`, `flows diff` and `flows explain`: what switches do, and for whom. */
import type { Handler, Run } from '../command.ts';
import { UsageError } from '../errors.ts';
import { kindModel } from '../model.ts';
import { pathOf, resolve, shortPath } from '../names.ts';
import type { Paint } from '../style.ts';
import { safe } from '../style.ts';
import { record } from '../table.ts';

type Purpose = { stage: string; path?: string | null; text: string };

type Flow = {
  text: string;
  table: number;
  tableName: string;
  priority: number;
  cookie: string;
  packets?: number | string;
  bytes?: number | string;
  /** Seconds. */
  duration?: number;
  purpose: Purpose;
};

/** Cookie, duration and table as `ovs-ofctl dump-flows` puts them, before counters. */
const leading = /^(cookie=\S+,\s+)?(duration=\S+,\s+)?(table=[^,\s]+,\s+)?/;

/** The flow with its counters, as `ovs-ofctl dump-flows` prints it. */
function withCounters(flow: Flow): string {
  const text = flow.text.trim();
  if (flow.packets === undefined || /\bn_packets=/.test(text)) return text;
  const [all = '', cookie = '', duration = '', table = ''] = leading.exec(text) ?? [];
  const lasted = duration || (flow.duration === undefined ? '' : `duration=${flow.duration}s, `);
  const counters = `n_packets=${flow.packets}, n_bytes=${flow.bytes ?? 0}, `;
  return cookie + lasted + table + counters + text.slice(all.length);
}

function servedBy({ path, text }: Purpose): string {
  return path ? shortPath(path) : text;
}

/** Flows by table, highest priority first; comments say which table and whose flows follow. */
function grouped(flows: readonly Flow[], paint: Paint): string {
  const sorted = flows.toSorted(
    (a, b) => a.table - b.table || b.priority - a.priority || (servedBy(a.purpose) < servedBy(b.purpose) ? -1 : 1),
  );
  let text = '';
  let table: number | undefined;
  let served: string | undefined;
  for (const flow of sorted) {
    if (flow.table !== table) {
      table = flow.table;
      served = undefined;
      const count = sorted.filter((one) => one.table === table).length;
      text += `${text === '' ? '' : '\n'}${paint('bold', `# table ${table} ${safe(flow.tableName)} (${count})`)}\n`;
    }
    const serves = servedBy(flow.purpose);
    if (serves !== served) text += `${paint('cyan', `# ${safe(serves)}`)}\n`;
    served = serves;
    text += `${safe(withCounters(flow))}\n`;
  }
  return text;
}

/** The hypervisor the first argument names. */
async function hypervisor(run: Run): Promise<string> {
  const { names } = resolve(kindModel('hypervisor'), run.args.positionals[0], () => undefined, new Map());
  return names[0]!;
}

/** Path of the port `--port` names; a bare name is left to the controller. */
async function portPath(run: Run): Promise<string | undefined> {
  const written = run.args.value('port');
  if (written === undefined || !written.includes('/')) return written;
  const { defaults } = await run.session.settings();
  const tenant = run.args.value('tenant');
  const flags = (parent: string) => (parent === 'tenant' ? tenant : undefined);
  const target = resolve(kindModel('port'), written, flags, defaults);
  return pathOf(target.kind, target.names);
}

export const dump: Handler = async (run) => {
  const { session, args } = run;
  const name = await hypervisor(run);
  const which = args.has('desired') ? 'desired' : 'installed';
  const client = await session.client();
  const { body } = await client.request('GET', `/v1/hypervisors/${encodeURIComponent(name)}/flows`, {
    query: { which, tenant: args.value('tenant'), table: args.value('table'), port: await portPath(run) },
  });
  const { flows } = body as { flows: Flow[] };
  const format = session.format('text');
  if (await session.printAs(format, body)) return 0;
  session.print(
    session.paint('dim', `# ${safe(name)}: ${flows.length} ${which} flow${flows.length === 1 ? '' : 's'}\n`),
  );
  session.print(grouped(flows, session.paint));
  return 0;
};

type DriftAnswer = { missing: Flow[]; extra: Flow[]; different: { desired: Flow; installed: Flow }[] };

export const diff: Handler = async (run) => {
  const { session } = run;
  const { paint } = session;
  const name = await hypervisor(run);
  const client = await session.client();
  const { body } = await client.request('GET', `/v1/hypervisors/${encodeURIComponent(name)}/drift`);
  const drift = body as DriftAnswer;
  const count = drift.missing.length + drift.extra.length + drift.different.length;
  const format = session.format('text');
  if (await session.printAs(format, body)) return count === 0 ? 0 : 1;
  if (count === 0) {
    session.print(`${safe(name)}: installed flows are the desired ones.\n`);
    return 0;
  }
  const comment = (flow: Flow) =>
    paint('cyan', `# table ${flow.table} ${safe(flow.tableName)}, ${safe(servedBy(flow.purpose))}`);
  const desired = (flow: Flow) => `${paint('green', `+ ${safe(flow.text.trim())}`)}\n`;
  const installed = (flow: Flow) => `${paint('red', `- ${safe(withCounters(flow))}`)}\n`;
  session.print(`${paint('bold', '--- installed')}\n${paint('bold', '+++ desired')}\n`);
  for (const flow of drift.missing) session.print(`${comment(flow)}\n${desired(flow)}`);
  for (const flow of drift.extra) session.print(`${comment(flow)}\n${installed(flow)}`);
  for (const pair of drift.different) {
    session.print(`${comment(pair.desired)}\n${installed(pair.installed)}${desired(pair.desired)}`);
  }
  session.print(
    `${safe(name)}: ${drift.missing.length} missing, ${drift.extra.length} extra, ${drift.different.length} different.\n`,
  );
  return 1;
};

type Explanation = {
  flow?: string | null;
  stage: string;
  path?: string | null;
  text: string[];
  hypervisors: string[];
};

export const explain: Handler = async (run) => {
  const { session, args } = run;
  const written = args.positionals.join(' ').trim();
  if (written === '') throw new UsageError('Which flow?', 'Give a cookie, or a flow in quotes.');
  const cookie = /^(?:cookie=)?(0x[0-9a-f]+|\d+)$/i.exec(written)?.[1];
  const client = await session.client();
  const query = cookie === undefined ? { flow: written } : { cookie: cookieText(cookie) };
  const { body } = await client.request('GET', '/v1/explain', { query });
  const format = session.format('text');
  if (await session.printAs(format, body)) return 0;
  const { flow, stage, path, text, hypervisors } = body as Explanation;
  const entries: [string, string][] = [];
  if (flow) entries.push(['Flow', safe(flow)]);
  entries.push(['Stage', safe(stage)]);
  entries.push(['Serves', path ? safe(shortPath(path)) : 'the pipeline itself, or what is gone']);
  text.forEach((line, i) => {
    entries.push([i === 0 ? 'Means' : '', safe(line)]);
  });
  entries.push(['On', hypervisors.length > 0 ? safe(hypervisors.join(', ')) : 'no hypervisor now']);
  session.print(record(entries, session.paint, session.columns));
  return 0;
};

/** Decimal cookies (as some tools print them) in hexadecimal. */
function cookieText(text: string): string {
  return text.startsWith('0x') || text.startsWith('0X') ? text.toLowerCase() : `0x${BigInt(text).toString(16)}`;
}
