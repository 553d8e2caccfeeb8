import type { Lab } from './lab.ts';
import type { LabMachine } from './lab-host.ts';
import { cut, cutRule, ipOf, vms as storyVms } from './story.ts';

export type CutResult = {
  /** Milliseconds from the answer to the DELETE to the last thing that arrived; negative: before it. */
  lastAfter: number;
  /** Whether the connection that another rule allows went on. */
  otherWentOn: boolean;
  ok: boolean;
};

/** Milliseconds that connections are open before the rule goes, and after. */
const before = 1_000;
const after = 3_000;
/** Milliseconds: what is promised. */
const promised = 1_000;

/**
 * Two connections on which the server alone speaks, ten times a second; then the rule of one is deleted. Nothing but the
 * rule changes, so what stops, stopped by it. The rule is ordered again in the end.
 */
export async function cutBeforeEyes(lab: Lab, vms: ReadonlyMap<string, LabMachine>): Promise<CutResult> {
  const [client, server] = [vms.get(cut.from), vms.get(cut.to)];
  const target = storyVms.find(({ tenant, name }) => `${tenant}/${name}` === cut.to);
  if (client === undefined || server === undefined || target === undefined) throw new Error('no VMs for the cut');
  const open = before + after;
  const ports = [cut.port, cut.staying.port];
  const timeout = open + 10_000;
  const speaking = ports.map((port) =>
    server.exec(
      'timeout',
      [
        `${timeout / 1000}`,
        'socat',
        `TCP4-LISTEN:${port},reuseaddr,fork`,
        'SYSTEM:while echo tick; do sleep 0.1; done',
      ],
      { timeout: timeout + 5_000 },
    ),
  );
  // They end with the sandbox, which whoever started them is told as an error.
  void Promise.allSettled(speaking);
  const listening = ports.map((port) => arrivals(client, ipOf(target), port, open));
  await new Promise((resolve) => setTimeout(resolve, before));
  await lab.admin('DELETE', `/v1/${cut.rule}?wait=programmed`);
  const gone = Date.now();
  const [cutOff = [], other = []] = await Promise.all(listening);
  await lab.admin('PUT', `/v1/${cut.rule}?wait=programmed`, cutRule);
  const last = cutOff.at(-1);
  if (last === undefined) throw new Error('nothing arrived while the rule was there');
  const lastAfter = last - gone;
  const otherWentOn = other.filter((at) => at > gone + promised).length > (after - promised) / 200;
  return { lastAfter, otherWentOn, ok: lastAfter <= promised && otherWentOn };
}

/** When something arrived, in milliseconds of the clock. */
async function arrivals(client: LabMachine, ip: string, port: number, duration: number): Promise<number[]> {
  // The server may be about to listen; socat ends with 1 where it could not connect.
  const script = `while read -r line; do date +%s%3N; done`;
  const connect = `for try in 1 2 3 4 5; do timeout ${duration / 1000} socat -u TCP4:${ip}:${port},connect-timeout=1 -; [ $? -eq 1 ] || break; sleep 0.1; done`;
  const { stdout } = await client.exec('sh', ['-c', `(${connect}) 2>/dev/null | ${script}`], {
    timeout: 5 * duration,
  });
  return stdout.split('\n').filter(Boolean).map(Number);
}
