/** Traces a packet: the neighbour question of its sender first, then the packet, over switches as they are now. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import { formatMac, parseMac } from '../intent/addresses.ts';
import { formatIp, parseIp } from '../intent/ip.ts';
import { networkOf, tenantOf } from '../intent/path.ts';
import { canonicalProtocol } from '../intent/protocols.ts';
import { fieldProblem } from '../problems.ts';
import type { Answer, Asked, Neighbour, Verdict } from './answer.ts';
import { Connections } from './connections.ts';
import { absent, explain } from './explain.ts';
import { atReceiver, translations } from './explain-outside.ts';
import { backFromOutside, type Inward, inboundOf, someRouter, straightTo } from './inward.ts';
import { sendLive } from './live.ts';
import { opening } from './orders.ts';
import { missingNatRule, resolveInbound } from './outside.ts';
import type { Packet } from './packet.ts';
import { answeredMac, neighbourRequest, probePacket } from './probe.ts';
import { firstHop, homeOf, pairOf, type Resolved, resolve, type TraceRequest } from './request.ts';
import { throughSteering } from './steered.ts';
import { describeHops } from './steps.ts';
import { type Surroundings, SwitchesNow } from './surroundings.ts';
import { type Assumed, type Walk, walk } from './walk.ts';

/** A trace that got as far as its first packet, with all it went through. */
export type Followed = { asked: Resolved; mac: number; walk: Walk; verdict: Verdict };

/** What somebody was told when it asked for the MAC to send to. */
type Told = { mac: number | undefined; told: Neighbour; hops: Answer['hops']; verdict: Verdict | undefined };

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
    const down = this.#down(request);
    const switches = new SwitchesNow(this.#around, down);
    if (typeof request.from !== 'string') return await this.#fromOutside(switches, request);
    const asked = resolve(this.#around.view, this.#around.placement, request, down);
    if (down.has(asked.sender.at.hypervisor))
      throw fieldProblem('request.invalid', '/assumeDown', 'The sender is on a hypervisor that is taken to be dead');
    if (asked.targetMac !== undefined) return await this.#answer(switches, asked, asked.targetMac, undefined);
    const neighbour = await this.#neighbour(switches, asked);
    if (neighbour.mac === undefined) return this.#unanswered(asked, neighbour);
    return await this.#answer(switches, asked, neighbour.mac, neighbour.told);
  }

  /**
   * The same, with the packet really sent.
   * @throws Problem as `trace` does; request.invalid about /live for what cannot be sent; trace.not-possible
   */
  async traceLive(request: TraceRequest): Promise<Answer> {
    const refuse = (message: string) => fieldProblem('request.invalid', '/live', message);
    if (request.state !== 'new') throw refuse('Only a packet that opens a connection can be sent');
    if (typeof request.from !== 'string') throw refuse('Only packets of ports can be sent');
    if ((request.assumeDown ?? []).length > 0) throw refuse('What is really sent goes by what is really there');
    if ('ask' in request.to) throw refuse('Such a question is not sent in the name of a VM');
    const asked = resolve(this.#around.view, this.#around.placement, request);
    const answer = await this.trace(request);
    const mac = answer.neighbour?.mac === undefined ? undefined : parseMac(answer.neighbour.mac);
    if (mac === undefined) {
      const text = 'Not sent: the sender would have no MAC to send it to';
      return { ...answer, live: { sent: false, arrived: false, text } };
    }
    // Read anew just before: what other packets count meanwhile is not to be taken for ours.
    const packet = packetOf(asked, mac);
    const { hypervisor } = asked.sender.at;
    const start = { hypervisor, packet: packet.copy() };
    const walked = await throughSteering(this.#around, new SwitchesNow(this.#around), start, new Map());
    const hops = describeHops(this.#around, walked);
    const verdict = explain(this.#around, asked, walked);
    const live = await sendLive(this.#around.plugin, hypervisor, packet, walked, hops, verdict);
    return { ...answer, hops, verdict, live };
  }

  /** The packet itself, towards that MAC; of a connection that is up, after the packet that opened it. */
  async follow(switches: SwitchesNow, asked: Resolved, mac: number): Promise<Followed & { before?: Verdict }> {
    if (asked.state === 'new') return await this.#send(switches, asked, mac, new Map());
    if (asked.state === 'established') {
      const first = await this.#send(switches, { ...asked, state: 'new' }, mac, new Map());
      return { ...(await this.#send(switches, asked, mac, committed(first.walk))), before: first.verdict };
    }
    const first = asked.receiver === undefined ? await this.#openedFromOutside(switches, asked) : undefined;
    if (first !== undefined)
      return { ...(await this.#send(switches, asked, mac, committed(first.walk))), before: first.verdict };
    if (asked.receiver === undefined)
      throw fieldProblem(
        'request.invalid',
        '/state',
        `${formatIp(asked.target)} is no port, and nothing of the sender is published: what it would be a reply to is not known`,
      );
    const opener = this.#opener(asked);
    const openerMac = (await this.#neighbour(switches, opener)).mac;
    if (openerMac === undefined) return await this.#send(switches, asked, mac, new Map());
    const opened = await this.#send(switches, opener, openerMac, new Map());
    return { ...(await this.#send(switches, asked, mac, committed(opened.walk))), before: opened.verdict };
  }

  async #answer(
    switches: SwitchesNow,
    asked: Resolved,
    mac: number,
    neighbour: Neighbour | undefined,
  ): Promise<Answer> {
    const { walk: walked, verdict, before } = await this.follow(switches, asked, mac);
    const { view } = this.#around;
    const translated = translations(this.#around, walked);
    const beyond = tenantOf(atReceiver(view, asked, walked).network) !== tenantOf(asked.network);
    return {
      asked: this.#asked(asked),
      ...(neighbour === undefined ? {} : { neighbour }),
      hops: describeHops(this.#around, walked),
      ...(translated.length === 0 ? {} : { translated }),
      ...(beyond ? { beyond } : {}),
      verdict,
      ...(before === undefined ? {} : { opening: before }),
    };
  }

  #unanswered(asked: Resolved, { told, hops, verdict }: Told): Answer {
    return { asked: this.#asked(asked), neighbour: told, hops, verdict: verdict! };
  }

  async #send(switches: SwitchesNow, asked: Resolved, mac: number, assumed: Assumed): Promise<Followed> {
    const { hypervisor } = asked.sender.at;
    const start = { hypervisor, packet: packetOf(asked, mac) };
    const left = await throughSteering(this.#around, switches, start, assumed);
    const walked = await backFromOutside(this.#around, switches, left, assumed);
    return { asked, mac, walk: walked, verdict: explain(this.#around, asked, walked) };
  }

  async #fromOutside(switches: SwitchesNow, request: TraceRequest): Promise<Answer> {
    const inbound = resolveInbound(this.#around, request);
    const straight = straightTo(this.#around, inbound);
    if (straight !== undefined && straight.state !== 'reply')
      return await this.#answer(switches, straight, straight.targetMac!, undefined);
    if (inbound.state === 'reply') return await this.#replyFromOutside(switches, request);
    const { publicIp, port } = inbound;
    if (publicIp === undefined) {
      const network = networkOf(port!.path)!;
      const verdict: Verdict = {
        outcome: 'refused',
        reason: 'no-nat-rule',
        text: `Nothing publishes that of ${this.#around.inWords(port!.path)}`,
        decisions: [],
        needs: [missingNatRule(this.#around.view, network, undefined, inbound, port)],
      };
      const asked: Asked = {
        from: 'outside',
        to: port!.path,
        source: formatIp(inbound.source),
        destination: '',
        ...serviceOf(inbound),
        state: inbound.state,
        length: inbound.length,
      };
      return { asked, hops: [], verdict };
    }
    const inward = await inboundOf(this.#around, switches, inbound, publicIp);
    if (inward.asked === undefined) return this.#nobodyTakes(inward);
    return await this.#answer(switches, inward.asked, inward.asked.targetMac!, inward.told);
  }

  #nobodyTakes({ nobody, told, hops, verdict }: Inward & { asked: undefined }): Answer {
    return { asked: this.#asked(nobody), neighbour: told, hops, verdict };
  }

  /** An answer of somebody outside to what a port has sent there. */
  async #replyFromOutside(switches: SwitchesNow, request: TraceRequest): Promise<Answer> {
    const { to, from, sourcePort, destinationPort, icmp } = request;
    if (!('port' in to) || typeof from === 'string' || from.outside === undefined)
      throw fieldProblem(
        'request.invalid',
        '/state',
        'Name the port the reply is for, and who sends it: outside:ADDRESS',
      );
    const { view, placement } = this.#around;
    const down = this.#down(request);
    const asking: TraceRequest = {
      ...request,
      from: to.port,
      to: { ip: from.outside },
      state: 'new',
      sourcePort: destinationPort,
      destinationPort: sourcePort,
      icmp: icmp === undefined ? undefined : opening({ icmp } as Resolved).icmp,
    };
    const opener = resolve(view, placement, asking, down);
    const neighbour = await this.#neighbour(switches, opener);
    const first =
      neighbour.mac === undefined ? undefined : await this.#send(switches, opener, neighbour.mac, new Map());
    const left = first?.walk.ends.find((end) => end.kind === 'outside');
    const publicIp = first && translations(this.#around, first.walk).findLast(({ direction }) => direction === 'out');
    const address = publicIp && view.getAs('public-ip', publicIp.publicIp);
    if (first === undefined || left?.kind !== 'outside' || address === undefined) {
      const verdict = first?.verdict ?? neighbour.verdict!;
      const text = `There is nothing to answer: ${verdict.text.charAt(0).toLowerCase()}${verdict.text.slice(1)}`;
      return { asked: this.#asked(opener), hops: [], verdict: { ...verdict, outcome: 'refused', text } };
    }
    const inbound = resolveInbound(this.#around, { ...request, to: { publicIp: address.path } });
    const port = Number(left.packet.get('tcp_src') ?? left.packet.get('udp_src') ?? left.packet.get('sctp_src') ?? 0n);
    const reply = { ...inbound, destinationPort: port };
    const inward = await inboundOf(this.#around, switches, reply, address);
    if (inward.asked === undefined) return this.#nobodyTakes(inward);
    const sent = await this.#send(switches, inward.asked, inward.asked.targetMac!, committed(first.walk));
    return {
      asked: this.#asked(inward.asked),
      neighbour: inward.told,
      hops: describeHops(this.#around, sent.walk),
      translated: translations(this.#around, sent.walk),
      verdict: sent.verdict,
      opening: first.verdict,
    };
  }

  /** Of a reply to somebody outside: what that one has sent, to where the port is published. Undefined: nowhere. */
  async #openedFromOutside(switches: SwitchesNow, asked: Resolved): Promise<Followed | undefined> {
    const { sender, target } = asked;
    if (sender.port === undefined || target.family !== 4) return undefined;
    const { view } = this.#around;
    const before = opening(asked);
    for (const rule of view.referrers(sender.port.path)) {
      if (rule.kind !== 'nat-rule' || rule.spec.type === 'source' || rule.spec.port !== sender.port.name) continue;
      const publicIp = view.getAs('public-ip', `${rule.parent}/public-ips/${rule.spec.publicIp}`);
      const destinationPort = publishedPort(rule.spec, before.destinationPort);
      if (publicIp === undefined || destinationPort === undefined) continue;
      const inbound = {
        ...before,
        state: 'new' as const,
        source: target,
        publicIp,
        port: sender.port,
        destinationPort,
      };
      const { asked: inward } = await inboundOf(this.#around, switches, inbound, publicIp);
      if (inward !== undefined) return await this.#send(switches, inward, inward.targetMac!, new Map());
    }
    return undefined;
  }

  /** The request a reply answers: from the other port. */
  #opener(asked: Resolved): Resolved {
    const { sender, receiver } = asked;
    const bound = receiver && homeOf(this.#around.placement.get(receiver.port.path), new Set());
    if (receiver === undefined || bound === undefined || sender.port === undefined) return { ...asked, state: 'new' };
    return {
      ...opening(asked),
      network: networkOf(receiver.port.path)!,
      sender: { ...receiver, at: bound },
      receiver: { port: sender.port, mac: sender.mac, ip: sender.ip },
      target: sender.ip,
      state: 'new',
    };
  }

  /** Asks the switch as the VM would, by ARP or neighbour solicitation. */
  async #neighbour(switches: SwitchesNow, asked: Resolved): Promise<Told> {
    const { sender, target, network } = asked;
    const { port } = sender;
    if (port === undefined) throw new Error('only a port asks for its neighbours');
    const hop = firstHop(this.#around.view, port, sender.ip, target);
    if (hop === undefined) {
      const text = `Tier ${port.spec.tier} has no IPv${target.family} prefix to route from`;
      const needs = [`ipv6Cidr of ${network}/tiers/${port.spec.tier}`];
      const verdict: Verdict = { outcome: 'refused', reason: 'no-answer', text, decisions: [], needs };
      return { mac: undefined, told: { asked: formatIp(target), text }, hops: [], verdict };
    }
    const { hypervisor, ofport: inPort } = sender.at;
    // Of its own: an address it may not send from, which is what may be traced, is no source of a question either.
    const own = port.spec.ips.map(parseIp).find((ip) => ip?.family === target.family) ?? sender.ip;
    const question = neighbourRequest({ inPort, mac: sender.mac, source: own, target: hop });
    const walked = await walk(switches, { hypervisor, packet: question });
    const answer = walked.ends.find((end) => end.kind === 'answered');
    const mac = answer === undefined ? undefined : answeredMac(answer.packet);
    const who = formatIp(hop) === formatIp(target) ? 'of the same tier' : 'the gateway of its tier';
    const known = (at: number, text: string): Told => {
      const told = { asked: formatIp(hop), mac: formatMac(at), text };
      return { mac: at, told, hops: [], verdict: undefined };
    };
    if (mac !== undefined) return known(mac, `${formatIp(hop)} (${who}) is at ${formatMac(mac)}`);
    // Of an address that several ports may have, the VM that has it answers: nobody else knows which that is.
    const shared = walked.ends.find((end) => end.kind === 'delivered');
    const claimant = shared?.kind === 'delivered' ? this.#around.view.getAs('port', shared.port) : undefined;
    const pair = claimant && pairOf(claimant, hop);
    const virtual = claimant && pair && parseMac(pair.mac ?? claimant.spec.mac);
    if (virtual !== undefined)
      return known(
        virtual,
        `${formatIp(hop)} is asked of the ports that may have it, and taken to be at ${formatMac(virtual)}`,
      );
    // Straight on a provider network: somebody out there answers.
    const out = walked.ends.find((end) => end.kind === 'outside');
    if (out?.kind === 'outside') {
      const at = formatIp(hop) === formatIp(target) ? asked.receiver?.mac : undefined;
      const text = `${formatIp(hop)} (${who}) is asked on the provider network, and taken to answer`;
      return { ...known(at ?? someRouter, text), told: { asked: formatIp(hop), text } };
    }
    const text = `Nobody answers for ${formatIp(hop)} (${who}): the sender has no MAC to send to`;
    const needs = hop === target ? absent(this.#around, asked) : [`Status programmed of ${network}`];
    const verdict: Verdict = { outcome: 'refused', reason: 'no-answer', text, decisions: [], needs };
    return { mac: undefined, told: { asked: formatIp(hop), text }, hops: describeHops(this.#around, walked), verdict };
  }

  /** @throws Problem resource.not-found about /assumeDown */
  #down({ assumeDown = [] }: TraceRequest): Set<HypervisorNumber> {
    return new Set(
      assumeDown.map((name) => {
        const member = this.#around.fleet.byPath(`hypervisors/${name}`);
        if (member === undefined)
          throw fieldProblem('resource.not-found', '/assumeDown', `There is no approved hypervisors/${name}`);
        return member.number;
      }),
    );
  }

  #asked({ sender, receiver, target, publicIp, ...asked }: Resolved): Asked {
    const to = receiver?.port.path ?? publicIp?.path;
    return {
      from: sender.port?.path ?? 'outside',
      ...(to === undefined ? {} : { to }),
      source: formatIp(sender.ip),
      destination: formatIp(target),
      ...serviceOf(asked),
      state: asked.state,
      length: asked.length,
    };
  }
}

type ServiceAsked = Pick<Resolved, 'protocol' | 'sourcePort' | 'destinationPort' | 'icmp'>;

function serviceOf(asked: ServiceAsked): Pick<Asked, 'protocol' | 'sourcePort' | 'destinationPort' | 'icmp'> {
  const protocol = canonicalProtocol(String(asked.protocol)) ?? String(asked.protocol);
  return {
    protocol,
    ...(['tcp', 'udp', 'sctp'].includes(protocol)
      ? { sourcePort: asked.sourcePort, destinationPort: asked.destinationPort }
      : {}),
    ...(protocol.startsWith('icmp') ? { icmp: asked.icmp } : {}),
  };
}

/** The public port that leads to this one; undefined: none. Of static NAT each is itself. */
function publishedPort(
  { type, publicPorts, privatePorts }: { type: string; publicPorts?: string; privatePorts?: string },
  port: number,
): number | undefined {
  if (type === 'static') return port;
  const [first = 0] = (publicPorts ?? '').split('-').map(Number);
  const [from = 0, to = from] = (privatePorts ?? publicPorts ?? '').split('-').map(Number);
  return from <= port && port <= to ? first + port - from : undefined;
}

function packetOf({ sender, target, ...asked }: Resolved, mac: number): Packet {
  return probePacket(sender.at.ofport, {
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
