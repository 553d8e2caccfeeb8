/** What Open_vSwitch.external_ids says of a hypervisor, where OVN deployments already keep it (ovn-controller(8)). */
import { isIP } from 'node:net';
import type { ChassisFacts } from '../../../src/drivers/switch-plugin.ts';

type ExternalIds = ReadonlyMap<string, string>;

/** Empty where none is set. */
export function systemIdOf(externalIds: ExternalIds): string {
  return externalIds.get('system-id')?.trim() ?? '';
}

/** `keyway-bridge`, default `br-int`; XenServer names its own. */
export function bridgeNameOf(externalIds: ExternalIds): string {
  return externalIds.get('keyway-bridge')?.trim() || 'br-int';
}

/** `keyway-datapath-type`, else `ovn-bridge-datapath-type`, else `system` (the kernel's). */
export function datapathTypeOf(externalIds: ExternalIds): string {
  return externalIds.get('keyway-datapath-type') || externalIds.get('ovn-bridge-datapath-type') || 'system';
}

/** `keyway-encap-ip`, else `ovn-encap-ip`, the first where it is a list; undefined where that is no IP address. */
export function encapIpOf(externalIds: ExternalIds): string | undefined {
  const text = externalIds.get('keyway-encap-ip') || externalIds.get('ovn-encap-ip') || '';
  const first = text.split(',')[0]!.trim();
  return isIP(first) ? first : undefined;
}

/** `keyway-bridge-mappings`, else `ovn-bridge-mappings`: `PHYSICAL-NETWORK:BRIDGE,…`. What is no such pair is left out. */
export function bridgeMappingsOf(externalIds: ExternalIds): Record<string, string> {
  const text = externalIds.get('keyway-bridge-mappings') ?? externalIds.get('ovn-bridge-mappings') ?? '';
  const pairs: [string, string][] = [];
  for (const part of text.split(',')) {
    const colon = part.indexOf(':');
    const network = part.slice(0, Math.max(colon, 0)).trim();
    const bridge = part.slice(colon + 1).trim();
    if (network && bridge) pairs.push([network, bridge]);
  }
  return Object.fromEntries(pairs);
}

/** @param bridgeDatapathType of the integration bridge where there is one: what is counts, not what was asked for. */
export function factsOf(
  root: { external_ids: ExternalIds; ovs_version: string | undefined },
  bridgeDatapathType: string | undefined,
  peer: string,
): ChassisFacts {
  const externalIds = root.external_ids;
  return {
    systemId: systemIdOf(externalIds),
    hostname: externalIds.get('hostname') ?? '',
    peer,
    ovsVersion: root.ovs_version ?? '',
    encapIp: encapIpOf(externalIds),
    bridgeMappings: bridgeMappingsOf(externalIds),
    // An empty datapath_type is the kernel's (ovs-vswitchd.conf.db(5), Bridge).
    datapathType: bridgeDatapathType === undefined ? datapathTypeOf(externalIds) : bridgeDatapathType || 'system',
  };
}
