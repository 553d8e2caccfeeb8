/** What a switch says of its flows, by its own tools. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab, LabHypervisor } from '../support/lab.ts';

export type Counters = {
  /** Seconds since the flow was added; a flow_mod that adds it again begins anew. */
  duration: number;
  packets: number;
};

/** Table, priority, match, cookie and actions -> counters. */
export type FlowTable = Map<string, Counters>;

/** @param dump what `ovs-ofctl dump-flows` prints */
export function flowTable(dump: string): FlowTable {
  const table: FlowTable = new Map();
  for (const line of dump.split('\n')) {
    const counted = /duration=([\d.]+)s, (table=\d+), n_packets=(\d+), n_bytes=\d+, (?:idle_age=\d+, )?(.*)$/.exec(
      line,
    );
    if (counted === null) continue;
    const [, duration, number, packets, rest] = counted;
    const cookie = /cookie=(\w+)/.exec(line)?.[1] ?? '';
    table.set(`${number} cookie=${cookie} ${rest}`, { duration: Number(duration), packets: Number(packets) });
  }
  return table;
}

/** What of `before` is missing, went back or began anew in `after`, and what came to it. Empty: nothing was touched. */
export function touched(before: FlowTable, after: FlowTable): string[] {
  const found: string[] = [];
  for (const [flow, was] of before) {
    const is = after.get(flow);
    if (is === undefined) found.push(`gone: ${flow}`);
    else if (is.duration < was.duration) found.push(`began anew (${was.duration} to ${is.duration} s): ${flow}`);
    else if (is.packets < was.packets) found.push(`counts less (${was.packets} to ${is.packets} packets): ${flow}`);
  }
  for (const flow of after.keys()) if (!before.has(flow)) found.push(`came: ${flow}`);
  return found;
}

export type FlowMonitor = {
  /** Every change of flows since the start, as `ovs-ofctl monitor` prints it. */
  stop(): Promise<string[]>;
};

/** What any controller does to the flows from now on, told by the switch itself (NXST_FLOW_MONITOR). */
export async function monitorFlows(lab: Lab, hypervisor: LabHypervisor): Promise<FlowMonitor> {
  const file = (name: string): string => join(hypervisor.directory, `monitor.${name}`);
  const args = ['-O', 'OpenFlow15', 'monitor', `unix:${join(hypervisor.directory, 'br-int.mgmt')}`, 'watch:!initial'];
  const daemon = ['--detach', '--no-chdir', `--pidfile=${file('pid')}`, `--unixctl=${file('ctl')}`];
  const { status, stderr } = await lab.exec('sh', [
    '-c',
    'out=$1; shift; exec ovs-ofctl "$@" >"$out" 2>&1',
    'sh',
    file('out'),
    ...args,
    ...daemon,
  ]);
  if (status !== 0) throw new Error(`ovs-ofctl monitor: ${stderr}`);
  return {
    async stop() {
      // A barrier: what the switch has told until now is printed before it answers.
      const ended = await lab.exec('ovs-appctl', ['-t', file('ctl'), 'exit']);
      if (ended.status !== 0) throw new Error(`the flow monitor: ${ended.stderr}`);
      return readFileSync(file('out'), 'utf8')
        .split('\n')
        .filter((line) => line.includes('event='));
    },
  };
}
