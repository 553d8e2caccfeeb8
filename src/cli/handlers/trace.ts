/** `trace`: a packet followed over every switch, to the order that decided. */
import type { Handler, Run } from '../command.ts';
import { UsageError } from '../errors.ts';
import { kindModel } from '../model.ts';
import { pathOf, resolve, shortPath } from '../names.ts';
import { type Colour, type Paint, safe } from '../style.ts';

type Step =
  | {
      kind: 'table';
      table: number;
      name: string;
      depth: number;
      flow?: string;
      packets?: number;
      purpose?: string;
      serves?: string;
      seen?: boolean;
    }
  | { kind: 'note'; depth: number; text: string };

type Decision = {
  side: 'sender' | 'receiver';
  by: 'rule' | 'policy' | 'default';
  action: 'allow' | 'deny';
  path?: string;
  revision?: number;
  text: string;
  author?: { at: number; role: string; token?: string; tenant?: string };
};

type Verdict = {
  outcome: 'delivered' | 'answered' | 'refused' | 'unknown';
  text: string;
  decisions: Decision[];
  needs: string[];
};

type Translated = {
  direction: 'out' | 'in';
  natRule: string;
  publicIp: string;
  address: string;
  gateway?: string;
  providerNetwork?: string;
  nextHop?: string;
};

type Answer = {
  asked: {
    from: string;
    to?: string;
    source: string;
    destination: string;
    protocol: string;
    sourcePort?: number;
    destinationPort?: number;
    icmp?: { type: number; code: number };
    state: string;
    length: number;
  };
  neighbour?: { asked: string; mac?: string; text: string };
  hops: { hypervisor: string; arrives: string; steps: Step[]; seen?: boolean }[];
  translated?: Translated[];
  verdict: Verdict;
  opening?: Verdict;
  live?: { sent: boolean; arrived: boolean; seen?: number; of?: number; text: string };
};

const colours: Record<Verdict['outcome'], Colour> = {
  delivered: 'green',
  answered: 'green',
  refused: 'red',
  unknown: 'yellow',
};

/** An address, for sure: what could also be the name of a port has no colon and not four numbers. */
const address = /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$/;

export const trace: Handler = async (run) => {
  const { session, args } = run;
  const sender = args.value('from') ?? '';
  const from = /^outside(:.*)?$/.test(sender) ? sender : await portPath(run, sender);
  const to = args.value('to') ?? '';
  const body = {
    from,
    to: address.test(to) || questions.has(to) ? to : await pathTo(run, to),
    protocol: args.value('proto') ?? (args.has('dport') || args.has('sport') ? 'tcp' : 'icmp'),
    ...ports(run),
    ...icmp(run),
    ...(args.has('state') ? { state: args.value('state') } : {}),
    ...(args.has('source') ? { source: args.value('source') } : {}),
    ...(args.has('assume-down') ? { assumeDown: (args.value('assume-down') ?? '').split(',') } : {}),
    ...number(run, 'ttl'),
    ...number(run, 'length'),
    ...(args.has('live') ? { live: true } : {}),
  };
  const client = await session.client();
  const { body: answered } = await client.request('POST', '/v1/trace', { body });
  const answer = answered as Answer;
  const { outcome } = answer.verdict;
  const lost = answer.live?.sent === true && !answer.live.arrived;
  const status = (outcome === 'delivered' || outcome === 'answered') && !lost ? 0 : 1;
  if (await session.printAs(session.format('text'), answered)) return status;
  session.print(page(answer, session.paint, args.has('brief')));
  return status;
};

/** What a VM asks everybody on its link. */
const questions: ReadonlySet<string> = new Set(['dhcp', 'dhcpv6', 'router']);

const publicIp = 'public-ip:';

function pathTo(run: Run, written: string): Promise<string> {
  return written.startsWith(publicIp)
    ? pathWritten(run, 'public-ip', written.slice(publicIp.length))
    : portPath(run, written);
}

const portPath = (run: Run, written: string): Promise<string> => pathWritten(run, 'port', written);

async function pathWritten(run: Run, kind: string, written: string): Promise<string> {
  const { defaults } = await run.session.settings();
  const flags = (parent: string) => run.args.value(parent);
  const target = resolve(kindModel(kind), written, flags, defaults);
  return pathOf(target.kind, target.names);
}

function wholeNumber(run: Run, flag: string): number | undefined {
  const text = run.args.value(flag);
  if (text === undefined) return undefined;
  if (!/^\d{1,5}$/.test(text)) throw new UsageError(`--${flag} ${text}: not a number`, 'Give a whole number.');
  return Number(text);
}

function number(run: Run, flag: string): Record<string, number> {
  const value = wholeNumber(run, flag);
  return value === undefined ? {} : { [flag]: value };
}

function ports(run: Run): { ports?: { source?: number; destination?: number } } {
  const source = wholeNumber(run, 'sport');
  const destination = wholeNumber(run, 'dport');
  if (source === undefined && destination === undefined) return {};
  return { ports: { ...(source !== undefined && { source }), ...(destination !== undefined && { destination }) } };
}

function icmp(run: Run): { icmp?: { type: number; code?: number } } {
  const text = run.args.value('icmp');
  if (text === undefined) return {};
  const found = /^(\d{1,3})(?:\/(\d{1,3}))?$/.exec(text);
  if (found === null)
    throw new UsageError(`--icmp ${text}: neither TYPE nor TYPE/CODE`, 'An echo request is 8, 128 in IPv6.');
  return { icmp: { type: Number(found[1]), ...(found[2] === undefined ? {} : { code: Number(found[2]) }) } };
}

function page(answer: Answer, paint: Paint, brief: boolean): string {
  const { asked, neighbour, hops, translated = [], verdict, opening, live } = answer;
  const lines: string[] = [paint('bold', safe(headline(asked)))];
  if (neighbour !== undefined) lines.push(`  ${safe(neighbour.text)}`);
  if (!brief) for (const hop of hops) lines.push('', ...hopLines(hop, paint));
  lines.push('');
  if (opening !== undefined) {
    lines.push(`Opening the connection: ${paint(colours[opening.outcome], opening.outcome)}. ${safe(opening.text)}.`);
  }
  lines.push(...verdictLines(verdict, paint), ...translated.map(translatedLine));
  if (live !== undefined) lines.push('', ...liveLines(live, paint));
  return `${lines.join('\n')}\n`;
}

function headline({ from, to, source, destination, protocol, ...asked }: Answer['asked']): string {
  const service =
    asked.destinationPort !== undefined
      ? `${protocol} ${asked.sourcePort} -> ${asked.destinationPort}`
      : asked.icmp !== undefined
        ? `${protocol} type ${asked.icmp.type} code ${asked.icmp.code}`
        : protocol;
  const receiver = to === undefined ? destination : `${destination} (${shortPath(to)})`;
  const state = { new: 'a new connection', established: 'a connection that is up', reply: 'a reply' }[asked.state];
  return `${source} (${from === 'outside' ? from : shortPath(from)}) -> ${receiver}: ${service}, ${state ?? asked.state}`;
}

function hopLines({ hypervisor, arrives, steps, seen }: Answer['hops'][number], paint: Paint): string[] {
  const counted = seen === undefined ? '' : seen ? paint('green', '  seen') : paint('red', '  not seen');
  const lines = [`${paint('bold', safe(hypervisor))}  ${safe(arrives)}${counted}`];
  for (const step of steps) {
    const indent = '  '.repeat(step.depth + 1);
    if (step.kind === 'note') {
      lines.push(paint('dim', `${indent}     ${safe(step.text)}`));
      continue;
    }
    const mark = step.seen === undefined ? '' : step.seen ? paint('green', ' seen') : paint('red', ' not seen');
    const serves = step.serves === undefined ? '' : paint('cyan', `  ${safe(shortPath(step.serves))}`);
    const name = `${String(step.table).padStart(3)}. ${safe(step.name)}`;
    // A subroutine that has nothing to say of the packet leaves it where it is.
    if (step.flow === undefined && step.depth > 0) lines.push(`${indent}${name}  no flow matches`);
    else if (step.flow === undefined) lines.push(`${indent}${name}  ${paint('red', 'no flow matches: dropped')}`);
    else lines.push(`${indent}${name}${serves}${mark}`, paint('dim', `${indent}     ${safe(withoutTable(step.flow))}`));
  }
  return lines;
}

/** Cookie and table stand beside it already, in words. */
function withoutTable(flow: string): string {
  return flow.replace(/^cookie=\S+,\s*/, '').replace(/^table=[^,\s]+,\s*/, '');
}

function verdictLines({ outcome, text, decisions, needs }: Verdict, paint: Paint): string[] {
  const lines = [`${paint(colours[outcome], outcome.toUpperCase())}  ${safe(text)}.`];
  for (const d of decisions) {
    const who = d.path === undefined ? (d.by === 'default' ? 'default' : 'policy') : shortPath(d.path);
    const action = d.action === 'allow' ? paint('green', 'allow') : paint('red', 'deny');
    lines.push(`  ${d.side}: ${action} by ${safe(who)}: ${safe(d.text)}`);
    if (d.author !== undefined) lines.push(paint('dim', `    ordered ${written(d)}`));
  }
  for (const need of needs) lines.push(`  ${paint('yellow', 'needs')}  ${safe(need)}`);
  return lines;
}

function translatedLine({
  direction,
  natRule,
  publicIp,
  address,
  gateway,
  providerNetwork,
  nextHop,
}: Translated): string {
  const place = gateway === undefined ? '' : `, on ${gateway}`;
  const network = providerNetwork === undefined ? '' : `, provider network ${providerNetwork}`;
  const hop = nextHop === undefined ? '' : `, next hop ${nextHop}`;
  const by = `${shortPath(natRule)}, ${shortPath(publicIp)}`;
  return `  ${direction}: ${safe(`${address} by ${by}${place}${network}${hop}`)}`;
}

function written({ author, revision }: Decision): string {
  if (author === undefined) return '';
  const role = author.tenant === undefined ? author.role : `${author.role}:${author.tenant}`;
  const token = author.token === undefined ? '' : `, token ${author.token}`;
  const at = revision === undefined ? '' : `, revision ${revision}`;
  return safe(`${new Date(author.at).toISOString()} by ${role}${token}${at}`);
}

function liveLines({ sent, arrived, seen, of, text }: NonNullable<Answer['live']>, paint: Paint): string[] {
  const word = !sent ? paint('yellow', 'NOT SENT') : arrived ? paint('green', 'ARRIVED') : paint('red', 'NOT SEEN');
  const flows = seen === undefined ? '' : ` (${seen} of ${of} flows counted it)`;
  return [`${word}  ${safe(text)}${flows}`];
}
