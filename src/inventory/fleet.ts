/** The hypervisors: those approved (intent) and those merely seen (OVSDB), with what they say of themselves. */
import type { ChassisFacts, HypervisorNumber } from '../drivers/switch-plugin.ts';
import { nameExpression } from '../intent/fields.ts';
import type { Path, Resource } from '../intent/model.ts';

export type Member = {
  number: HypervisorNumber;
  resource: Resource<'hypervisor'>;
  /** Present, or last known, facts. */
  facts: ChassisFacts | undefined;
  /** The OVSDB session is up. */
  present: boolean;
  /** Its VM interfaces are known in this run. */
  reported: boolean;
  /** OpenFlow ports of its tunnels, by peer. */
  tunnels: Map<HypervisorNumber, number>;
  /** OpenFlow ports of its patches and of services, by key; 0: remembered from an earlier run. */
  patches: ReadonlyMap<string, number>;
  /** It has told of its patches in this run. */
  patchesTold: boolean;
  /** Its switch may be written to: everything that belongs there has been compiled. */
  ready: boolean;
};

/** Keyway's datapath ids: `KW`, version 1, then the hypervisor's number. */
const datapathPrefix = 0x4b57_0001n << 32n;

export function datapathIdOf(hypervisor: HypervisorNumber): bigint {
  return datapathPrefix | BigInt(hypervisor);
}

export class Fleet {
  readonly #byNumber = new Map<HypervisorNumber, Member>();
  readonly #bySystemId = new Map<string, Member>();
  readonly #byPath = new Map<Path, Member>();
  /** Who claims each encapsulation address. */
  readonly #byEncap = new Map<string, Set<HypervisorNumber>>();
  /** Hypervisors that share theirs with others, or with others than before, since they were last asked for. */
  #rivals = new Set<HypervisorNumber>();
  /** Connected but not approved. */
  readonly #seen = new Map<string, ChassisFacts>();
  /** What the compiler reads: number -> resource number. */
  readonly programmed = new Map<HypervisorNumber, number>();

  /** Adds an approved hypervisor, or takes over its changed resource. */
  admit(resource: Resource<'hypervisor'>, remembered?: ChassisFacts): Member {
    const known = this.#byNumber.get(resource.id);
    if (known !== undefined) {
      known.resource = resource;
      return known;
    }
    const systemId = resource.spec.systemId;
    const facts = this.#seen.get(systemId);
    const member: Member = {
      number: resource.id,
      resource,
      facts: facts ?? remembered,
      present: facts !== undefined,
      reported: false,
      tunnels: new Map(),
      patches: new Map(),
      patchesTold: false,
      ready: false,
    };
    this.#seen.delete(systemId);
    this.#byNumber.set(member.number, member);
    this.#bySystemId.set(systemId, member);
    this.#byPath.set(resource.path, member);
    this.programmed.set(member.number, resource.number);
    this.#claimEncap(member.number, member.facts?.encapIp);
    return member;
  }

  remove(number: HypervisorNumber): Member | undefined {
    const member = this.#byNumber.get(number);
    if (member === undefined) return undefined;
    this.#byNumber.delete(number);
    this.#bySystemId.delete(member.resource.spec.systemId);
    this.#byPath.delete(member.resource.path);
    this.programmed.delete(number);
    this.#leaveEncap(number, member.facts?.encapIp);
    return member;
  }

  /** Facts of a connected hypervisor; undefined when it is not approved (it waits among the pending). */
  seen(facts: ChassisFacts): Member | undefined {
    const member = this.#bySystemId.get(facts.systemId);
    if (member === undefined) {
      this.#seen.set(facts.systemId, facts);
      return undefined;
    }
    if (member.facts?.encapIp !== facts.encapIp) {
      this.#leaveEncap(member.number, member.facts?.encapIp);
      this.#claimEncap(member.number, facts.encapIp);
    }
    member.facts = facts;
    member.present = true;
    return member;
  }

  gone(systemId: string): Member | undefined {
    this.#seen.delete(systemId);
    const member = this.#bySystemId.get(systemId);
    if (member !== undefined) {
      member.present = false;
      member.reported = false;
    }
    return member;
  }

  get(number: HypervisorNumber): Member | undefined {
    return this.#byNumber.get(number);
  }

  bySystemId(systemId: string): Member | undefined {
    return this.#bySystemId.get(systemId);
  }

  byPath(path: Path): Member | undefined {
    return this.#byPath.get(path);
  }

  all(): Iterable<Member> {
    return this.#byNumber.values();
  }

  /** Others that claim its encapsulation address too. */
  encapRivals(number: HypervisorNumber): HypervisorNumber[] {
    const encapIp = this.#byNumber.get(number)?.facts?.encapIp;
    const claimants = encapIp === undefined ? undefined : this.#byEncap.get(encapIp);
    return claimants === undefined ? [] : [...claimants].filter((h) => h !== number);
  }

  /** Hypervisors of which `encapRivals` may have changed since the last call. */
  takeRivals(): ReadonlySet<HypervisorNumber> {
    const rivals = this.#rivals;
    if (rivals.size > 0) this.#rivals = new Set();
    return rivals;
  }

  #claimEncap(number: HypervisorNumber, encapIp: string | undefined): void {
    if (encapIp === undefined) return;
    const claimants = this.#byEncap.get(encapIp) ?? new Set();
    claimants.add(number);
    this.#byEncap.set(encapIp, claimants);
    if (claimants.size > 1) for (const h of claimants) this.#rivals.add(h);
  }

  #leaveEncap(number: HypervisorNumber, encapIp: string | undefined): void {
    const claimants = encapIp === undefined ? undefined : this.#byEncap.get(encapIp);
    if (encapIp === undefined || claimants?.delete(number) !== true) return;
    for (const h of [number, ...claimants]) this.#rivals.add(h);
    if (claimants.size === 0) this.#byEncap.delete(encapIp);
  }

  name(number: HypervisorNumber): string {
    return this.#byNumber.get(number)?.resource.name ?? `#${number}`;
  }

  /** Seen but not approved, with the name an admin may approve it under. */
  pending(): { name: string; facts: ChassisFacts }[] {
    return [...this.#seen.values()].map((facts) => ({ name: suggestedName(facts), facts }));
  }
}

/** The system-id where it can be a name, else what is left of it: `Host.Example.com` -> `host-example-com`. */
export function suggestedName(facts: Pick<ChassisFacts, 'systemId'>): string {
  if (nameExpression.test(facts.systemId)) return facts.systemId;
  const name = facts.systemId
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63)
    .replace(/-+$/, '');
  return name === '' ? 'hypervisor' : name;
}
