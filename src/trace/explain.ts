/**
 * From how a packet ended to why: what decided, who could order otherwise, and what. Written for operators and tenants
 * alike, so no hypervisor is named here.
 */
import { formatIp, parseIp } from '../intent/ip.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { networkOf } from '../intent/path.ts';
import type { Placement } from '../inventory/placement.ts';
import { cookieResource } from '../pipeline/cookie.ts';
import { ctState, type Flow } from '../pipeline/flow.ts';
import { type Register, registers, subfield } from '../pipeline/registers.ts';
import type { Decision, Verdict } from './answer.ts';
import { beginsJudgement, carriesOut, decides, routes, type Side, type Stop, sideFrom, stopAt } from './decisions.ts';
import { atReceiver, outsideText, portText, servicesText, stoppedOutside } from './explain-outside.ts';
import type { Lookup, TraceEvent } from './interpreter.ts';
import { missingRoute, missingRule, openedService, tierWith, unroutable } from './orders.ts';
import type { Packet } from './packet.ts';
import { pairOf, type Resolved } from './request.ts';
import type { End, Walk } from './walk.ts';

export type Explained = { view: View; placement: Placement; inWords(path: Path): string };

/** What counts first where copies of a packet ended differently. */
const weight: Record<End['kind'], number> = {
  delivered: 0,
  outside: 0,
  services: 0,
  answered: 1,
  unknown: 2,
  down: 3,
  group: 3,
  'to-controller': 4,
  'ttl-expired': 5,
  'unknown-port': 6,
  'too-deep': 7,
  refused: 8,
};

export function explain(around: Explained, asked: Resolved, walk: Walk): Verdict {
  const [end] = walk.ends.toSorted((a, b) => weight[a.kind] - weight[b.kind]);
  if (end === undefined) throw new Error('a walk without an end');
  const received = atReceiver(around.view, asked, walk);
  const decisions = decisionsOf(around, asked, received, walk);
  const { outcome, reason, text, needs } = conclude(around, asked, received, walk, end, decisions);
  return { outcome, reason, text, decisions, needs };
}

type Conclusion = Omit<Verdict, 'decisions'>;

function conclude(
  around: Explained,
  asked: Resolved,
  received: Resolved,
  walk: Walk,
  end: End,
  decisions: Decision[],
): Conclusion {
  const target = formatIp(asked.target);
  const refused = (reason: Verdict['reason'], text: string, ...needs: string[]): Conclusion => {
    return { outcome: 'refused', reason, text, needs };
  };
  switch (end.kind) {
    case 'delivered':
      return {
        outcome: 'delivered',
        reason: 'delivered',
        text: deliveredText(around, walk, received, target),
        needs: [],
      };
    case 'answered':
      return { outcome: 'answered', reason: 'answered', text: `The switch answers for ${target} itself`, needs: [] };
    case 'unknown':
      return {
        outcome: 'unknown',
        reason: 'unreachable-hypervisor',
        text: 'The packet leaves towards a hypervisor whose switch cannot be asked now',
        needs: ['The hypervisor connected again, to say what becomes of the packet there'],
      };
    case 'outside':
      return { outcome: 'delivered', reason: 'outside', text: outsideText(around.view, walk), needs: [] };
    case 'services':
      return { outcome: 'delivered', reason: 'services', text: servicesText(end.by), needs: [] };
    case 'down':
      return refused('assumed-down', 'It goes to a host that is taken to be dead, and is lost there');
    case 'group':
    case 'too-deep':
    case 'unknown-port':
      return { outcome: 'unknown', reason: 'not-followed', text: notFollowed(end), needs: [] };
    case 'ttl-expired':
      return refused('time-to-live', 'Its time to live runs out at the router', 'A larger time to live at the sender');
    case 'to-controller':
    case 'refused': {
      const stop = stopOf(end.at, walk.hops[end.hop]!.events);
      if (stop === 'rules') return denied(around, asked, received, decisions);
      return stoppedOutside(around, received, stop, end.at) ?? stopped(around, received, walk, stop);
    }
    default:
      return end satisfies never;
  }
}

function notFollowed(end: Extract<End, { kind: 'group' | 'too-deep' | 'unknown-port' }>): string {
  if (end.kind === 'group') return `It goes to group ${end.group}, whose buckets are not followed`;
  if (end.kind === 'unknown-port') return 'It leaves by a port that Keyway knows nothing of';
  return 'It passes more tables than a switch goes through';
}

/** The route table drops what has no time to live left before it looks for a route. */
function stopOf(at: Lookup, events: readonly TraceEvent[]): Stop {
  const stop = stopAt(at.table);
  const last = events.findLast((e) => e.kind === 'liveness');
  if (stop === 'output' && last?.kind === 'liveness' && last.output && last.chosen === undefined) return 'no-gateway';
  if (stop === 'no-nat-rule' && ((at.packet.get('ct_state') ?? 0n) & BigInt(ctState.inv)) !== 0n) return 'invalid';
  // `standingBy` of pipeline/stages/nat.ts.
  if (stop === 'no-nat-rule' && flagged(at.packet, 'alive')) return 'standby';
  // What claims to be from inside, or from nowhere.
  if (stop === 'standby' && at.flow !== undefined) return flagged(at.packet, 'tooBig') ? 'too-big' : 'source';
  if (stop !== 'no-route') return stop;
  if ((at.packet.get('ip_ttl') ?? 64n) <= 1n) return 'time-to-live';
  return flagged(at.packet, 'tooBig') ? 'too-big' : stop;
}

function flagged(packet: Packet, name: string): boolean {
  const flag = Object.values<Register>(registers).find((r) => r.name === name);
  return flag !== undefined && packet.read(subfield(flag)) === 1n;
}

function deliveredText({ view, inWords }: Explained, { hops, ends }: Walk, received: Resolved, target: string): string {
  const ports = [...new Set(ends.flatMap((end) => (end.kind === 'delivered' ? [end.port] : [])))];
  const text = `Delivered to ${ports.map(inWords).join(' and ')}`;
  if (received.receiver?.port.path === ports[0] && formatIp(received.target) !== target)
    return `${text}, as ${formatIp(received.target)}${portText(received)}`;
  if (ports.length > 1) return `${text}: whichever of them has ${target} just now takes it`;
  const port = view.getAs('port', ports[0]!);
  if (port?.spec.ips.includes(target) || (port !== undefined && pairOf(port, parseIp(target)!) !== undefined))
    return text;
  for (const { events } of hops)
    for (const e of events) {
      const by = e.kind === 'lookup' && e.flow !== undefined ? view.byNumber(cookieResource(e.flow.cookie)) : undefined;
      if (by?.kind === 'route' || by?.kind === 'steering')
        return `${text}, which has to pass it on to ${target}: ${by.kind} ${by.name}`;
    }
  return text;
}

function denied({ view }: Explained, asked: Resolved, received: Resolved, decisions: readonly Decision[]): Conclusion {
  const last = decisions.at(-1);
  const common = { outcome: 'refused', reason: 'rules' } as const;
  const sides = { sender: "the sender's side", receiver: "the receiver's side" };
  const where = sides[last?.side ?? 'sender'];
  if (last?.action === 'deny' && last.by === 'policy') {
    const needs = ["A change of the operator's policy: it goes before every rule of a tenant"];
    return { ...common, text: `Denied by the operator's policy, on ${where}`, needs };
  }
  const judged = last?.side === 'receiver' ? received : asked;
  const needs = [missingRule(view, judged, last), ...(judged === asked ? unroutable(view, asked) : [])];
  if (last?.action === 'deny' && last.by === 'rule')
    return { ...common, text: `Denied by ${nameOf(last.path!)}, on ${where}`, needs };
  return { ...common, text: `No rule allows it: denied by default, on ${where}`, needs };
}

const nameOf = (path: Path): string => `rule ${path.slice(path.lastIndexOf('/') + 1)}`;

function stopped(around: Explained, asked: Resolved, walk: Walk, reason: Stop): Conclusion {
  const { sender, receiver } = asked;
  const [source, target] = [formatIp(sender.ip), formatIp(asked.target)];
  const port = sender.port?.path ?? 'the gateway';
  const refused = (text: string, ...needs: string[]): Conclusion => ({ outcome: 'refused', reason, text, needs });
  switch (reason) {
    case 'not-programmed':
      return refused('The switch does not know the port it comes from', `Status programmed of ${port}`);
    case 'source':
      if (sender.port === undefined)
        return refused(`Nobody outside has ${source}: it is inside, or nowhere`, 'Another sender');
      return refused(`The port may not send as ${source}`, `${source} among ips or allowedAddressPairs of ${port}`);
    case 'no-neighbour':
      return refused(`Nobody answers for ${target}`, ...absent(around, asked));
    case 'gateway':
      return refused('The gateway does not take it', 'Another destination: a gateway only answers pings');
    case 'untracked':
      return refused('Connection tracking has no use for it', 'An IPv4 or IPv6 packet');
    case 'invalid':
      return refused(
        'Connection tracking holds it for invalid: it belongs to no connection and can open none',
        'The packet that opens the connection first',
      );
    case 'time-to-live':
      return refused('Its time to live runs out at the router', 'A larger time to live at the sender');
    case 'too-big':
      return refused('It is larger than the way takes', 'Smaller packets: the MTU of the network');
    case 'steering':
      return refused(
        'A steering rule sends it through a port that is not there',
        'That port bound, or onFailure open in the steering rule',
      );
    case 'no-route':
      return refused(`The network has no route to ${target}`, ...missingRoute(around.view, asked));
    case 'no-receiver': {
      const routed = walk.hops.some((hop) => hop.events.some((e) => e.kind === 'lookup' && routes(e.table)));
      const unbound = receiver !== undefined && around.placement.get(receiver.port.path) === undefined;
      if (unbound) {
        const text = `${around.inWords(receiver.port.path)} is bound nowhere`;
        return { ...refused(text, ...absent(around, asked)), reason: 'unbound' };
      }
      const where = routed ? 'in the network it is routed to' : 'in its tier with that MAC';
      return refused(`No port has ${target} ${where}`, ...absent(around, asked));
    }
    case 'tunnel-key':
    case 'receiver-not-programmed':
    case 'sender-not-known':
      return refused(
        `The receiver's switch does not know the ${reason === 'sender-not-known' ? 'sender' : 'receiver'} yet`,
        `Status programmed of ${port} and ${receiver?.port.path ?? target}; else: keyway doctor`,
      );
    case 'output':
      return refused('It would leave by the port it came in by', 'Another receiver than the sender');
    case 'rules':
    case 'standby':
    case 'no-public-ip':
    case 'no-nat-rule':
    case 'no-gateway':
    case 'no-next-hop':
    case 'no-services':
    case 'nowhere':
    case 'elsewhere':
      return refused('The pipeline ends there', 'See the last table: keyway flows dump');
    default:
      return reason satisfies never;
  }
}

/** What is missing where nobody has the destination's address. */
export function absent({ view, placement }: Explained, { network, sender, receiver, target }: Resolved): string[] {
  const text = formatIp(target);
  if (receiver === undefined) return [`a port with ${text} in ${tierWith(view, network, target)}`];
  const { path } = receiver.port;
  if (placement.get(path) === undefined) return [`${path} bound: a VM's interface with its ifaceId on a hypervisor`];
  if (receiver.port === sender.port) return ['Another receiver than the sender'];
  return [`Status programmed of ${path}`];
}

/** Of each side that was asked, what decided: the last rule or policy that spoke before the side's decision was carried out. */
function decisionsOf(around: Explained, asked: Resolved, received: Resolved, { hops }: Walk): Decision[] {
  const found: Decision[] = [];
  let side: Side = 'sender';
  let spoke: Decider | undefined;
  for (const { events } of hops) {
    for (const [i, e] of events.entries()) {
      if (e.kind !== 'lookup') continue;
      side = sideFrom(e.table) ?? side;
      if (beginsJudgement(e.table)) spoke = undefined;
      if (decides(e.table) && e.flow !== undefined) spoke = deciding(around.view, e.flow) ?? spoke;
      if (e.depth > 0 || !carriesOut(e.table)) continue;
      // A side may go through several of these tables: the last of them counts.
      const next = events.slice(i + 1).find((l): l is Lookup => l.kind === 'lookup' && l.depth === 0);
      if (next !== undefined && carriesOut(next.table)) continue;
      const seen = side === 'receiver' ? received : asked;
      const network = networkOfSide(seen, side);
      const made = decision(around, seen, side, next !== undefined, inRegister(around.view, network, e.packet, spoke));
      // Copies for several receivers are judged alike.
      if (!found.some((one) => one.side === made.side && one.path === made.path && one.action === made.action))
        found.push(made);
      spoke = undefined;
    }
  }
  return found;
}

type Decider = Resource<'rule'> | Resource<'policy'>;

function deciding(view: View, flow: Flow): Decider | undefined {
  const resource = view.byNumber(cookieResource(flow.cookie));
  return resource?.kind === 'rule' || resource?.kind === 'policy' ? resource : undefined;
}

/**
 * Where several spoke, the register says who decided; it is 0 where nobody did, and where a connection's label stands
 * for a decision of before.
 */
function inRegister(view: View, network: Path, packet: Packet, spoke: Decider | undefined): Decider | undefined {
  const id = Number(packet.read(subfield(registers.rule)) ?? 0n);
  if (id === 0 || spoke?.id === id) return spoke;
  for (const policy of view.children('policy', '')) if (policy.id === id) return policy;
  for (const rule of view.children('rule', network)) if (rule.id === id) return rule;
  return spoke;
}

function decision(
  { inWords }: Explained,
  asked: Resolved,
  side: Side,
  passed: boolean,
  spoke: Decider | undefined,
): Decision {
  const action = passed ? 'allow' : 'deny';
  if (spoke === undefined || spoke.spec.action !== action) {
    const text = passed
      ? 'passes as part of a connection that was allowed'
      : `no rule of ${inWords(networkOfSide(asked, side))} allows ${openedService(asked)}`;
    return { side, by: 'default', action, text };
  }
  const { path, revision, spec } = spoke;
  const what = `${spec.action} ${spec.protocol}${spec.ports === undefined ? '' : ` ${spec.ports.join(', ')}`}`;
  const end = (e: object): string => Object.entries(e).map(([k, v]) => (k === 'any' ? 'any' : `${k} ${String(v)}`))[0]!;
  const text = `${what} from ${end(spec.from)} to ${end(spec.to)}, priority ${spec.priority}`;
  return { side, by: spoke.kind, action, path, revision, text };
}

function networkOfSide({ network, receiver }: Resolved, side: Side): Path {
  return side === 'receiver' && receiver !== undefined ? networkOf(receiver.port.path)! : network;
}
