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

export type Icmp6Frame = {
  ethSrc: string;
  ethDst: string;
  source: string;
  destination: string;
  type: number;
  /** What follows type, code and checksum. */
  body: Buffer;
};

/** 16 bytes of an IPv6 address. */
function ip6(text: string): Buffer {
  const [left = [], right = []] = text.split('::').map((half) => half.split(':').filter((w) => w !== ''));
  const words = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(words.map((w) => w.padStart(4, '0')).join(''), 'hex');
}

/** ICMPv6 (RFC 4443) in IPv6 with hop limit 255, its checksum right, in hex. */
export function icmp6Frame({ ethSrc, ethDst, source, destination, type, body }: Icmp6Frame): string {
  const icmp = Buffer.concat([Buffer.from([type, 0, 0, 0]), body]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(icmp.length);
  const pseudo = Buffer.concat([ip6(source), ip6(destination), length, Buffer.from([0, 0, 0, 58]), icmp]);
  let sum = 0;
  for (let i = 0; i < pseudo.length; i += 2) sum += pseudo.readUInt8(i) * 256 + (pseudo[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  icmp.writeUInt16BE(~sum & 0xffff, 2);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(0x60000000);
  header.writeUInt16BE(icmp.length, 4);
  header.writeUInt8(58, 6);
  header.writeUInt8(255, 7);
  return Buffer.concat([
    Buffer.from(`${mac(ethDst)}${mac(ethSrc)}86dd`, 'hex'),
    header,
    ip6(source),
    ip6(destination),
    icmp,
  ]).toString('hex');
}
