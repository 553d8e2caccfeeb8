/** Follows a packet with ofproto/trace over switches with gateways: through tunnels, out to the provider network, and in again. */
import type { TestCore } from '../support/core.ts';
import type { DummySwitch } from '../support/open-vswitch.ts';
import type { Flying } from './outside-reference.ts';

export type Frame = Flying & { srcMac: string; dstMac: string };

export type End = {
  /** Where, and by what: a port of a VM, or the patch to the provider network. */
  host: string;
  ofport: number;
  outside: boolean;
  frame: Frame;
};

export type Walked = { end: End | undefined; text: string };

export class Walk {
  /** Whom every switch holds for dead. A trace does not say which member a bundle takes. */
  dead = 'nobody';
  readonly #core: TestCore;
  readonly #switches: ReadonlyMap<string, DummySwitch>;

  constructor(core: TestCore, switches: ReadonlyMap<string, DummySwitch>) {
    this.#core = core;
    this.#switches = switches;
  }

  member(host: string) {
    return this.#core.engine.fleet.byPath(`hypervisors/${host}`)!;
  }

  patchOf(host: string): number {
    const [ofport] = this.member(host).patches.values();
    if (ofport === undefined || ofport === 0) throw new Error(`${host} has no patch`);
    return ofport;
  }

  async send(host: string, inPort: number, frame: Frame, tunnel = ''): Promise<Walked> {
    const { src, dst, srcMac, dstMac, protocol, port, ttl } = frame;
    const l4 = {
      tcp: `tcp,tcp_src=40000,tcp_dst=${port},tcp_flags=syn`,
      udp: `udp,udp_src=40000,udp_dst=${port}`,
      icmp: 'icmp,icmp_type=8,icmp_code=0',
    }[protocol];
    const text = await this.trace(
      host,
      `in_port=${inPort},${tunnel}dl_src=${srcMac},dl_dst=${dstMac},${l4},nw_src=${src},nw_dst=${dst},nw_ttl=${ttl}`,
    );
    const peers = this.#tunnelsOf(host);
    const out = lastOutput(text, (ofport) => peers.get(ofport) !== this.dead);
    if (out === undefined) return { end: undefined, text };
    const left = { ...frame, ...frameOf(text) };
    const peer = peers.get(out.ofport);
    if (peer === undefined) return { end: { host, ofport: out.ofport, outside: out.outside, frame: left }, text };
    const key = /TUN_ID\[0\.\.31\] is now (0x[0-9a-f]+)/.exec(text)?.[1];
    const back = [...this.#tunnelsOf(peer)].find(([, to]) => to === host)?.[0];
    if (key === undefined || back === undefined) throw new Error(`no key or way back:\n${text}`);
    const addresses = `tun_src=${this.#encap(host)},tun_dst=${this.#encap(peer)}`;
    const onward = await this.send(peer, back, left, `tun_id=${key},${addresses},`);
    return { end: onward.end, text: `${text}\n=== ${host} > ${peer} ===\n${onward.text}` };
  }

  trace(host: string, flow: string): Promise<string> {
    const next = Array.from({ length: 8 }, () => ['--ct-next', 'trk,new']).flat();
    return this.#switches.get(host)!.appctl('ofproto/trace', 'br-int', flow, ...next);
  }

  #encap(host: string): string {
    return this.member(host).facts!.encapIp!;
  }

  /** OpenFlow port -> the other end. */
  #tunnelsOf(host: string): Map<number, string> {
    const { fleet } = this.#core.engine;
    return new Map([...this.member(host).tunnels].map(([peer, ofport]) => [ofport, fleet.name(peer)]));
  }
}

/** The output that a trace ends in; none where the frame would leave by the port it came in by. */
function lastOutput(
  text: string,
  isLive: (ofport: number) => boolean,
): { ofport: number; outside: boolean } | undefined {
  const lines = text.split('\n');
  for (let at = lines.length - 1; at >= 0; at--) {
    const bundle = /^\s*bundle\(.*members:([\d,]+)\)/.exec(lines[at]!)?.[1];
    if (bundle !== undefined && lines[at + 1]?.includes('-> output to') === true) {
      const ofport = bundle.split(',').map(Number).find(isLive);
      return ofport === undefined ? undefined : { ofport, outside: false };
    }
    const out = /^\s*output:(\d+)$|-> output port is (\d+)$/.exec(lines[at]!);
    if (out === null) continue;
    if (/skipping output|Nonexistent/.test(lines[at + 1] ?? '')) return undefined;
    const outside = lines.slice(at).some((line) => line.includes('bridge("br-ex")'));
    return { ofport: Number(out[1] ?? out[2]), outside };
  }
  return undefined;
}

/** The frame as the last flow that a trace shows has it. */
function frameOf(text: string): Partial<Frame> {
  const flows = [...text.matchAll(/^(?:Final flow|Flow): (?!unchanged)(.*)$/gm)];
  const last = flows.at(-1)?.[1] ?? '';
  const field = (name: string): string => new RegExp(`\\b${name}=([^,]+)`).exec(last)?.[1] ?? '';
  const port = field('tp_dst');
  return {
    src: field('nw_src'),
    dst: field('nw_dst'),
    srcMac: field('dl_src'),
    dstMac: field('dl_dst'),
    ttl: Number(field('nw_ttl')),
    ...(port === '' ? {} : { port: Number(port) }),
  };
}
