/** How the services of an offering resolve: to flows, to a driver, or, for now, to nobody. */
import type { Resource, Specs } from '../intent/model.ts';

export type Service = Specs['offering']['services'][number];

export type Resolution = {
  service: Service;
  /** Who serves it: the pipeline's flows, a driver by its name, or nobody yet. */
  by: { flows: true } | { provider: string } | undefined;
};

export type ServiceCondition = {
  type: 'ServiceNotProvided';
  status: 'True';
  reason: 'NoDriver';
  /** Names the service and never the provider: tenants read it. */
  message: string;
};

/** Services that flows serve, the way out and DHCP with the help of gateway hosts. */
const servedByFlows: ReadonlySet<Service> = new Set<Service>([
  'routing',
  'rules',
  'source-nat',
  'static-nat',
  'port-forwarding',
  'dhcp',
]);

/** @param providers names of the drivers that are registered */
export function resolveServices(offering: Resource<'offering'>, providers: ReadonlySet<string>): Resolution[] {
  return offering.spec.services.map((service) => {
    const provider = offering.spec.providers?.[service];
    if (provider !== undefined) return { service, by: providers.has(provider) ? { provider } : undefined };
    return { service, by: servedByFlows.has(service) ? { flows: true } : undefined };
  });
}

/** One condition for each service of the offering that nobody provides; none when all are provided. */
export function serviceConditions(offering: Resource<'offering'>, providers: ReadonlySet<string>): ServiceCondition[] {
  return resolveServices(offering, providers)
    .filter(({ by }) => by === undefined)
    .map(({ service }) => ({
      type: 'ServiceNotProvided',
      status: 'True',
      reason: 'NoDriver',
      message: `Service ${service} is part of the offering, and nobody provides it yet`,
    }));
}
