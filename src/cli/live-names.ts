/** Names that completion asks the controller for: quickly, or not at all. */
import { Arguments } from './arguments.ts';
import { Client, type Query } from './client.ts';
import type { Io } from './io.ts';
import { type KindModel, kindModel } from './model.ts';
import { pathOf } from './names.ts';
import { type Settings, settingsOf } from './settings.ts';

/** Milliseconds a key press may wait for the controller; KEYWAY_COMPLETION_TIMEOUT changes it. */
const patience = 80;

export class LiveNames {
  readonly #settings: Promise<Settings | undefined>;
  readonly #deadline: number;
  #client: Promise<Client | undefined> | undefined;

  /** @param flags those of the line that is completed: --url, --token-file, --profile. */
  constructor(io: Io, flags: ReadonlyMap<string, readonly string[]>) {
    this.#settings = settingsOf(io, new Arguments([], flags)).catch(() => undefined);
    const wanted = Number(io.env.KEYWAY_COMPLETION_TIMEOUT);
    this.#deadline = performance.now() + (wanted > 0 ? wanted : patience);
  }

  async defaults(): Promise<ReadonlyMap<string, string>> {
    return (await this.#settings)?.defaults ?? new Map();
  }

  async #connect(): Promise<Client | undefined> {
    const settings = await this.#settings;
    return settings && new Client({ url: settings.url, token: await settings.token() });
  }

  async #read(path: string, query: Query = {}): Promise<{ name?: string; id?: string }[]> {
    const timeout = Math.ceil(this.#deadline - performance.now());
    if (timeout <= 0) return [];
    this.#client ??= this.#connect();
    try {
      const client = await this.#client;
      if (!client) return [];
      const { body } = await client.request('GET', path, { query, timeout });
      return (body as { items?: { name?: string; id?: string }[] }).items ?? [];
    } catch {
      // Nobody there, no token, no such parent: completion has nothing to offer, and says nothing in the user's line.
      return [];
    }
  }

  /** Names of a kind in these parents; none when they cannot be had at once. */
  async names(kind: KindModel, parents: readonly string[]): Promise<string[]> {
    if (parents.length < kind.parents.length) return [];
    const items = await this.#read(`/v1/${pathOf(kind, parents)}`, { limit: '1000' });
    return items.flatMap(({ name }) => (name === undefined ? [] : [name]));
  }

  async tokenIds(): Promise<string[]> {
    return (await this.#read('/v1/tokens')).flatMap(({ id }) => (id === undefined ? [] : [id]));
  }

  async close(): Promise<void> {
    try {
      (await this.#client)?.close();
    } catch {
      // It was never made.
    }
  }
}

/** Kinds on the way to a kind, itself last. */
export function levels(kind: KindModel): KindModel[] {
  return [...kind.parents.map(kindModel), kind];
}
