/** Sets of services (protocols, destination ports, ICMP types), and how they lie to each other. */
import type { Family } from '../intent/versions.ts';
import type { Service } from '../pipeline/stages/judge.ts';
import { ipProtocol } from '../pipeline/stages/ports.ts';

/** IP version of protocols that belong to one. */
export const onlyIn = new Map<number, Family>([
  [ipProtocol.icmp, 4],
  [ipProtocol.icmpv6, 6],
]);

const everyPort = { value: 0, mask: 0 };

/** No two of the services given may speak of one packet. */
export class ServiceSet {
  readonly #services: readonly Service[];
  readonly #byFamily: Record<Family, readonly Service[]>;
  /** Sets with one key have the same services. */
  readonly key: string;

  constructor(services: readonly Service[]) {
    this.#services = services;
    const spokenIn = (family: Family) =>
      services.filter(({ protocol }) => protocol === undefined || (onlyIn.get(protocol) ?? family) === family);
    this.#byFamily = { 4: spokenIn(4), 6: spokenIn(6) };
    this.key = services.map(serviceKey).join();
  }

  of(family: Family): readonly Service[] {
    return this.#byFamily[family];
  }

  /** Whether every packet is of one of its services. */
  get isAll(): boolean {
    return this.#services.some((service) => service.protocol === undefined);
  }

  /** Whether some packet of the IP version is of a service of both. */
  meets(other: ServiceSet, family: Family): boolean {
    const others = other.#byFamily[family];
    for (const a of this.#byFamily[family]) for (const b of others) if (meet(a, b)) return true;
    return false;
  }

  /** As far as single services tell, see AddressSet.isWithin. */
  isWithin(other: ServiceSet, family: Family): boolean {
    if (other.key === this.key) return true;
    return this.#byFamily[family].every((a) => other.#byFamily[family].some((b) => isWithin(a, b)));
  }
}

function meet(a: Service, b: Service): boolean {
  if (a.protocol === undefined || b.protocol === undefined) return true;
  if (a.protocol !== b.protocol) return false;
  const p = a.ports;
  const q = b.ports;
  if (p !== undefined && q !== undefined && ((p.value ^ q.value) & p.mask & q.mask) !== 0) return false;
  if (a.icmp === undefined || b.icmp === undefined) return true;
  if (a.icmp.type !== b.icmp.type) return false;
  return a.icmp.code === undefined || b.icmp.code === undefined || a.icmp.code === b.icmp.code;
}

/** Whether every packet of `a` is one of `b`. */
function isWithin(a: Service, b: Service): boolean {
  if (b.protocol === undefined) return true;
  if (a.protocol !== b.protocol) return false;
  const { ports: p = everyPort } = a;
  const { ports: q = everyPort } = b;
  if ((q.mask & ~p.mask) !== 0 || ((p.value ^ q.value) & q.mask) !== 0) return false;
  if (b.icmp === undefined) return true;
  if (a.icmp === undefined || a.icmp.type !== b.icmp.type) return false;
  return b.icmp.code === undefined || a.icmp.code === b.icmp.code;
}

/** Two services with one key match the same. */
export function serviceKey({ protocol, ports, icmp }: Service): string {
  return `${protocol ?? ''}:${ports?.value ?? 0}/${ports?.mask ?? 0}:${icmp?.type ?? ''}.${icmp?.code ?? ''}`;
}
