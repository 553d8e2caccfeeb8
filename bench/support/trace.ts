/**
 * What the switches really do, asked of ofproto/trace at both ends: the flows a controller has installed are judged, not
 * counted. The same for every controller whose tunnels are ports of the integration bridge.
 */
import type { DummySwitch } from '../../test/support/open-vswitch.ts';
import {
  allowedPort,
  type CloudShape,
  deniedPort,
  encapIp,
  otherTier,
  type Place,
  type Tier,
  tierGateway,
} from './shape.ts';

export type TraceOptions = {
  switches: DummySwitch[];
  /** Type of the tunnels' interfaces. */
  tunnel: 'gre' | 'geneve';
  /**
   * What the tunnel carries beside its addresses, in the notation of ofproto/trace, from the trace of a frame that was
   * sent into it; undefined where the trace does not say.
   */
  carried(trace: string): string | undefined;
  /** MAC of the gateway that the VMs of this port's tier know; asked only where pairs are of two tiers. */
  routerMac(from: Place): Promise<string>;
  shape: CloudShape;
};

/** What of a frame is not the same at both ends: a router is between them, or none is. */
type Link = { source: string; destination: string; ttl: number };

const interfaces = async (s: DummySwitch, condition: string, columns: string): Promise<unknown[][]> => {
  const text = await s.vsctl('--format=json', `--columns=${columns}`, 'find', 'Interface', condition);
  return (JSON.parse(text) as { data: unknown[][] }).data;
};

export class Tracer {
  readonly #options: TraceOptions;
  /** Per hypervisor: OpenFlow port by hypervisor at the other end. */
  readonly #tunnels = new Map<number, Map<number, number>>();
  readonly #routerMacs = new Map<string, string>();

  constructor(options: TraceOptions) {
    this.#options = options;
  }

  get shape(): CloudShape {
    return this.#options.shape;
  }

  /**
   * From the sender's port to the receiver's, through the router where they are of two tiers, over a tunnel where there is
   * one between them; and, where there is, once more with what the sender's switch would send put straight into the
   * receiver's, whatever the sender's said of it.
   * @throws Error with the traces when it is delivered though not allowed, or the reverse
   */
  async judge(from: Place, to: Place, allowed: boolean, family: 4 | 6 = 4): Promise<void> {
    const open = allowedPort(this.#options.shape, from.tier, to.tier);
    const port = allowed ? open : deniedPort;
    const destination = from.tier === to.tier ? to.mac : await this.#routerMac(from);
    const link: Link = { source: from.mac, destination, ttl: 64 };
    const what = `${from.ifaceId} on hv${from.host} to ${to.ifaceId} on hv${to.host}, IPv${family}, TCP port ${port}`;
    const enters = `in_port=${await this.#ofport(from)}`;
    const first = await this.#trace(from.host, `${enters},${frame(from, to, link, port, family)}`);
    const out = outputOf(first);
    const way = (await this.#tunnelsOf(from.host)).get(to.host);
    let delivered = from.host === to.host && out === (await this.#ofport(to));
    let text = first;
    if (from.host !== to.host) {
      // The sender's switch may let out what the receiver's is to refuse, or refuse it itself: then what it does with one
      // that is allowed tells how a frame would be marked that slipped through.
      const sent =
        out === way ? first : await this.#trace(from.host, `${enters},${frame(from, to, link, open, family)}`);
      const second = await this.#arrive(from, to, sent, port, family);
      const received = outputOf(second) === (await this.#ofport(to));
      delivered = out === way && received;
      text = `${first}\n=== on the peer ===\n${second}`;
      if (received !== allowed) throw new Error(`${what}: ${received ? '' : 'not '}let in by the receiver\n${text}`);
    }
    if (delivered !== allowed) throw new Error(`${what}: ${delivered ? '' : 'not '}delivered\n${text}`);
  }

  async #arrive(from: Place, to: Place, sent: string, port: number, family: 4 | 6): Promise<string> {
    const carried = this.#options.carried(sent);
    const link = linkOf(sent);
    if (carried === undefined || link === undefined) throw new Error(`what the tunnel carries is not told:\n${sent}`);
    const back = (await this.#tunnelsOf(to.host)).get(from.host);
    if (back === undefined) throw new Error(`hv${to.host} has no tunnel to hv${from.host}`);
    const outer = `tun_src=${encapIp(from.host)},tun_dst=${encapIp(to.host)}`;
    return await this.#trace(to.host, [`in_port=${back}`, carried, outer, frame(from, to, link, port, family)].join());
  }

  async #routerMac(from: Place): Promise<string> {
    const key = `${from.network} ${from.tier}`;
    const known = this.#routerMacs.get(key) ?? (await this.#options.routerMac(from));
    this.#routerMacs.set(key, known);
    return known;
  }

  #trace(host: number, flow: string): Promise<string> {
    const next = Array.from({ length: 8 }, () => ['--ct-next', 'trk,new']).flat();
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

function frame(from: Place, to: Place, { source, destination, ttl }: Link, tcpPort: number, family: 4 | 6): string {
  const ip = family === 4 ? `tcp,nw_src=${from.ip},nw_dst=${to.ip}` : `tcp6,ipv6_src=${from.ipv6},ipv6_dst=${to.ipv6}`;
  return `dl_src=${source},dl_dst=${destination},${ip},nw_ttl=${ttl},tcp_src=40000,tcp_dst=${tcpPort}`;
}

/** As the frame was when it left: what was rewritten for the datapath, and else as the flow its trace ends with. */
function linkOf(trace: string): Link | undefined {
  const final = finalFlow(trace);
  const last = (pattern: RegExp, field: string): string | undefined =>
    [...trace.matchAll(pattern)].at(-1)?.[1] ?? new RegExp(`\\b${field}=([^,]+)`).exec(final)?.[1];
  const source = last(/set\(eth\(src=([0-9a-f:]+)/g, 'dl_src');
  const destination = last(/set\(eth\((?:src=[0-9a-f:]+,)?dst=([0-9a-f:]+)/g, 'dl_dst');
  const ttl = last(/set\(ipv[46]\([^)]*(?:ttl|hlimit)=(\d+)/g, 'nw_ttl');
  if (source === undefined || destination === undefined || ttl === undefined) return undefined;
  return { source, destination, ttl: Number(ttl) };
}

/** Of the last of the passages that connection tracking cuts a trace into. */
function finalFlow(trace: string): string {
  const final = [...trace.matchAll(/^Final flow: (.*)/gm)].at(-1)?.[1] ?? '';
  if (final !== 'unchanged') return final;
  return [...trace.matchAll(/^Flow: (.*)/gm)].at(-1)?.[1] ?? '';
}

/** OpenFlow port of the last output of a trace. OpenFlow never sends a frame back out of the port it came in by. */
function outputOf(trace: string): number | undefined {
  if (trace.includes('skipping output to input port')) return undefined;
  const port = /output port is (\d+)/.exec(trace)?.[1] ?? [...trace.matchAll(/output:(\d+)/g)].at(-1)?.[1];
  return port === undefined ? undefined : Number(port);
}

/**
 * Pairs, as far as can be on different hypervisors, judged with a port that is allowed and one that is not; where the
 * shape has it, every second one through the router, and by turns in both IP versions.
 * @returns how many pairs. @throws Error from the first that is not as ordered
 */
export async function judgeSample(
  tracer: Tracer,
  places: readonly Place[],
  count: number,
): Promise<{ bridged: number; routed: number }> {
  const judged = { bridged: 0, routed: 0 };
  const { routed, dualStack } = tracer.shape;
  for (let i = 0; i < count; i++) {
    const from = places[Math.floor((i * places.length) / count)]!;
    const through = routed === true && i % 2 === 1;
    const tier: Tier = through ? otherTier(from.tier) : from.tier;
    const others = places.filter((p) => p.network === from.network && p.tier === tier && p !== from);
    const to = others.find((p) => p.host !== from.host) ?? others[0];
    if (to === undefined) continue;
    const family = dualStack && i % 4 >= 2 ? 6 : 4;
    await tracer.judge(from, to, true, family);
    await tracer.judge(from, to, false, family);
    judged[through ? 'routed' : 'bridged']++;
  }
  return judged;
}

/** Of switches that Keyway programs, with its GRE tunnels. */
export function keywayTracer(shape: CloudShape, switches: DummySwitch[]): Tracer {
  const routerMac = (from: Place): Promise<string> => gatewayMac(switches[from.host]!, from);
  return new Tracer({ shape, switches, tunnel: 'gre', carried: carriedKey, routerMac });
}

/** A tunnel that carries a key and nothing else. */
export function carriedKey(trace: string): string | undefined {
  // Behind check_pkt_larger the flow that a trace ends with is the one from before.
  const moved = [...trace.matchAll(/NXM_NX_TUN_ID\[0\.\.31\] is now (0x[0-9a-f]+)/g)].at(-1)?.[1];
  return moved === undefined ? /\btun_id=[^,]+/.exec(finalFlow(trace))?.[0] : `tun_id=${moved}`;
}

/**
 * The MAC that answers an ARP request for the gateway: of a switch whose flows answer it.
 * @throws Error with the trace where nothing does
 */
async function gatewayMac(s: DummySwitch, from: Place): Promise<string> {
  const ofport = (await s.vsctl('get', 'Interface', from.ifaceId, 'ofport')).trim();
  const addresses = `arp_spa=${from.ip},arp_tpa=${tierGateway[from.tier]},arp_sha=${from.mac},arp_tha=00:00:00:00:00:00`;
  const request = `in_port=${ofport},dl_src=${from.mac},dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1,${addresses}`;
  const trace = await s.appctl('ofproto/trace', 'br-int', request);
  const mac = /\barp_sha=([^,]+)/.exec(finalFlow(trace))?.[1];
  if (mac === undefined || !finalFlow(trace).includes('arp_op=2')) throw new Error(`no answer to ARP:\n${trace}`);
  return mac;
}
