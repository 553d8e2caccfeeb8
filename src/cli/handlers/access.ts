/** `token create|list|delete` and `audit list`. */
import { milliseconds } from '../arguments.ts';
import type { Handler } from '../command.ts';
import { UsageError } from '../errors.ts';
import { shortPath } from '../names.ts';
import type { Session } from '../session.ts';
import { safe } from '../style.ts';
import { cell, Table } from '../table.ts';

type Token = {
  id: string;
  role: string;
  hypervisor?: string;
  tenant?: string;
  description?: string;
  /** Milliseconds since the epoch, or RFC 3339. */
  created?: number | string;
  expires?: number | string;
};

type Entry = {
  at: number | string;
  by: { token: string; role: string; tenant?: string };
  action: string;
  target: string;
  revision?: number;
  from?: string;
  members?: { path: string; member: string; to?: unknown }[];
  request?: string;
};

/** `2026-01-02T03:04:05Z`. */
function moment(at: number | string | undefined): string {
  if (at === undefined) return '-';
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? safe(String(at)) : date.toISOString().replace(/\.\d+Z$/, 'Z');
}

function roleOf({ role, tenant, hypervisor }: { role: string; tenant?: string; hypervisor?: string }): string {
  const owner = tenant ?? hypervisor;
  return safe(owner === undefined ? role : `${role}:${owner}`);
}

/** `tenant:acme` -> role and tenant, `gateway-host:gw1` -> role and hypervisor. The roles themselves are the controller's to know. */
function parseRole(text: string): { role: string; tenant?: string; hypervisor?: string } {
  const at = text.indexOf(':');
  if (at < 0) return { role: text };
  const role = text.slice(0, at);
  const member = role === 'gateway-host' ? 'hypervisor' : 'tenant';
  if (at === text.length - 1) throw new UsageError(`--role ${text}: which ${member}?`, `Write --role ${role}:NAME.`);
  return { role, [member]: text.slice(at + 1) };
}

function print(session: Session, titles: string[], rows: string[][]): void {
  const columns = titles.map((title) => ({ title }));
  session.print(new Table(columns, session.paint, session.columns).whole(rows));
}

export const createToken: Handler = async ({ session, args }) => {
  const client = await session.client();
  const expires = args.value('expires');
  const order = {
    ...parseRole(args.value('role')!),
    description: args.positionals[0],
    ...(expires === undefined ? {} : { ttl: Math.ceil(milliseconds(expires, '--expires') / 1000) }),
  };
  const { body } = await client.request('POST', '/v1/tokens', { body: order });
  if (await session.printAs(session.format('text'), body)) return 0;
  const { secret, token } = body as { token: Token; secret: string };
  const until = token.expires === undefined ? 'does not expire' : `good until ${moment(token.expires)}`;
  session.note(`Token ${safe(token.id)} (${roleOf(token)}, ${until}). It is shown this once:\n`);
  session.print(`${secret}\n`);
  return 0;
};

export const listTokens: Handler = async ({ session }) => {
  const { body } = await (await session.client()).request('GET', '/v1/tokens');
  const { items } = body as { items: Token[] };
  const format = session.format();
  if (await session.printAs(format, { items })) return 0;
  if (format === 'name') {
    for (const { id } of items) session.print(`${safe(id)}\n`);
    return 0;
  }
  const rows = items.map((one) => [
    safe(one.id),
    roleOf(one),
    cell(one.description),
    moment(one.created),
    moment(one.expires),
  ]);
  print(session, ['ID', 'ROLE', 'DESCRIPTION', 'CREATED', 'EXPIRES'], rows);
  return 0;
};

export const deleteTokens: Handler = async ({ session, args }) => {
  const client = await session.client();
  for (const id of args.positionals) {
    if (id === '') throw new UsageError('A token has no empty id', 'List them: keyway token list');
    await client.request('DELETE', `/v1/tokens/${encodeURIComponent(id)}`);
    session.print(`revoked token ${safe(id)}\n`);
  }
  return 0;
};

/** `acme/shop/web1 portSecurity: false` */
function memberOf({ path, member, to }: { path: string; member: string; to?: unknown }): string {
  return `[${safe(shortPath(path))} ${safe(member)}: ${to === undefined ? 'as by default' : cell(to)}]`;
}

export const listAudit: Handler = async ({ session, args }) => {
  const written = args.value('limit') ?? '100';
  if (!/^[1-9]\d{0,8}$/.test(written)) throw new UsageError(`--limit ${written}: not a number of entries`);
  const client = await session.client();
  const items: Entry[] = [];
  let cursor: string | undefined;
  do {
    const limit = String(Math.min(1000, Number(written) - items.length));
    const query = { limit, cursor, by: args.value('by'), tenant: args.value('tenant') };
    const page = (await client.request('GET', '/v1/audit', { query })).body as { items: Entry[]; next?: string };
    items.push(...page.items);
    cursor = page.next;
  } while (cursor !== undefined && items.length < Number(written));
  if (await session.printAs(session.format('text'), { items })) return 0;
  const rows = items.map((one) => [
    moment(one.at),
    `${safe(one.by.token)} (${roleOf(one.by)})`,
    safe(one.action),
    [safe(shortPath(one.target)), ...(one.members ?? []).map(memberOf)].join(' '),
    cell(one.revision),
    cell(one.from),
  ]);
  print(session, ['TIME', 'TOKEN', 'ACTION', 'TARGET', 'REVISION', 'FROM'], rows);
  return 0;
};
