/** Keys of patches, as the switch plugin tells their ports under. Numbers are resource numbers. */
export const providerPatch = (providerNetwork: number): string => `provider:${providerNetwork}`;
export const vlanPatch = (vlanAttachment: number): string => `vlan:${vlanAttachment}`;

/** The resource a key is of; undefined: none of these. */
export function patchedResource(key: string): number | undefined {
  const found = /^(?:provider|vlan):(\d+)$/.exec(key);
  return found === null ? undefined : Number(found[1]);
}
