/** Frames a VM has no business sending. */

const mac = (text: string): string => text.replaceAll(':', '');
const ip = (text: string): string =>
  text
    .split('.')
    .map((o) => Number(o).toString(16).padStart(2, '0'))
    .join('');

export type ArpFrame = {
  ethSrc: string;
  sha: string;
  spa: string;
  tpa: string;
  ethDst?: string;
  op?: 1 | 2;
  vlan?: number;
};

/** RFC 826 over Ethernet, padded to 60 bytes, in hex. */
export function arpFrame({ ethSrc, sha, spa, tpa, ethDst = 'ff:ff:ff:ff:ff:ff', op = 1, vlan }: ArpFrame): string {
  const tag = vlan === undefined ? '' : `8100${vlan.toString(16).padStart(4, '0')}`;
  const body = `000108000604000${op}${mac(sha)}${ip(spa)}${'0'.repeat(12)}${ip(tpa)}`;
  return `${mac(ethDst)}${mac(ethSrc)}${tag}0806${body}`.padEnd(120, '0');
}
