/** What a resource is answered with: what was asked for, what inventory knows of it, and its status; by who reads. */
import type { ChassisFacts } from '../drivers/switch-plugin.ts';
import type { Intent } from '../intent/intent.ts';
import type { Path, Resource } from '../intent/model.ts';
import { formatPath } from '../intent/path.ts';
import { type Presented, present } from '../intent/present.ts';
import { type Counted, quotaFields } from '../intent/state.ts';
import { Problem } from '../problems.ts';
import type { Binding, Fabric, Status, StatusSource } from './context.ts';
import type { Reader } from './reader.ts';
import { tenantStatus } from './tenant-view.ts';

export type Answer = Presented & { status: Status };

/** A hypervisor that waits for approval: nothing of it is kept yet. */
export type PendingHypervisor = { name: string; systemId: string; chassis: object; connected: false; status: Status };

export class Answers {
  readonly #intent: Intent;
  readonly #status: StatusSource;
  readonly #fabric: Fabric;

  constructor({ intent, status, fabric }: { intent: Intent; status: StatusSource; fabric: Fabric }) {
    this.#intent = intent;
    this.#status = status;
    this.#fabric = fabric;
  }

  /** The resource, or what is still being deleted of it. @throws Problem resource.not-found */
  find(path: Path): { resource: Resource; deleting: boolean } {
    const resource = this.#intent.get(path);
    if (resource) return { resource, deleting: false };
    const going = this.#status.deleting(path);
    if (going) return { resource: going, deleting: true };
    throw new Problem('resource.not-found', `There is no ${path}`);
  }

  answer(resource: Resource, reader: Reader, deleting = false): Answer {
    return {
      ...present(resource, reader),
      ...this.#extras(resource, reader),
      status: this.statusOf(resource, reader, deleting),
    };
  }

  /** The status now, as this reader may see it. */
  statusOf(resource: Resource, reader: Reader, deleting = false): Status {
    const status = this.#status.status(resource);
    const now: Status = deleting ? { ...status, state: 'deleting' } : status;
    return reader.restricted ? now : tenantStatus(now, resource.revision);
  }

  pendingHypervisors(): PendingHypervisor[] {
    return this.#fabric.pending().map(({ name, facts }) => ({
      name,
      systemId: facts.systemId,
      chassis: chassisOf(facts),
      connected: false,
      status: {
        state: 'pending',
        observedRevision: 0,
        programmedRevision: 0,
        conditions: [
          {
            type: 'Approved',
            status: 'False',
            reason: 'AwaitingApproval',
            message: `Nothing is written to it before an admin or operator approves it: keyway hypervisor approve ${name}`,
          },
        ],
      },
    }));
  }

  /** The binding of a port as this reader may see it. */
  binding(binding: Binding | null): Binding | null {
    return (
      binding && {
        hypervisor: binding.hypervisor,
        interface: binding.interface,
        ofport: binding.ofport,
        zone: binding.zone,
      }
    );
  }

  #usedBy(tenant: Path): Record<string, number> {
    const counted = Object.entries(quotaFields) as [Counted, string][];
    return Object.fromEntries(counted.map(([kind, field]) => [field, this.#intent.heldBy(kind, tenant)]));
  }

  #extras(resource: Resource, reader: Reader): Record<string, unknown> | undefined {
    if (!reader.restricted) return undefined;
    if (resource.kind === 'port') return { binding: this.binding(this.#fabric.binding(resource.path)) };
    if (resource.kind === 'quota') return { used: this.#usedBy(formatPath('tenant', '', resource.name)) };
    if (resource.kind === 'ip-pool') return this.#intent.poolUse(resource);
    if (resource.kind !== 'hypervisor') return undefined;
    const facts = this.#fabric.chassis(resource.path);
    return {
      datapathId: this.#fabric.datapathId(resource),
      chassis: facts ? chassisOf(facts) : null,
      connected: this.#fabric.connected(resource.path),
      ports: this.#fabric.portsOn(resource.path),
    };
  }
}

function chassisOf({ hostname, peer, ovsVersion, encapIp, datapathType, bridgeMappings }: ChassisFacts): object {
  return { hostname, peer, ovsVersion, encapIp: encapIp ?? null, datapathType, bridgeMappings };
}
