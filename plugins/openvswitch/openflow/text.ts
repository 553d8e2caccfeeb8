/** Flows in the notation of `ovs-ofctl dump-flows` (ovs-ofctl(8), "Flow Syntax"). */

import type { Flow } from '../../../src/pipeline/flow.ts';
import type { FlowStats } from './flow-desc.ts';
import { highestTable } from './instructions.ts';
import { formatActions, type PrintTable, parseActions, type ReadTable } from './text-actions.ts';
import { formatMatch, parseMatch } from './text-match.ts';
import { cut, FlowTextError, type Piece, reading, split } from './text-scan.ts';
import { parseWhole } from './text-values.ts';

export { FlowTextError } from './text-scan.ts';

export type FormatOptions = {
  /** Name to print for a table; its number where undefined comes back. */
  tableName?: (table: number) => string | undefined;
  /** Adds duration, counters and idle age. */
  stats?: FlowStats;
};

/** OFP_DEFAULT_PRIORITY, which ovs-ofctl leaves out. */
const defaultPriority = 0x8000;

/** One flow in the words and the order of `ovs-ofctl dump-flows`; cookie and table are always said. */
export function formatFlow(flow: Flow, options: FormatOptions = {}): string {
  const { stats } = options;
  const table: PrintTable = (number) => options.tableName?.(number) ?? String(number);
  const head = [`cookie=0x${flow.cookie.toString(16)}`];
  if (stats?.duration !== undefined) head.push(`duration=${formatSeconds(stats.duration)}`);
  head.push(`table=${table(flow.table)}`);
  if (stats?.packets !== undefined) head.push(`n_packets=${stats.packets}`);
  if (stats?.bytes !== undefined) head.push(`n_bytes=${stats.bytes}`);
  if (stats?.idle !== undefined) head.push(`idle_age=${Math.floor(stats.idle)}`);
  const match = formatMatch(flow.match);
  const priority = flow.priority === defaultPriority ? '' : `priority=${flow.priority}`;
  const fields = [priority, match].filter((text) => text !== '').join(',');
  const actions = `actions=${formatActions(flow.actions, flow.goto, table)}`;
  return `${head.join(', ')}, ${fields === '' ? '' : `${fields} `}${actions}`;
}

/** Seconds to the millisecond; whole ones without decimals. */
function formatSeconds(seconds: number): string {
  const milliseconds = Math.round(seconds * 1000);
  return `${milliseconds % 1000 === 0 ? milliseconds / 1000 : (milliseconds / 1000).toFixed(3)}s`;
}

export type ParseOptions = {
  /** Number of a table's name; tables may always be given by number. */
  tableNumber?: (name: string) => number | undefined;
};

/** What dump-flows says of a flow that is not the flow. */
const counters = new Set(['duration', 'n_packets', 'n_bytes', 'idle_age', 'hard_age']);

/**
 * Reads one flow in the notation of `ovs-ofctl`, with the fields and actions of src/pipeline/flow.ts. Counters are read
 * over. Without priority it is 32768, without table 0, without cookie 0, as ovs-ofctl has it. Throws FlowTextError,
 * which names the place; whether fields and actions go together is looked at when the flow is encoded.
 */
export function parseFlow(text: string, options: ParseOptions = {}): Flow {
  const whole: Piece = { text, column: 1 };
  const found = /(?:^|[\s,])actions?\s*=/.exec(text);
  if (found === null) throw new FlowTextError(whole, 'actions= is missing');
  const after = found.index + found[0].length;
  const table: ReadTable = (name) => options.tableNumber?.(name) ?? parseTable(name);
  const flow: Flow = { table: 0, priority: defaultPriority, cookie: 0n, match: {}, actions: [] };
  const fields: Piece[] = [];
  const seen = new Set<string>();
  for (const piece of split({ text: text.slice(0, found.index), column: 1 })) {
    const [name, value] = cut(piece, /=/);
    const key = name.text;
    if (counters.has(key)) continue;
    if (key !== 'cookie' && key !== 'table' && key !== 'priority') {
      fields.push(piece);
      continue;
    }
    reading(piece, () => {
      if (value === undefined) throw new Error('a value is missing');
      if (seen.has(key)) throw new Error(`${key} is given twice`);
      seen.add(key);
      if (key === 'cookie') flow.cookie = parseWhole(value.text, 64);
      else if (key === 'table') flow.table = table(value.text);
      else flow.priority = Number(parseWhole(value.text, 16));
    });
  }
  flow.match = parseMatch(fields);
  const parsed = parseActions({ text: text.slice(after), column: after + 1 }, table);
  flow.actions = parsed.actions;
  if (parsed.goto !== undefined) flow.goto = parsed.goto;
  return flow;
}

function parseTable(text: string): number {
  const table = Number(parseWhole(text, 8));
  if (table > highestTable) throw new Error(`table ${text} is above ${highestTable}`);
  return table;
}
