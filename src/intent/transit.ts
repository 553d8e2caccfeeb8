/**
 * Transit tiers: where appliances and devices of the operator's sit in a network. They take none of the tenant's
 * addresses, and the tenant sees nothing of them. What is hidden is told from the resource alone, so that the same is
 * hidden of what is long gone.
 */
import { isIn, parseIp, parseIpPrefix } from './ip.ts';
import type { Resource } from './model.ts';
import { definitions } from './resources/index.ts';

/** Of every transit tier: link-local (RFC 3927), which no network of a tenant's can have, and apart from where names and metadata are asked for (169.254.169.254). */
export const transitPrefix = parseIpPrefix('169.254.128.0/19')!;

function isTransit(text: string): boolean {
  const ip = parseIp(text);
  return ip !== undefined && isIn(transitPrefix, ip);
}

/** Whether it lies in a tenant and the tenant knows nothing of it. */
export function isHidden(resource: Pick<Resource, 'kind' | 'parent'> & { readonly spec: object }): boolean {
  if (resource.parent !== '' && !definitions[resource.kind].tenantReads) return true;
  const { kind, spec } = resource as Resource;
  if (kind === 'tier') return spec.transit === true;
  // While it is staged it may have none yet.
  if (kind === 'port') return (spec.ips as readonly string[] | undefined)?.some(isTransit) === true;
  if (kind === 'route') return isTransit(spec.nextHop);
  if (kind === 'reservation') return isTransit(spec.range.split('-')[0]!);
  return false;
}
