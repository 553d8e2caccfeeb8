/** `status` and `health`. */
import type { Client } from '../client.ts';
import type { Handler } from '../command.ts';
import { Refused } from '../errors.ts';
import { kindModel } from '../model.ts';
import { listAll, type Row } from '../resources.ts';
import { ResourceTable } from '../show.ts';
import { safe } from '../style.ts';
import { at, record } from '../table.ts';

type Probe = { good: boolean; reason: string };

/** Asks a probe: it answers 200 when all is well, 503 when not, with why in its body. */
async function probe(client: Client, path: string): Promise<Probe> {
  try {
    const { status, body } = await client.request('GET', path);
    const reason = at(body, '/reason');
    return { good: status === 200, reason: typeof reason === 'string' ? reason : '' };
  } catch (error) {
    if (error instanceof Refused && error.status === 503) return { good: false, reason: error.problem.detail };
    throw error;
  }
}

async function probes(client: Client): Promise<{ alive: Probe; ready: Probe }> {
  const [alive, ready] = await Promise.all([probe(client, '/healthz'), probe(client, '/readyz')]);
  return { alive, ready };
}

function answer({ good, reason }: Probe): string {
  return `${good ? 'yes' : 'no'}${reason ? `: ${safe(reason)}` : ''}`;
}

export const health: Handler = async ({ session }) => {
  const client = await session.client();
  const { alive, ready } = await probes(client);
  const good = alive.good && ready.good;
  const told = { url: client.url, alive: alive.good, ready: ready.good, reason: ready.reason || alive.reason };
  if (!(await session.printAs(session.format('text'), told))) {
    session.print(
      record(
        [
          ['Controller', client.url],
          ['Alive', answer(alive)],
          ['Ready', answer(ready)],
        ],
        session.paint,
        session.columns,
      ),
    );
  }
  return good ? 0 : 1;
};

/** What is to be said of a hypervisor that is not as it should be, by its conditions. */
function complaints({ item }: Row): string[] {
  if (at(item, '/status/state') === 'programmed') return [];
  const conditions = at(item, '/status/conditions');
  if (!Array.isArray(conditions)) return [];
  return (conditions as { message?: string }[]).flatMap(({ message }) =>
    message ? [safe(`${item.name}: ${message}`)] : [],
  );
}

export const status: Handler = async ({ session }) => {
  const client = await session.client();
  const kind = kindModel('hypervisor');
  const [{ alive, ready }, hypervisors] = await Promise.all([
    probes(client),
    listAll(client, kind, []).catch((error: unknown) => {
      // Tenants are not shown hypervisors; the rest of the answer is for them too.
      if (error instanceof Refused && error.problem.code === 'auth.forbidden') return undefined;
      throw error;
    }),
  ]);
  const rows = hypervisors?.rows ?? [];
  const bad = rows.filter(({ item }) => item.admission === 'approved' && item.connected === false);
  const good = alive.good && ready.good && bad.length === 0;
  const settings = await session.settings();
  const told = {
    url: client.url,
    profile: settings.profile ?? null,
    alive: alive.good,
    ready: ready.good,
    reason: ready.reason || alive.reason,
    revision: hypervisors?.revision ?? null,
    hypervisors: rows.map(({ item }) => item),
  };
  if (await session.printAs(session.format('text'), told)) return good ? 0 : 1;
  const entries: [string, string][] = [
    ['Controller', `${client.url}${settings.profile ? ` (profile ${settings.profile})` : ''}`],
    ['Ready', answer(ready)],
  ];
  if (hypervisors) {
    entries.push(['Revision', String(hypervisors.revision)]);
    const connected = rows.filter(({ item }) => item.connected === true).length;
    entries.push(['Hypervisors', rows.length === 0 ? 'none' : `${connected} of ${rows.length} connected`]);
  }
  session.print(record(entries, session.paint, session.columns));
  if (rows.length > 0) session.print(`\n${new ResourceTable(session, kind, false, 0).whole(rows)}`);
  const said = rows.flatMap(complaints);
  if (said.length > 0) session.print(`\n${said.map((line) => `${line}\n`).join('')}`);
  return good ? 0 : 1;
};
