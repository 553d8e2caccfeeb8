/** Changes of intent asked for over the API: judged by role, audited in the same commit. */
import type { Audit, AuditedMember, Deed } from '../auth/audit.ts';
import { authorise, setsRestricted } from '../auth/roles.ts';
import type { Intent, Operation, Result, TransactOptions } from '../intent/intent.ts';
import type { Path, ResourceChange } from '../intent/model.ts';
import { tenantOf } from '../intent/path.ts';
import { definitions } from '../intent/resources/index.ts';
import { equalJson } from '../intent/spec.ts';
import { Problem } from '../problems.ts';
import type { Asker } from './access.ts';
import type { Fabric } from './context.ts';

const hypervisors = 'hypervisors/';

/** Paths that the audit names of one apply; the rest is counted. */
const namedInAudit = 100;

export class Writes {
  readonly #intent: Intent;
  readonly #audit: Audit;
  readonly #fabric: Fabric;

  constructor({ intent, audit, fabric }: { intent: Intent; audit: Audit; fabric: Fabric }) {
    this.#intent = intent;
    this.#audit = audit;
    this.#fabric = fabric;
  }

  /** One resource: a PUT or DELETE. @throws Problem as Intent.transact, auth.forbidden */
  async one(request: Asker, operation: Operation): Promise<Result> {
    const deed = { action: operation.op, target: operation.path, tenant: tenantNameOf(operation.path) };
    return await this.#transact(request, [operation], deed, { many: false });
  }

  /** Many resources in one transaction. @throws Problem as Intent.transact, auth.forbidden */
  async many(
    request: Asker,
    operations: readonly Operation[],
    dryRun?: Pick<TransactOptions, 'dryRun' | 'whileStaged'>,
  ): Promise<Result> {
    const tenants = new Set(operations.map(({ path }) => tenantNameOf(path)));
    const deed = {
      action: 'apply',
      target: 'apply',
      tenant: tenants.size === 1 ? [...tenants][0] : undefined,
      resources: operations.slice(0, namedInAudit).map(({ op, path }) => `${op} ${path}`),
      count: operations.length,
    };
    return await this.#transact(request, operations, deed, { many: true, ...dryRun });
  }

  /** The audit record of a request, to be put in the commit it describes. */
  record(request: Asker, deed: Omit<Deed, 'by' | 'request' | 'from'>): [key: string, value: string] {
    return this.#audit.record({ ...deed, by: request.principal, request: request.id, from: request.ip ?? 'unix' });
  }

  async #transact(
    request: Asker,
    operations: readonly Operation[],
    deed: Pick<Deed, 'action' | 'target' | 'tenant'>,
    options: TransactOptions & { many: boolean },
  ): Promise<Result> {
    this.#judgeLost(request, operations, options.many);
    return await this.#intent.transact(
      operations.map((operation) => this.#withSystemId(operation)),
      {
        ...options,
        restrictedAllowed: setsRestricted(request.principal),
        extraWrites: (_, changes) => new Map([this.record(request, { ...deed, ...auditedOf(changes) })]),
      },
    );
  }

  /**
   * To declare a hypervisor lost gives its ids to others unconfirmed, and so does deleting one that is not lost: not
   * everybody who may write it may do that.
   */
  #judgeLost(request: Asker, operations: readonly Operation[], many: boolean): void {
    operations.forEach((operation, i) => {
      if (!operation.path.startsWith(hypervisors)) return;
      if (operation.op === 'put' && operation.spec.admission !== 'lost') return;
      const known = this.#intent.getAs('hypervisor', operation.path);
      if (known?.spec.admission === 'lost' || (operation.op === 'delete' && known === undefined)) return;
      const refusal = authorise(request.principal, { action: 'write', area: 'lost-hypervisors' });
      if (!refusal) return;
      const member = operation.op === 'put' ? '/admission' : '';
      const field = (many ? `/resources/${i}${operation.op === 'put' ? '/spec' : ''}` : '') + member;
      throw new Problem(refusal.code, refusal.detail, [{ field, code: refusal.code, message: refusal.detail }]);
    });
  }

  /** Approving a hypervisor by the name it waits under means the system-id it connected with. */
  #withSystemId(operation: Operation): Operation {
    if (operation.op !== 'put' || !operation.path.startsWith(hypervisors)) return operation;
    if (operation.spec.systemId !== undefined || this.#intent.get(operation.path)) return operation;
    const waiting = this.#fabric.pending().find(({ name }) => hypervisors + name === operation.path);
    if (!waiting) return operation;
    return { ...operation, spec: { ...operation.spec, systemId: waiting.facts.systemId } };
  }
}

export function tenantNameOf(path: Path): string | undefined {
  return tenantOf(path)?.slice('tenants/'.length);
}

/** What the audit tells of the changes in full. */
function auditedOf(changes: readonly ResourceChange[]): { members?: AuditedMember[] } {
  const members: AuditedMember[] = [];
  for (const { kind, path, before, after } of changes)
    for (const member of definitions[kind].audited ?? []) {
      const [from, to] = [before, after].map((one) => (one?.spec as Readonly<Record<string, unknown>>)?.[member]);
      if (!equalJson(from, to) && members.length < namedInAudit) members.push({ path, member, from, to });
    }
  return members.length === 0 ? {} : { members };
}
