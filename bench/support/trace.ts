/**
 * What the switches really do, asked of ofproto/trace at both ends: the flows a controller has installed are judged, not
 * counted. The same for every controller whose tunnels are ports of the integration bridge.
 */
import type { DummySwitch } from '../../test/support/open-vswitch.ts';
import { deniedPort, encapIp, firstAllowedPort, type Place } from './shape.ts';

export type TraceOptions = {
  switches: DummySwitch[];
  /** Type of the tunnels' interfaces. */
  tunnel: 'gre' | 'geneve';
  /**
   * What the tunnel carries beside its addresses, in the notation of ofproto/trace, from the trace of a frame that was
   * sent into it; undefined where the trace does not say.
   */
  carried(trace: string): string | undefined;
};

const interfaces = async (s: DummySwitch, condition: string, columns: string): Promise<unknown[][]> => {
  const text = await s.vsctl('--format=json', `--columns=${columns}`, 'find', 'Interface', condition);
  return (JSON.parse(text) as { data: unknown[][] }).data;
};

export class Tracer {
  readonly #options: TraceOptions;
  /** Per hypervisor: OpenFlow port by hypervisor at the other end. */
  readonly #tunnels = new Map<number, Map<number, number>>();

  constructor(options: TraceOptions) {
    this.#options = options;
  }

  /**
   * From the sender's port to the receiver's, over a tunnel where there is one between them; and, where there is, once
   * more with what the sender's switch would send put straight into the receiver's, whatever the sender's said of it.
   * @throws Error with the traces when it is delivered though not allowed, or the reverse
   */
  async judge(from: Place, to: Place, allowed: boolean): Promise<void> {
    const port = allowed ? firstAllowedPort + 1 : deniedPort;
    const frame = `dl_src=${from.mac},dl_dst=${to.mac},tcp,nw_src=${from.ip},nw_dst=${to.ip},nw_ttl=64,tcp_src=40000,tcp_dst=${port}`;
    const what = `${from.ifaceId} on hv${from.host} to ${to.ifaceId} on hv${to.host}, TCP port ${port}`;
    const first = await this.#trace(from.host, `in_port=${await this.#ofport(from)},${frame}`);
    const out = outputOf(first);
    const way = (await this.#tunnelsOf(from.host)).get(to.host);
    let delivered = from.host === to.host && out === (await this.#ofport(to));
    let text = first;
    if (from.host !== to.host) {
      // The sender's switch may let out what the receiver's is to refuse, or refuse it itself.
      const tagged = out === way ? first : await this.#allowedTrace(from, frame);
      const second = await this.#arrive(from, to, tagged, frame);
      const received = outputOf(second) === (await this.#ofport(to));
      delivered = out === way && received;
      text = `${first}\n=== on the peer ===\n${second}`;
      if (received !== allowed) throw new Error(`${what}: ${received ? '' : 'not '}let in by the receiver\n${text}`);
    }
    if (delivered !== allowed) throw new Error(`${what}: ${delivered ? '' : 'not '}delivered\n${text}`);
  }

  /** How a frame that is allowed is marked on its way between the two: so would one be that slipped through. */
  async #allowedTrace(from: Place, frame: string): Promise<string> {
    const allowed = frame.replace(/tcp_dst=\d+/, `tcp_dst=${firstAllowedPort + 1}`);
    return await this.#trace(from.host, `in_port=${await this.#ofport(from)},${allowed}`);
  }

  async #arrive(from: Place, to: Place, sent: string, frame: string): Promise<string> {
    const carried = this.#options.carried(sent);
    if (carried === undefined) throw new Error(`what the tunnel carries is not told:\n${sent}`);
    const back = (await this.#tunnelsOf(to.host)).get(from.host);
    if (back === undefined) throw new Error(`hv${to.host} has no tunnel to hv${from.host}`);
    const outer = `tun_src=${encapIp(from.host)},tun_dst=${encapIp(to.host)}`;
    return await this.#trace(to.host, [`in_port=${back}`, carried, outer, frame].join());
  }

  #trace(host: number, flow: string): Promise<string> {
    const next = ['--ct-next', 'trk,new', '--ct-next', 'trk,new', '--ct-next', 'trk,new', '--ct-next', 'trk,new'];
    return this.#options.switches[host]!.appctl('ofproto/trace', 'br-int', flow, ...next);
  }

  async #ofport({ host, ifaceId }: Place): Promise<number> {
    return Number(await this.#options.switches[host]!.vsctl('get', 'Interface', ifaceId, 'ofport'));
  }

  async #tunnelsOf(host: number): Promise<Map<number, number>> {
    const known = this.#tunnels.get(host);
    if (known !== undefined) return known;
    const found = new Map<number, number>();
    const rows = await interfaces(this.#options.switches[host]!, `type=${this.#options.tunnel}`, 'ofport,options');
    for (const [ofport, [, options]] of rows as [number, [string, [string, string][]]][]) {
      const remote = new Map(options).get('remote_ip');
      const peer = this.#options.switches.findIndex((_, other) => encapIp(other) === remote);
      if (peer >= 0) found.set(peer, ofport);
    }
    this.#tunnels.set(host, found);
    return found;
  }
}

/** OpenFlow port of the last output of a trace. OpenFlow never sends a frame back out of the port it came in by. */
function outputOf(trace: string): number | undefined {
  if (trace.includes('skipping output to input port')) return undefined;
  const port = /output port is (\d+)/.exec(trace)?.[1] ?? [...trace.matchAll(/output:(\d+)/g)].at(-1)?.[1];
  return port === undefined ? undefined : Number(port);
}

/**
 * Pairs of one tier, as far as can be on different hypervisors, judged with a port that is allowed and one that is not.
 * @returns how many pairs. @throws Error from the first that is not as ordered
 */
export async function judgeSample(tracer: Tracer, places: readonly Place[], count: number): Promise<number> {
  let judged = 0;
  for (let i = 0; i < count; i++) {
    const from = places[Math.floor((i * places.length) / count)]!;
    const others = places.filter((p) => p.network === from.network && p.tier === from.tier && p !== from);
    const to = others.find((p) => p.host !== from.host) ?? others[0];
    if (to === undefined) continue;
    await tracer.judge(from, to, true);
    await tracer.judge(from, to, false);
    judged++;
  }
  return judged;
}

/** A tunnel that carries a key and nothing else. */
export function carriedKey(trace: string): string | undefined {
  const final = [...trace.matchAll(/Final flow: (.*)/g)].at(-1)?.[1] ?? '';
  return /\btun_id=[^,]+/.exec(final)?.[0];
}
