/**
 * Tokens: made here, shown once, kept as hashes under `tokens/ID`. SHA-256 without salt or stretching is right for
 * them: those guard secrets that people choose, which can be guessed; 32 random bytes cannot, however fast the hash.
 */
import { hash, randomBytes } from 'node:crypto';
import { fieldProblem, Problem } from '../problems.ts';
import type { Change, Entry, Store } from '../store/store.ts';
import { type Principal, type Role, roles } from './roles.ts';

const keyPrefix = 'tokens/';

const secretPrefix = 'kw_';
const secretBytes = 32;
const secretLength = secretPrefix.length + Math.ceil((secretBytes * 4) / 3);

/** Seconds. */
const longestTtl = 10 * 365 * 86_400;
const longestDescription = 256;

export type TokenOrder = {
  role: Role;
  /** With role tenant, and only then. */
  tenant?: string | undefined;
  /** With role gateway-host, and only then. */
  hypervisor?: string | undefined;
  /** Seconds it is valid; for ever when left out. */
  ttl?: number | undefined;
  description?: string | undefined;
};

export type Token = {
  id: string;
  role: Role;
  tenant?: string;
  hypervisor?: string;
  description: string;
  /** Milliseconds since the epoch. */
  created: number;
  /** Milliseconds since the epoch; never when left out. */
  expires?: number;
};

type TokenRecord = Token & { hash: string };

/** A token that is not valid yet. */
export type Minted = { secret: string; record: TokenRecord };

/** @throws Problem `request.invalid` naming the field. */
export function mint(order: TokenOrder, now: number): Minted {
  const { role, tenant, hypervisor, ttl, description = '' } = order;
  if (!roles.includes(role)) throw fieldProblem('request.invalid', '/role', `Roles are ${roles.join(', ')}.`);
  if (role === 'tenant' && (tenant === undefined || tenant === '')) {
    throw fieldProblem('request.invalid', '/tenant', 'A token of role tenant names its tenant.');
  }
  if (role !== 'tenant' && tenant !== undefined) {
    throw fieldProblem('request.invalid', '/tenant', `A token of role ${role} belongs to no tenant.`);
  }
  if (role === 'gateway-host' && (hypervisor === undefined || hypervisor === '')) {
    throw fieldProblem('request.invalid', '/hypervisor', 'A token of role gateway-host names its hypervisor.');
  }
  if (role !== 'gateway-host' && hypervisor !== undefined) {
    throw fieldProblem('request.invalid', '/hypervisor', `A token of role ${role} belongs to no hypervisor.`);
  }
  if (ttl !== undefined && !(Number.isInteger(ttl) && ttl >= 1 && ttl <= longestTtl)) {
    throw fieldProblem('request.invalid', '/ttl', `Seconds, 1 to ${longestTtl}.`);
  }
  if (description.length > longestDescription) {
    throw fieldProblem('request.invalid', '/description', `${longestDescription} characters at most.`);
  }
  const secret = secretPrefix + randomBytes(secretBytes).toString('base64url');
  const record: TokenRecord = {
    id: randomBytes(8).toString('hex'),
    role,
    ...(tenant !== undefined && { tenant }),
    ...(hypervisor !== undefined && { hypervisor }),
    description,
    created: now,
    ...(ttl !== undefined && { expires: now + ttl * 1000 }),
    hash: hashOf(secret),
  };
  return { secret, record };
}

type Held = { record: TokenRecord; principal: Principal; expires: number };

/**
 * All tokens, in memory. Every method that writes takes what else its commit shall do (`also`: the audit record, the
 * tenant's revision to expect). @throws Problem `store.conflict` when `also` expects what is not so.
 */
export class Tokens {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #byHash = new Map<string, Held>();
  readonly #byId = new Map<string, Held>();

  /** @param entries What lies under `tokens/`. */
  constructor(store: Store, entries: Iterable<Entry>, now: () => number = Date.now) {
    this.#store = store;
    this.#now = now;
    for (const { value } of entries) this.#hold(JSON.parse(value) as TokenRecord);
  }

  static async load(store: Store, now?: () => number): Promise<Tokens> {
    return new Tokens(store, (await store.list(keyPrefix)).entries, now);
  }

  get size(): number {
    return this.#byId.size;
  }

  /**
   * Whose secret it is. What is looked up is the secret's hash, so that the time it takes tells nothing of any secret:
   * nobody can choose secrets by what their hashes begin with without having them.
   */
  authenticate(secret: string): Principal | undefined {
    if (secret.length !== secretLength || !secret.startsWith(secretPrefix)) return undefined;
    const held = this.#byHash.get(hashOf(secret));
    return held !== undefined && held.expires > this.#now() ? held.principal : undefined;
  }

  /** The secret is in the answer and nowhere else. */
  async create(order: TokenOrder, also?: Change): Promise<{ token: Token; secret: string; revision: number }> {
    const minted = mint(order, this.#now());
    const revision = await this.add(minted, also);
    return { token: shown(minted.record), secret: minted.secret, revision };
  }

  /** Valid once it resolves, to the revision. */
  async add({ record }: Minted, also?: Change): Promise<number> {
    const key = keyPrefix + record.id;
    const revision = await this.#commit({
      expect: new Map([...(also?.expect ?? []), [key, 0]]),
      put: new Map([...(also?.put ?? []), [key, JSON.stringify(record)]]),
      delete: also?.delete,
    });
    this.#hold(record);
    return revision;
  }

  /** Invalid once it resolves, to the revision. @throws Problem `resource.not-found`. */
  async revoke(id: string, also?: Change): Promise<number> {
    if (!this.#byId.has(id)) throw new Problem('resource.not-found', `There is no token ${id}.`);
    const revision = await this.#commit(deletion([id], also));
    this.#forget(id);
    return revision;
  }

  /**
   * Revokes the tokens of a tenant that is no more: a later tenant of that name is another. They are invalid when the
   * call returns, and durably so once it resolves, to how many they were.
   */
  async revokeTenant(tenant: string, also?: Change): Promise<number> {
    return await this.#revokeWhere((record) => record.tenant === tenant, also);
  }

  /** The same of a hypervisor. */
  async revokeHypervisor(hypervisor: string): Promise<number> {
    return await this.#revokeWhere((record) => record.hypervisor === hypervisor);
  }

  /** The same for all owners that `exists` denies: to be called at the start, for a stop between the two. */
  async revokeOrphans(exists: (kind: 'tenant' | 'hypervisor', name: string) => boolean): Promise<number> {
    return await this.#revokeWhere(
      ({ tenant, hypervisor }) =>
        (tenant !== undefined && !exists('tenant', tenant)) ||
        (hypervisor !== undefined && !exists('hypervisor', hypervisor)),
    );
  }

  /** Removes tokens that expired at least `age` milliseconds ago; resolves to how many they were. */
  async sweep(age: number): Promise<number> {
    const before = this.#now() - age;
    return await this.#revokeWhere(({ expires }) => expires !== undefined && expires <= before);
  }

  get(id: string): Token | undefined {
    const held = this.#byId.get(id);
    return held && shown(held.record);
  }

  /** Sorted by id; expired ones included until they are swept. */
  list(): Token[] {
    const ids = [...this.#byId.keys()].sort();
    return ids.map((id) => shown(this.#byId.get(id)!.record));
  }

  async #revokeWhere(chosen: (record: TokenRecord) => boolean, also?: Change): Promise<number> {
    const ids = [...this.#byId].filter(([, { record }]) => chosen(record)).map(([id]) => id);
    if (ids.length === 0) return 0;
    for (const id of ids) this.#forget(id);
    for (let from = 0; from < ids.length; from += deletedAtOnce) {
      await this.#commit(deletion(ids.slice(from, from + deletedAtOnce), from === 0 ? also : undefined));
    }
    return ids.length;
  }

  async #commit(change: Change): Promise<number> {
    const result = await this.#store.commit(change);
    if (!result.ok) throw new Problem('store.conflict', `Changed meanwhile: ${result.conflicts.join(', ')}.`);
    return result.revision;
  }

  #hold(record: TokenRecord): void {
    const { id, role, tenant, hypervisor, expires = Number.POSITIVE_INFINITY } = record;
    const principal: Principal = { token: id, role, tenant, ...(hypervisor !== undefined && { hypervisor }) };
    const held: Held = { record, principal: Object.freeze(principal), expires };
    this.#byId.set(id, held);
    this.#byHash.set(record.hash, held);
  }

  #forget(id: string): void {
    const held = this.#byId.get(id);
    if (held === undefined) return;
    this.#byId.delete(id);
    this.#byHash.delete(held.record.hash);
  }
}

const deletedAtOnce = 1_000;

function deletion(ids: readonly string[], also: Change | undefined): Change {
  return { ...also, delete: [...(also?.delete ?? []), ...ids.map((id) => keyPrefix + id)] };
}

function hashOf(secret: string): string {
  return hash('sha256', secret, 'base64url');
}

function shown({ hash: _, ...token }: TokenRecord): Token {
  return token;
}
