/** Traces a packet of a port: its neighbour question first, then the packet, over switches as they are now. */
import { formatMac, parseMac } from '../intent/addresses.ts';
import { formatIp, parseIp } from '../intent/ip.ts';
import type { Path, View } from '../intent/model.ts';
import { networkOf } from '../intent/path.ts';
import { canonicalProtocol } from '../intent/protocols.ts';
import { cookieResource } from '../pipeline/cookie.ts';
import { fieldProblem } from '../problems.ts';
import type { Answer, Asked, Neighbour, Verdict } from './answer.ts';
import { Connections } from './connections.ts';
import { absent, explain } from './explain.ts';
import { sendLive } from './live.ts';
import { opening } from './orders.ts';
import type { Packet } from './packet.ts';
import { answeredMac, neighbourRequest, probePacket } from './probe.ts';
import { firstHop, pairOf, type Resolved, resolve, type TraceRequest } from './request.ts';
import { describeHops } from './steps.ts';
import { type Surroundings, SwitchesNow } from './surroundings.ts';
import { type Assumed, type End, joined, passedOn, type Walk, walk } from './walk.ts';

/** A trace that got as far as its first packet, with all it went through. */
export type Followed = { asked: Resolved; mac: number; walk: Walk; verdict: Verdict };

export class Tracer {
  readonly #around: Surroundings;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /**
   * @throws Problem trace.port-not-bound, resource.not-found, address.invalid or request.invalid about a field;
   * hypervisor.not-connected when the sender's switch cannot be read
   */
  async trace(request: TraceRequest): Promise<Answer> {
    const asked = resolve(this.#around.view, this.#around.placement, request);
    const switches = new SwitchesNow(this.#around);
    const neighbour = await this.#neighbour(switches, asked);
    const common = { asked: this.#asked(asked) };
    if (neighbour.mac === undefined)
      return { ...common, neighbour: neighbour.told, hops: neighbour.hops, verdict: neighbour.verdict! };
    const { walk: walked, verdict, before } = await this.follow(switches, asked, neighbour.mac);
    return {
      ...common,
      neighbour: neighbour.told,
      hops: describeHops(this.#around, walked),
      verdict,
      ...(before === undefined ? {} : { opening: before }),
    };
  }

  /**
   * The same, with the packet really sent.
   * @throws Problem as `trace` does; request.invalid about /live for a packet that opens no connection; trace.not-possible
   */
  async traceLive(request: TraceRequest): Promise<Answer> {
    if (request.state !== 'new')
      throw fieldProblem('request.invalid', '/live', 'Only a packet that opens a connection can be sent');
    const asked = resolve(this.#around.view, this.#around.placement, request);
    const answer = await this.trace(request);
    const mac = answer.neighbour?.mac === undefined ? undefined : parseMac(answer.neighbour.mac);
    if (mac === undefined) {
      const text = 'Not sent: the sender would have no MAC to send it to';
      return { ...answer, live: { sent: false, arrived: false, text } };
    }
    // Read anew just before: what other packets count meanwhile is not to be taken for ours.
    const packet = packetOf(asked, mac);
    const { hypervisor } = asked.sender.bound;
    const start = { hypervisor, packet: packet.copy() };
    const walked = await this.#throughHops(new SwitchesNow(this.#around), start, new Map());
    const hops = describeHops(this.#around, walked);
    const verdict = explain(this.#around, asked, walked);
    const live = await sendLive(this.#around.plugin, hypervisor, packet, walked, hops, verdict);
    return { ...answer, hops, verdict, live };
  }

  /** The packet itself, towards that MAC; of a connection that is up, after the packet that opened it. */
  async follow(switches: SwitchesNow, asked: Resolved, mac: number): Promise<Followed & { before?: Verdict }> {
    if (asked.state === 'new') return await this.#send(switches, asked, mac, new Map());
    const opener = asked.state === 'reply' ? this.#opener(asked) : { ...asked, state: 'new' as const };
    const openerMac = asked.state === 'reply' ? (await this.#neighbour(switches, opener)).mac : mac;
    if (openerMac === undefined) {
      const sent = await this.#send(switches, asked, mac, new Map());
      return sent;
    }
    const first = await this.#send(switches, opener, openerMac, new Map());
    const sent = await this.#send(switches, asked, mac, committed(first.walk));
    return { ...sent, before: first.verdict };
  }

  async #send(switches: SwitchesNow, asked: Resolved, mac: number, assumed: Assumed): Promise<Followed> {
    const { hypervisor } = asked.sender.bound;
    const walked = await this.#throughHops(switches, { hypervisor, packet: packetOf(asked, mac) }, assumed);
    return { asked, mac, walk: walked, verdict: explain(this.#around, asked, walked) };
  }

  /** Ports of steering rules are taken to pass on what they are given: that is what they are there for. */
  async #throughHops(
    switches: SwitchesNow,
    start: { hypervisor: number; packet: Packet },
    assumed: Assumed,
  ): Promise<Walk> {
    const { view, placement } = this.#around;
    let walked = await walk(switches, start, assumed);
    for (let passed = 0; passed < mostSteered; passed++) {
      const at = walked.ends.find((end) => end.kind === 'delivered' && steeredTo(view, walked, end));
      if (at?.kind !== 'delivered') break;
      const bound = placement.get(at.port);
      const onward = bound && passedOn(at.packet, bound.ofport);
      if (bound === undefined || onward === undefined) break;
      walked = joined(walked, at, await walk(switches, { hypervisor: bound.hypervisor, packet: onward }, assumed));
    }
    return walked;
  }

  /** The request a reply answers: from the other port. */
  #opener(asked: Resolved): Resolved {
    const { sender, receiver } = asked;
    const bound = receiver && this.#around.placement.get(receiver.port.path);
    if (receiver === undefined || bound === undefined) return { ...asked, state: 'new' };
    return {
      ...opening(asked),
      sender: { ...receiver, bound },
      receiver: { port: sender.port, mac: sender.mac, ip: sender.ip },
      target: sender.ip,
      state: 'new',
    };
  }

  /** Asks the switch as the VM would, by ARP or neighbour solicitation. */
  async #neighbour(
    switches: SwitchesNow,
    asked: Resolved,
  ): Promise<{ mac: number | undefined; told: Neighbour; hops: Answer['hops']; verdict: Verdict | undefined }> {
    const { sender, target } = asked;
    const hop = firstHop(this.#around.view, sender, target);
    const network = networkOf(sender.port.path)!;
    if (hop === undefined) {
      const text = `Tier ${sender.port.spec.tier} has no IPv${target.family} prefix to route from`;
      const needs = [`ipv6Cidr of ${network}/tiers/${sender.port.spec.tier}`];
      const verdict: Verdict = { outcome: 'refused', reason: 'no-answer', text, decisions: [], needs };
      return { mac: undefined, told: { asked: formatIp(target), text }, hops: [], verdict };
    }
    const inPort = sender.bound.ofport;
    // Of its own: an address it may not send from, which is what may be traced, is no source of a question either.
    const own = sender.port.spec.ips.map(parseIp).find((ip) => ip?.family === target.family) ?? sender.ip;
    const question = neighbourRequest({ inPort, mac: sender.mac, source: own, target: hop });
    const walked = await walk(switches, { hypervisor: sender.bound.hypervisor, packet: question });
    const answer = walked.ends.find((end) => end.kind === 'answered');
    const mac = answer === undefined ? undefined : answeredMac(answer.packet);
    const who = formatIp(hop) === formatIp(target) ? 'of the same tier' : 'the gateway of its tier';
    if (mac !== undefined) {
      const text = `${formatIp(hop)} (${who}) is at ${formatMac(mac)}`;
      return { mac, told: { asked: formatIp(hop), mac: formatMac(mac), text }, hops: [], verdict: undefined };
    }
    // Of an address that several ports may have, the VM that has it answers: nobody else knows which that is.
    const shared = walked.ends.find((end) => end.kind === 'delivered');
    const claimant = shared?.kind === 'delivered' ? this.#around.view.getAs('port', shared.port) : undefined;
    const pair = claimant && pairOf(claimant, hop);
    const virtual = claimant && pair && parseMac(pair.mac ?? claimant.spec.mac);
    if (virtual !== undefined) {
      const text = `${formatIp(hop)} is asked of the ports that may have it, and taken to be at ${formatMac(virtual)}`;
      return {
        mac: virtual,
        told: { asked: formatIp(hop), mac: formatMac(virtual), text },
        hops: [],
        verdict: undefined,
      };
    }
    const text = `Nobody answers for ${formatIp(hop)} (${who}): the sender has no MAC to send to`;
    const needs = hop === target ? absent(this.#around, asked) : [`Status programmed of ${network}`];
    const verdict: Verdict = { outcome: 'refused', reason: 'no-answer', text, decisions: [], needs };
    return { mac: undefined, told: { asked: formatIp(hop), text }, hops: describeHops(this.#around, walked), verdict };
  }

  #asked({ sender, receiver, target, ...asked }: Resolved): Asked {
    const protocol = canonicalProtocol(String(asked.protocol)) ?? String(asked.protocol);
    return {
      from: sender.port.path,
      ...(receiver === undefined ? {} : { to: receiver.port.path as Path }),
      source: formatIp(sender.ip),
      destination: formatIp(target),
      protocol,
      ...(['tcp', 'udp', 'sctp'].includes(protocol)
        ? { sourcePort: asked.sourcePort, destinationPort: asked.destinationPort }
        : {}),
      ...(protocol.startsWith('icmp') ? { icmp: asked.icmp } : {}),
      state: asked.state,
      length: asked.length,
    };
  }
}

/** Ports that a steering rule may name. */
const mostSteered = 8;

/** Whether the port is one that a steering rule, by whose flows the packet went on this switch, sends it through. */
function steeredTo(view: View, { hops }: Walk, end: Extract<End, { kind: 'delivered' }>): boolean {
  const name = end.port.slice(end.port.lastIndexOf('/') + 1);
  // The switch before may be the one that steered.
  const near = hops.slice(Math.max(0, end.hop - 1), end.hop + 1);
  return near.some(({ events }) =>
    events.some((e) => {
      if (e.kind !== 'lookup' || e.flow === undefined) return false;
      const rule = view.byNumber(cookieResource(e.flow.cookie));
      return rule?.kind === 'steering' && rule.spec.via.includes(name) && rule.parent === networkOf(end.port);
    }),
  );
}

function packetOf({ sender, target, ...asked }: Resolved, mac: number): Packet {
  return probePacket(sender.bound.ofport, {
    sourceMac: sender.mac,
    targetMac: mac,
    source: sender.ip,
    target,
    protocol: asked.protocol,
    sourcePort: asked.sourcePort,
    targetPort: asked.destinationPort,
    icmp: asked.icmp,
    ttl: asked.ttl,
    length: asked.length,
    state: asked.state,
  });
}

/** Every connection a walk left behind, by switch: what a later packet of it finds. */
function committed({ hops }: Walk): Assumed {
  const found = new Map<number, Connections>();
  for (const { hypervisor, events } of hops) {
    const connections = found.get(hypervisor) ?? new Connections();
    for (const e of events) if (e.kind === 'commit') connections.establish(e);
    found.set(hypervisor, connections);
  }
  return found;
}
