/** Offerings: a provider serves a service the offering has. */
import { escapePointer } from '../../validate.ts';
import type { Concern } from './concern.ts';

export const offeringProviders: Concern<'offering'> = {
  judge(spec, report) {
    const services: readonly string[] = spec.services;
    for (const service of Object.keys(spec.providers ?? {}))
      if (!services.includes(service))
        report(
          `/providers/${escapePointer(service)}`,
          'request.invalid',
          `${service} is not among the services of the offering`,
        );
  },
};
