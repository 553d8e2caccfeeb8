/** MTU of a network: as large as the underlay and the encapsulation leave it, unless less is asked for; no less than its IP versions need. */
import type { Concern } from './concern.ts';

/** What every host of the version must take, in bytes (RFC 791, RFC 8200). */
const leastMtu = { 4: 576, 6: 1280 } as const;

export const mtu: Concern<'network'> = {
  fill(staging, draft) {
    draft.spec.mtu ??= staging.largestMtu;
  },

  conclude({ largestMtu }, draft, before, report) {
    const { mtu, ipv6Cidr } = draft.spec;
    if (mtu === undefined) return;
    const least = leastMtu[ipv6Cidr === undefined ? 4 : 6];
    if (mtu < least)
      report(
        '/mtu',
        'mtu.too-small',
        `${mtu} bytes are too few: ${ipv6Cidr === undefined ? 'IPv4' : 'IPv6'} needs ${least}`,
      );
    // What was taken once stays, though the underlay has become smaller since.
    if (largestMtu !== undefined && mtu > largestMtu && mtu !== before?.spec.mtu)
      report('/mtu', 'mtu.too-large', `${mtu} bytes are too many: between hypervisors there is room for ${largestMtu}`);
  },
};
