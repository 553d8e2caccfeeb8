/**
 * Staging: a transaction is done on the model in memory and judged there, at the state it leads to; so that order does
 * not matter, and ports and groups that name each other come in one. Whatever fails takes everything back.
 */
import type { ProblemCode } from '../problems.ts';
import type { IdPools, IdTransaction, Releasable } from '../store/ids.ts';
import { isBuiltIn } from './built-in.ts';
import type { Draft, Resting, Staging } from './checks/concern.ts';
import { concerns } from './checks/index.ts';
import { Errors } from './errors.ts';
import { Log } from './log.ts';
import type { Path, Resource, ResourceChange } from './model.ts';
import { eachReference, sameReferences } from './references.ts';
import {
  type DeleteRequest,
  type Operation,
  type PutRequest,
  type Reading,
  type Request,
  readOperation,
} from './requests.ts';
import { type Kind, kinds } from './resources/index.ts';
import type { SpecOfKind } from './spec.ts';
import type { State } from './state.ts';
import { isHidden } from './transit.ts';

export type Outcome = {
  path: Path;
  kind: Kind;
  outcome: 'created' | 'replaced' | 'unchanged' | 'deleted';
  before?: Resource;
  after?: Resource;
};

/** What staging takes from elsewhere. */
export type Surroundings = {
  now(): number;
  newUid(): string;
  pools: IdPools;
  releasable: Releasable;
  largestMtu: number;
};

export type StageOptions = { many: boolean; restrictedAllowed: boolean };

/** A transaction that fits, done on the model. */
export type Staged = {
  readonly log: Log;
  /** Undefined: no id was given or freed. */
  readonly ids: IdTransaction | undefined;
  /** In the order of the operations. */
  readonly outcomes: Outcome[];
  /** What others depend on first, deletions last. */
  readonly changes: ResourceChange[];
  readonly puts: readonly Resource[];
  readonly deletes: readonly Resource[];
};

/** Kinds with a number that reaches switches, and where it comes from. */
const idPools: Partial<Record<Kind, string>> = {
  tenant: 'tenant-key',
  network: 'network-number',
  tier: 'tier-number',
  // Of one pool: a connection's label and a flow's cookie name either.
  rule: 'rule-id',
  policy: 'rule-id',
  steering: 'rule-id',
  'nat-rule': 'rule-id',
  hypervisor: 'hypervisor-number',
};

const rank = Object.fromEntries(kinds.map((kind, i) => [kind, i])) as Record<Kind, number>;

type Put = PutRequest & { draft: Draft; tell: (field: string, code: ProblemCode, message: string) => void };

/** @throws Problem with every error there is; the model is then as it was */
export function stage(
  state: State,
  operations: readonly Operation[],
  surroundings: Surroundings,
  options: StageOptions,
): Staged {
  const log = new Log();
  const transaction = new Stage(state, log, surroundings, options);
  try {
    return transaction.run(operations);
  } catch (error) {
    log.undo();
    transaction.ids?.rollback();
    throw error;
  }
}

class Stage implements Staging {
  readonly state: State;
  readonly log: Log;
  /** Begun with the first id that is given or freed. */
  #ids: IdTransaction | undefined;
  readonly #surroundings: Surroundings;
  readonly #options: StageOptions;
  readonly #errors = new Errors();
  readonly #written = new Set<Path>();
  readonly #broken = new Set<Path>();

  constructor(state: State, log: Log, surroundings: Surroundings, options: StageOptions) {
    this.state = state;
    this.log = log;
    this.#surroundings = surroundings;
    this.#options = options;
  }

  readonly writes = (path: Path): boolean => this.#written.has(path);

  readonly isBroken = (path: Path): boolean => this.#broken.has(path);

  get largestMtu(): number {
    return this.#surroundings.largestMtu;
  }

  readonly isLoading = false;

  get restrictedAllowed(): boolean {
    return this.#options.restrictedAllowed;
  }

  readonly resting: Resting = {
    isFreed: (pool, id) => this.#begunIds().isFreed(pool, id),
    freedIn: (pool) => this.#begunIds().freedIn(pool),
    claim: (pool, id, by) => this.#begunIds().claim(pool, id, this.#surroundings.releasable, by),
    claimFreed: (pool, fits) => this.#begunIds().claimFreed(pool, fits, this.#surroundings.releasable),
    free: (pool, id, by) => this.#begunIds().free(pool, id, by),
  };

  readonly nextNumber = (): number => this.#begunIds().next('resource-number');

  get ids(): IdTransaction | undefined {
    return this.#ids;
  }

  run(operations: readonly Operation[]): Staged {
    const requests = this.#read(operations);
    const requestedPuts = requests.filter((r) => r.op === 'put').sort((a, b) => rank[a.kind] - rank[b.kind]);
    const deletes = requests.filter((r) => r.op === 'delete').sort((a, b) => rank[b.kind] - rank[a.kind]);

    for (const { before } of deletes) this.#release(before, undefined);
    for (const { before, spec } of requestedPuts) if (before !== undefined) this.#release(before, spec);
    const puts = requestedPuts.map((request) => this.#write(request));
    for (const put of puts) if (deletes.length > 0 || !namesTheSame(put)) this.#judgeReferences(put);
    for (const request of deletes) this.#judgeDependants(request);
    for (const { kind, draft, before, tell } of puts)
      for (const c of concerns[kind]) c.claim?.(this, draft, before, tell);
    for (const { kind, draft, tell } of puts) for (const c of concerns[kind]) c.fill?.(this, draft, tell);
    for (const { kind, draft, before, tell } of puts)
      for (const c of concerns[kind]) c.conclude?.(this, draft, before, tell);
    for (const { kind, path, before, at } of deletes)
      for (const c of concerns[kind])
        c.gone?.(this, before, (field, code, message) =>
          this.#errors.add(at + field, code, message, `${path} is in use`),
        );
    if (this.#errors.any) throw this.#errors.problem();

    return {
      log: this.log,
      ids: this.#ids,
      outcomes: outcomesOf(requests, puts),
      changes: [
        ...puts.map(({ kind, path, before, draft }) => ({ kind, path, before, after: asResource(draft) })),
        ...deletes.map(({ kind, path, before }) => ({ kind, path, before, after: undefined })),
      ] as ResourceChange[],
      puts: puts.map(({ draft }) => asResource(draft)),
      deletes: deletes.map(({ before }) => before),
    };
  }

  #read(operations: readonly Operation[]): Request[] {
    const requests: Request[] = [];
    const seen = new Set<Path>();
    const reading: Reading = { get: (path) => this.state.get(path), errors: this.#errors, ...this.#options };
    operations.forEach((operation, index) => {
      if (seen.has(operation.path)) {
        const at = this.#options.many ? `/resources/${index}` : '';
        this.#errors.add(at, 'request.invalid', `${operation.path} is in the request twice`);
        return;
      }
      seen.add(operation.path);
      const request = readOperation(operation, index, reading);
      if (request === undefined) this.#broken.add(operation.path);
      else requests.push(request);
      if (request?.op === 'put') this.#written.add(request.path);
    });
    return requests;
  }

  #release(before: Resource, after: SpecOfKind<Kind> | undefined): void {
    for (const concern of concerns[before.kind]) concern.release?.(this, before, after);
    if (after !== undefined) return;
    this.state.write(this.log, before, undefined);
    const pool = idPools[before.kind];
    if (pool !== undefined) this.#begunIds().free(pool, before.id);
  }

  #write(request: PutRequest): Put {
    const { kind, path, name, parent, before, spec, labels, specAt } = request;
    const draft = {
      kind,
      path,
      name,
      parent,
      uid: before?.uid ?? this.#surroundings.newUid(),
      number: before?.number ?? this.nextNumber(),
      id: before?.id ?? this.#newId(kind),
      revision: 0,
      createdAt: before?.createdAt ?? this.#surroundings.now(),
      labels,
      spec,
    } as Draft;
    this.state.write(this.log, before, asResource(draft));
    return {
      ...request,
      draft,
      tell: (field, code, message) => this.#errors.add(specAt + field, code, message),
    };
  }

  #newId(kind: Kind): number {
    const pool = idPools[kind];
    return pool === undefined ? 0 : this.#begunIds().allocate(pool, this.#surroundings.releasable);
  }

  #begunIds(): IdTransaction {
    this.#ids ??= this.#surroundings.pools.begin();
    return this.#ids;
  }

  #judgeReferences({ kind, path, parent, at, draft, tell }: Put): void {
    if (parent !== '' && !this.#exists(parent)) {
      const code = this.#options.many ? 'reference.dangling' : 'resource.not-found';
      this.#errors.add(at, code, `${path} lies in ${parent}, which does not exist`);
      return;
    }
    eachReference(kind, path, draft.spec, (target, field) => {
      if (!this.#exists(target) || this.#isHidden(target)) tell(field, 'reference.dangling', `There is no ${target}`);
    });
  }

  /** Whether the caller is to know nothing of it. */
  #isHidden(path: Path): boolean {
    if (this.#options.restrictedAllowed) return false;
    const found = this.state.get(path);
    return found !== undefined && isHidden(found);
  }

  /** What failed by itself counts as there: that it is missing would be told twice. */
  #exists(path: Path): boolean {
    return this.state.resources.has(path) || this.#broken.has(path);
  }

  #judgeDependants({ before, path, at }: DeleteRequest): void {
    if (isBuiltIn(path)) this.#errors.add(at, 'resource.built-in', `${path} is built in`);
    const detail = `${path} is in use`;
    // What the same transaction puts tells itself that it would dangle.
    const tell = (dependant: Resource) => {
      if (this.writes(dependant.path) || this.isBroken(dependant.path)) return;
      const shown = this.#isHidden(dependant.path) ? 'something of the operator' : dependant.path;
      this.#errors.add(at, 'resource.in-use', shown, detail);
    };
    for (const child of this.state.childrenOfAnyKind(before)) tell(child);
    for (const referrer of this.state.referrers(path)) tell(referrer);
  }
}

/** What it names was there, and is still where nothing is deleted. */
function namesTheSame({ kind, before, draft }: Put): boolean {
  return before !== undefined && sameReferences(kind, before.spec, draft.spec);
}

/** A draft is the resource; it is complete once its transaction is staged. */
function asResource(draft: Draft): Resource {
  return draft as unknown as Resource;
}

function outcomesOf(requests: readonly Request[], puts: readonly Put[]): Outcome[] {
  const drafts = new Map(puts.map(({ path, draft }) => [path, asResource(draft)]));
  return requests.map(({ op, kind, path, before }): Outcome => {
    if (op === 'none') return { path, kind, outcome: 'unchanged', before, after: before };
    if (op === 'delete') return { path, kind, outcome: 'deleted', before };
    const after = drafts.get(path)!;
    return before === undefined
      ? { path, kind, outcome: 'created', after }
      : { path, kind, outcome: 'replaced', before, after };
  });
}
