/** Follows a packet over the switches with ofproto/trace, tunnel included. */
import type { TestCore } from '../support/core.ts';
import type { DummySwitch } from '../support/open-vswitch.ts';
import type { Packet } from './reference.ts';

export type Fate = {
  /** Where it went, and with which MACs and time to live. */
  delivered: { host: number; ofport: number; macs: string; ttl: number } | undefined;
  text: string;
};

type Frame = { source: string; destination: string; ttl: number };

const said = ({ source, destination, ttl }: Frame) => ({ macs: `${source} > ${destination}`, ttl });

const encap = ['192.0.2.1', '192.0.2.2'];

export class Tracer {
  readonly #core: TestCore;
  readonly #switches: DummySwitch[];

  constructor(core: TestCore, switches: DummySwitch[]) {
    this.#core = core;
    this.#switches = switches;
  }

  /** @param routerMac of the router of the sender's tier */
  async send(host: number, ofport: number, p: Packet, routerMac: string): Promise<Fate> {
    const l4 = {
      tcp: `tcp,tcp_src=40000,tcp_dst=${p.port}`,
      udp: `udp,udp_src=40000,udp_dst=${p.port}`,
      icmp: 'icmp,icmp_type=8,icmp_code=0',
      icmpv6: 'icmp6,icmpv6_type=128,icmpv6_code=0',
    }[p.protocol];
    const ip = p.dstIp.includes(':')
      ? `${l4.replace(/^(tcp|udp),/, '$16,')},ipv6_src=${p.srcIp},ipv6_dst=${p.dstIp}`
      : `${l4},nw_src=${p.srcIp},nw_dst=${p.dstIp}`;
    const dstMac = p.dstMac === 'router' ? routerMac : p.dstMac;
    const first = await this.#trace(
      host,
      `in_port=${ofport},dl_src=${p.srcMac},dl_dst=${dstMac},${ip},nw_ttl=${p.ttl}`,
    );
    const out = this.#output(first);
    if (out === undefined) return { delivered: undefined, text: first };
    const frame = this.#frame(first, { source: p.srcMac, destination: dstMac, ttl: p.ttl });
    const tunnels = this.#tunnelsOf(host);
    const peer = tunnels.get(out);
    if (peer === undefined) return { delivered: { host, ofport: out, ...said(frame) }, text: first };
    const key = /TUN_ID\[0\.\.31\] is now (0x[0-9a-f]+)/.exec(first)?.[1];
    const back = [...this.#tunnelsOf(peer)].find(([, to]) => to === host)?.[0];
    if (key === undefined || back === undefined) throw new Error(`no key or way back:\n${first}`);
    const second = await this.#trace(
      peer,
      `in_port=${back},tun_id=${key},tun_src=${encap[host]},tun_dst=${encap[peer]},dl_src=${frame.source},dl_dst=${frame.destination},${ip},nw_ttl=${frame.ttl}`,
    );
    const text = `${first}\n=== on the peer ===\n${second}`;
    const end = this.#output(second);
    if (end === undefined) return { delivered: undefined, text };
    if (this.#tunnelsOf(peer).has(end)) throw new Error(`out of a tunnel and into one again:\n${text}`);
    return { delivered: { host: peer, ofport: end, ...said(this.#frame(second, frame)) }, text };
  }

  #trace(host: number, flow: string): Promise<string> {
    return this.#switches[host]!.appctl(
      'ofproto/trace',
      'br-int',
      flow,
      '--ct-next',
      'trk,new',
      '--ct-next',
      'trk,new',
    );
  }

  /** OpenFlow port of the last output of the trace. */
  #output(text: string): number | undefined {
    // OpenFlow never sends a frame back out of the port it came in by.
    if (text.includes('skipping output to input port')) return undefined;
    const port = /output port is (\d+)/.exec(text)?.[1] ?? [...text.matchAll(/output:(\d+)/g)].at(-1)?.[1];
    return port === undefined ? undefined : Number(port);
  }

  /** The frame as it leaves: changed as the actions said. The flow that ends a trace forgets what came behind a branch. */
  #frame(text: string, sent: Frame): Frame {
    const frame = { ...sent };
    for (const [, mac = '', field] of text.matchAll(/set_field:([0-9a-f:]{17})->eth_(src|dst)/g)) {
      if (field === 'src') frame.source = mac;
      else frame.destination = mac;
    }
    frame.ttl -= [...text.matchAll(/^\s+dec_ttl$/gm)].length;
    return frame;
  }

  /** OpenFlow port -> index of the peer. */
  #tunnelsOf(host: number): Map<number, number> {
    const member = this.#core.engine.fleet.byPath(`hypervisors/hv${host + 1}`);
    const found = new Map<number, number>();
    for (const [peer, ofport] of member?.tunnels ?? [])
      found.set(ofport, Number(this.#core.engine.fleet.name(peer).at(-1)) - 1);
    return found;
  }
}
