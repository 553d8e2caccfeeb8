import type { CutResult } from './cut.ts';
import type { FailoverResult } from './failover.ts';
import type { LeaseResult } from './lease.ts';
import { type ProbeResult, wantedOf } from './probes.ts';
import type { Probe } from './story.ts';

export type Styles = {
  good(text: string): string;
  bad(text: string): string;
  dim(text: string): string;
  bold(text: string): string;
};

/** Colours where somebody looks (https://no-color.org), plain text where it goes to a file. */
export function stylesFor(stream: { isTTY?: boolean }): Styles {
  const colour = stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
  const wrap = (code: number) => (text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  return { good: wrap(32), bad: wrap(31), dim: wrap(2), bold: wrap(1) };
}

function what(probe: Probe): string {
  switch (probe.kind) {
    case 'ping':
    case 'gateway':
      return probe.ipv6 === true ? 'ping6' : 'ping';
    case 'way':
      return `tcp ${probe.port}, at ${probe.at}`;
    case 'tcp':
      return `tcp ${probe.port}`;
    case 'inward':
      return `tcp ${probe.address}:${probe.port}`;
    case 'outward':
      return 'tcp, to outside';
    case 'frame':
      return `frame as ${probe.as}`;
  }
}

/** One line for each probe: who sends what to whom, expected and seen. */
export function probeTable(results: readonly ProbeResult[], styles: Styles): string {
  const header = ['FROM', 'TO', 'WHAT', 'EXPECTED', 'SEEN', '', 'WHY'];
  const rows = results.map(({ probe, seen, ok }) => [
    probe.from,
    probe.to,
    what(probe),
    wantedOf(probe),
    seen,
    ok ? 'ok' : 'NOT',
    probe.why,
  ]);
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[], style: (text: string, column: number) => string): string =>
    cells
      .map((cell, i) => style(i === cells.length - 1 ? cell : cell.padEnd(widths[i]!), i))
      .join('  ')
      .trimEnd();
  const lines = rows.map((row, r) =>
    line(row, (text, column) => {
      if (column === 5) return results[r]!.ok ? styles.good(text) : styles.bad(text);
      return column === 6 ? styles.dim(text) : text;
    }),
  );
  return [line(header, (text) => styles.bold(text)), ...lines].join('\n');
}

export function probeSummary(results: readonly ProbeResult[]): string {
  const wrong = results.filter(({ ok }) => !ok).length;
  if (wrong === 0) return `all ${results.length} probes went as expected`;
  return `${wrong} of ${results.length} probes did NOT go as expected`;
}

export function leaseSummary({ wanted, got, took, gateway }: LeaseResult): string {
  if (got === undefined) return `nobody offered it an address within ${took} ms`;
  const reached = gateway ? 'its gateway answers it' : 'its gateway does NOT answer it';
  return `it was given ${got}${got === wanted ? ', as ordered,' : `, NOT ${wanted},`} after ${took} ms; ${reached}`;
}

export function failoverSummary({ sent, lost, milliseconds, secondHasIt }: FailoverResult): string {
  const other = secondHasIt ? 'the other gateway has its connections' : 'the other gateway has NOT its connections';
  return `${lost} of ${sent} pings to the client outside were lost (${milliseconds} ms); ${other}`;
}

export function cutSummary({ lastAfter, otherWentOn }: CutResult): string {
  const stopped =
    lastAfter <= 0 ? 'it had stopped before the answer came' : `its last packet came ${lastAfter} ms later`;
  return `${stopped}; the other, which a rule still allows, ${otherWentOn ? 'went on' : 'did NOT go on'}`;
}
