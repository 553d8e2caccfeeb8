/** What happened on each switch, in the words and notations operators know. */
import { formatIp } from '../intent/ip.ts';
import { ctState } from '../pipeline/flow.ts';
import { tableName } from '../pipeline/tables.ts';
import type { AnsweredHop, Step } from './answer.ts';
import type { Tuple } from './connections.ts';
import type { TraceEvent } from './interpreter.ts';
import type { Surroundings } from './surroundings.ts';
import type { Hop, Walk } from './walk.ts';

type Words = Pick<Surroundings, 'fleet' | 'plugin' | 'purposeOf' | 'inWords'>;

export function describeHops(words: Words, { hops, ends }: Walk): AnsweredHop[] {
  return hops.map((hop, at) => {
    const steps = stepsOf(words, hop);
    for (const end of ends) {
      if (end.hop !== at) continue;
      const text = endNote(words, end);
      if (text !== undefined) steps.push({ kind: 'note', depth: 0, text });
    }
    return { hypervisor: words.fleet.name(hop.hypervisor), arrives: arrives(words, hop), inPort: hop.inPort, steps };
  });
}

function endNote({ fleet, inWords }: Words, end: Walk['ends'][number]): string | undefined {
  if (end.kind === 'unknown') return `${fleet.name(end.peer)} cannot be asked: ${end.why}`;
  if (end.kind === 'down') return `${fleet.name(end.peer)} is taken to be dead: it is lost there`;
  if (end.kind === 'outside') return `out to ${inWords(end.network)}`;
  if (end.kind === 'services')
    return end.by === 'port' ? 'to the services of the gateway host' : 'to the program on the gateway host';
  return undefined;
}

function arrives({ fleet, inWords }: Words, { from, passedOn }: Hop): string {
  if (from === undefined) return 'from an unknown port';
  if (passedOn && from.kind === 'vm') return `from ${inWords(from.port)}, taken to have passed it on`;
  switch (from.kind) {
    case 'vm':
      return `from ${inWords(from.port)}`;
    case 'tunnel':
      return `by the tunnel from ${fleet.name(from.peer)}`;
    case 'provider':
      return passedOn
        ? `from ${inWords(from.network)}, whose router is taken to have sent it back`
        : `from ${inWords(from.network)}`;
    case 'services':
      return 'from the services of the gateway host';
    default:
      return from satisfies never;
  }
}

function stepsOf(words: Words, { events }: Hop): Step[] {
  let depth = 0;
  return events.map((e): Step => {
    if (e.kind === 'lookup') {
      depth = e.depth;
      return lookup(words, e);
    }
    return { kind: 'note', depth, text: note(e) };
  });
}

function lookup({ plugin, purposeOf }: Words, e: Extract<TraceEvent, { kind: 'lookup' }>): Step {
  const { table, depth, flow } = e;
  const name = tableName(table) ?? String(table);
  if (flow === undefined) return { kind: 'table', table, name, depth };
  const { path, text } = purposeOf(flow);
  return {
    kind: 'table',
    table,
    name,
    depth,
    flow: plugin.format(flow),
    packets: Number(flow.packets),
    purpose: text,
    ...(path === undefined ? {} : { serves: path }),
  };
}

function tupleText({ proto, source, target, sourcePort, targetPort }: Tuple): string {
  const ported = ([6n, 17n, 132n] as bigint[]).includes(proto);
  const family = source > 0xffff_ffffn || target > 0xffff_ffffn ? 6 : 4;
  const end = (value: bigint, port: bigint): string => {
    const text = formatIp(family === 6 ? { family, value } : { family, value: Number(value) });
    return ported ? `${family === 6 ? `[${text}]` : text}:${port}` : text;
  };
  return `${end(source, sourcePort)} -> ${end(target, targetPort)}`;
}

const states = Object.entries(ctState);

function note(e: Exclude<TraceEvent, { kind: 'lookup' }>): string {
  switch (e.kind) {
    case 'output':
      return `out of port ${e.port}`;
    case 'skipped-output':
      return `not out of port ${e.port}, by which it came in`;
    case 'controller':
      return e.id === 0 ? 'to the controller' : `to the switch's client 0x${e.id.toString(16)}`;
    case 'nat':
      return `translated from ${tupleText(e.from)} to ${tupleText(e.to)}`;
    case 'liveness':
      return e.chosen === undefined
        ? `none of the ports ${e.members.join(', ')} is live`
        : `port ${e.chosen} is the first live one of ${e.members.join(', ')}`;
    case 'track': {
      const names = states.filter(([, bit]) => (e.state & bit) !== 0).map(([name]) => `+${name}`);
      return `connection tracking in zone ${e.zone} says ${names.join('')}`;
    }
    case 'commit':
      return `remembered in zone ${e.zone}, ct_label=0x${e.label.toString(16)}`;
    case 'meter':
      return `through meter ${e.meter}`;
    case 'group':
      return `to group ${e.group}, whose buckets are not followed`;
    case 'ttl-expired':
      return 'its time to live runs out';
    case 'too-deep':
      return 'more tables than a switch goes through';
    default:
      return e satisfies never;
  }
}
