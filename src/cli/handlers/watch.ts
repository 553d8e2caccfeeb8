/** `list --watch`: the list, then a row for everything that changes in it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../client.ts';
import { Refused, Unreachable } from '../errors.ts';
import { type EventMessage, eventStream, Position } from '../event-stream.ts';
import type { Filter } from '../filter.ts';
import { type KindModel, kindModel } from '../model.ts';
import { parsePath, pathOf } from '../names.ts';
import { type Listing, type Row, rowOf } from '../resources.ts';
import type { Session } from '../session.ts';
import { fullName, ResourceTable } from '../show.ts';
import { safe } from '../style.ts';
import { at } from '../table.ts';

export type Watching = {
  session: Session;
  client: Client;
  kind: KindModel;
  /** Parents that are fixed, outermost first. */
  parents: readonly string[];
  filter: Filter;
  format: string;
  read(): Promise<Listing>;
};

type Change = 'listed' | 'created' | 'replaced' | 'deleted' | 'status';

const longestPause = 15_000;

class Watch {
  readonly #of: Watching;
  readonly #table: ResourceTable;
  #begun = false;
  /** Rows shown, by path, as they were printed last. */
  readonly #shown = new Map<string, string>();

  constructor(of: Watching) {
    this.#of = of;
    this.#table = new ResourceTable(of.session, of.kind, of.format === 'wide', of.parents.length);
  }

  /** Prints the list; after a break, only what differs from what was shown. */
  async list(): Promise<number> {
    const { rows, revision } = await this.#of.read();
    if (!this.#begun && ['table', 'wide'].includes(this.#of.format)) {
      this.#begun = true;
      for (const row of rows) this.#shown.set(String(row.item.path), JSON.stringify(row.item));
      this.#of.session.print(this.#table.whole(rows));
      return revision;
    }
    const now = new Set(rows.map((row) => String(row.item.path)));
    for (const [path, text] of this.#shown) {
      const item = JSON.parse(text) as Row['item'];
      if (!now.has(path))
        await this.#print('deleted', rowOf(this.#of.kind, parsePath(path)?.names.slice(0, -1) ?? [], item));
    }
    for (const row of rows) await this.#print('listed', row);
    return revision;
  }

  async take(message: EventMessage): Promise<void> {
    if (message.type === 'change') return this.#changed(message.change, message.path, message.resource);
    if (message.type === 'status') return this.#changed('status', message.path);
  }

  /** Status, bindings and what else no message carries are read anew. */
  async #changed(change: Change, path: string, last?: Record<string, unknown>): Promise<void> {
    const { kind, parents, client, filter } = this.#of;
    const target = parsePath(path);
    if (target?.kind.kind !== kind.kind || parents.some((name, i) => target.names[i] !== name)) return;
    const above = target.names.slice(0, -1);
    let row: Row;
    try {
      const { body } = await client.request('GET', `/v1/${path}`);
      row = rowOf(kind, above, body as object);
    } catch (error) {
      if (!(error instanceof Refused) || error.problem.code !== 'resource.not-found') throw error;
      const before = this.#shown.get(path);
      const item = before === undefined ? last : (JSON.parse(before) as Row['item']);
      if (item) await this.#print('deleted', rowOf(kind, above, { name: target.names.at(-1), ...item }));
      return;
    }
    if (filter(row.item)) await this.#print(change, row);
    else this.#shown.delete(path);
  }

  async #print(change: Change, row: Row): Promise<void> {
    const { session, format, filter } = this.#of;
    const path = String(row.item.path);
    // What is deleted is shown as deleting until every switch has confirmed.
    const going = at(row.item, '/status/state') === 'deleting';
    if (change === 'deleted' && !going) {
      if (!this.#shown.delete(path) && !filter(row.item)) return;
      row = { ...row, item: { ...row.item, status: { ...(row.item.status as object), state: 'deleted' } } };
    } else {
      const text = JSON.stringify(row.item);
      if (this.#shown.get(path) === text) return;
      this.#shown.set(path, text);
    }
    if (format === 'json') session.print(`${JSON.stringify({ type: change, item: row.item })}\n`);
    else if (format === 'yaml') {
      session.print('---\n');
      await session.printAs('yaml', { type: change, item: row.item });
    } else if (format === 'name') session.print(`${safe(fullName(row))}\n`);
    else session.print(this.#table.row(row));
  }
}

/** Follows until the signal aborts; a lost connection is taken up again. @throws Refused, Unreachable at the start */
export async function watch(of: Watching): Promise<number> {
  const { session, client, kind, parents } = of;
  const { signal } = session.io;
  const one = new Watch(of);
  const path = parents.length > 0 ? pathOf(kindModel(kind.parents[parents.length - 1]!), parents) : undefined;
  let since = await one.list();
  let pause = 0;
  while (!signal?.aborted) {
    try {
      const position = new Position(since);
      for await (const message of eventStream(client, { since, path, status: 'changes' }, signal)) {
        pause = 0;
        if (position.take(message)) await one.take(message);
        // Status is not replayed: what changed of it between the list and the stream is in a second list.
        if (message.type === 'synced') await one.list();
      }
      return 0;
    } catch (error) {
      // Ended by its user in the middle of a request: nothing has failed.
      if (signal?.aborted) return 0;
      const compacted = error instanceof Refused && error.problem.code === 'events.compacted';
      if (!compacted && !(error instanceof Unreachable)) throw error;
      if (pause === 0 && !compacted) session.note(`${(error as Error).message}; trying again.\n`);
      pause = Math.min(longestPause, Math.max(500, pause * 2));
    }
    await sleep(pause, undefined, signal ? { signal } : {}).catch(() => undefined);
    if (signal?.aborted) break;
    try {
      since = await one.list();
    } catch (error) {
      // Still away: the next round tries again.
      if (!(error instanceof Unreachable)) throw error;
    }
  }
  return 0;
}
