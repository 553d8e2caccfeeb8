/** From where plain tcp is accepted. */
import { BlockList, isIP } from 'node:net';

export type Trust = {
  /** Prefixes in CIDR notation, beside loopback. */
  trustedNetworks: readonly string[];
  insecure: boolean;
};

/** @throws Error naming the prefix that is none. */
export function trusts({ trustedNetworks, insecure }: Trust): (remoteAddress: string) => boolean {
  const trusted = new BlockList();
  trusted.addSubnet('127.0.0.0', 8, 'ipv4');
  trusted.addAddress('::1', 'ipv6');
  for (const prefix of trustedNetworks) {
    const [address = '', bits = '', ...rest] = prefix.split('/');
    const family = isIP(address);
    if (family === 0 || rest.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128)) {
      throw new Error(`trustedNetworks: "${prefix}" is no prefix such as 192.0.2.0/24 or 2001:db8::/32`);
    }
    trusted.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
  }
  return (remoteAddress) => {
    if (insecure) return true;
    const address = plainAddress(remoteAddress);
    const family = isIP(address);
    return family !== 0 && trusted.check(address, family === 4 ? 'ipv4' : 'ipv6');
  };
}

/** IPv4 as IPv4 where a dual-stack socket shows it as `::ffff:192.0.2.1`, and without the zone of a link-local address. */
export function plainAddress(address: string): string {
  const bare = address.split('%')[0]!;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare);
  return mapped ? mapped[1]! : bare;
}
