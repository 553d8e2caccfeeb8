/** What `ovs-appctl ofproto/trace` says, as the look-ups and outputs it went through. */
import type { FieldName } from '../../src/pipeline/flow.ts';
import type { TraceEvent } from '../../src/trace/interpreter.ts';
import type { Packet } from '../../src/trace/packet.ts';

/**
 * `TABLE cookie COOKIE`, `TABLE miss`, `out PORT` (PORT in_port where it leaves by the port it came in by), `ttl`, `bundle`, and
 * `live PORT` of bundle_load.
 */
export function stepsOfText(text: string, inPort: number): string[] {
  const steps: string[] = [];
  const lines = text.split('\n');
  const skipped = (at: number): boolean =>
    />> (skipping output to input port|Nonexistent output port)/.test(lines[at] ?? '');
  let elsewhere = false;
  lines.forEach((line, at) => {
    // What a patch leads to is another bridge's affair.
    const bridge = /^\s*bridge\("([^"]+)"\)$/.exec(line);
    if (bridge !== null) elsewhere = bridge[1] !== 'br-int';
    if (elsewhere) return;
    const look = /^\s*(\d+)\. (?:No match\.|.*?priority \d+(?:, cookie (0x[0-9a-f]+))?$)/.exec(line);
    if (look !== null) steps.push(`${look[1]} ${look[2] === undefined ? 'miss' : `cookie ${look[2]}`}`);
    const out = /^\s*output:(\d+)$/.exec(line) ?? /^\s*-> output port is (\d+)$/.exec(line);
    if (out !== null && !skipped(at + 1)) steps.push(`out ${out[1]}`);
    // Which port it took is not told.
    if (/^\s*bundle\(/.test(line)) steps.push('bundle');
    if (/^\s*bundle_load\(/.test(line)) steps.push(`live ${/is now 0x([0-9a-f]+)/.exec(lines[at + 1]!)?.[1]}`);
    if (/^\s*IN_PORT$/.test(line) && !skipped(at + 1)) steps.push(`out ${inPort}`);
    if (line.includes('decrement TTL exception')) steps.push('ttl');
  });
  return steps;
}

/** The same of a run of our own; port 0 is none. */
export function stepsOfEvents(events: readonly TraceEvent[]): string[] {
  return events.flatMap((e, at): string[] => {
    const before = events[at - 1];
    if (e.kind === 'liveness') return [e.output ? 'bundle' : `live ${(e.chosen ?? 0xffff).toString(16)}`];
    if (e.kind === 'output' && before?.kind === 'liveness' && before.output && before.chosen !== undefined) return [];
    if (e.kind === 'lookup')
      return [`${e.table} ${e.flow === undefined ? 'miss' : `cookie 0x${e.flow.cookie.toString(16)}`}`];
    if (e.kind === 'output') return e.port === 0 ? [] : [`out ${e.port}`];
    return e.kind === 'ttl-expired' ? ['ttl'] : [];
  });
}

/** `--ct-next` of each recirculation, as our own run assumed it. */
export function ctNext(events: readonly TraceEvent[]): string[] {
  const names = ['new', 'est', 'rel', 'rpl', 'inv', 'trk', 'snat', 'dnat'];
  return events.flatMap((e) =>
    e.kind === 'track' ? ['--ct-next', names.filter((_, bit) => (e.state & (1 << bit)) !== 0).join()] : [],
  );
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;
const mac = (value: bigint): string =>
  value
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?!$)/g, '$&:');
const ip4 = (value: bigint): string => [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
const ip6 = (value: bigint): string =>
  value
    .toString(16)
    .padStart(32, '0')
    .replace(/....(?!$)/g, '$&:');

const names: Record<string, [string, (value: bigint) => string]> = {
  in_port: ['in_port', String],
  eth_src: ['dl_src', mac],
  eth_dst: ['dl_dst', mac],
  eth_type: ['dl_type', hex],
  ip_proto: ['nw_proto', String],
  ip_ttl: ['nw_ttl', String],
  ipv4_src: ['nw_src', ip4],
  ipv4_dst: ['nw_dst', ip4],
  ipv6_src: ['ipv6_src', ip6],
  ipv6_dst: ['ipv6_dst', ip6],
  tcp_src: ['tcp_src', String],
  tcp_dst: ['tcp_dst', String],
  tcp_flags: ['tcp_flags', hex],
  udp_src: ['udp_src', String],
  udp_dst: ['udp_dst', String],
  sctp_src: ['sctp_src', String],
  sctp_dst: ['sctp_dst', String],
  icmpv4_type: ['icmp_type', String],
  icmpv4_code: ['icmp_code', String],
  icmpv6_type: ['icmpv6_type', String],
  icmpv6_code: ['icmpv6_code', String],
  arp_op: ['arp_op', String],
  arp_spa: ['arp_spa', ip4],
  arp_tpa: ['arp_tpa', ip4],
  arp_sha: ['arp_sha', mac],
  arp_tha: ['arp_tha', mac],
  nd_target: ['nd_target', ip6],
  nd_sll: ['nd_sll', mac],
  nd_tll: ['nd_tll', mac],
  tun_id: ['tun_id', hex],
};

/** The packet in the notation of ofproto/trace, which wants protocols before their fields. */
export function notation(packet: Packet): string {
  const values = new Map(packet.entries());
  for (const [field, value] of values)
    if (!(field in names) && value !== 0n) throw new Error(`no notation for ${field}`);
  return Object.entries(names)
    .flatMap(([field, [name, format]]) => {
      const value = values.get(field as FieldName);
      return value === undefined ? [] : [`${name}=${format(value)}`];
    })
    .join();
}
