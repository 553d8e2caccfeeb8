/** What a network's offering promises and nobody provides yet, as conditions of the network. */
import { serviceConditions } from '../catalog/resolve.ts';
import type { Resource, View } from '../intent/model.ts';
import type { Condition } from '../reconcile/contract.ts';

/** @param providers names of the drivers that are registered */
export function unprovidedServices(
  view: View,
  network: Resource<'network'>,
  providers: ReadonlySet<string>,
): Condition[] {
  const offering = view.getAs('offering', `offerings/${network.spec.offering}`);
  if (offering === undefined) return [];
  return serviceConditions(offering, providers);
}
