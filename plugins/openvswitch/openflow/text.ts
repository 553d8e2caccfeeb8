import type { Flow } from '../../../src/pipeline/flow.ts';
import type { FlowStats } from './replies.ts';

export type FormatOptions = {
  /** Name to print for a table; without one its number. */
  tableName?: (table: number) => string | undefined;
  stats?: FlowStats;
};

/** One flow in the notation of `ovs-ofctl dump-flows`. */
export function formatFlow(_flow: Flow, _options: FormatOptions = {}): string {
  throw new Error('formatFlow is being written');
}

/** Reads the same notation; throws an Error that names the place. */
export function parseFlow(_text: string): Flow {
  throw new Error('parseFlow is being written');
}
