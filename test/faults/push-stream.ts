/**
 * A program with two ends of one TCP connection on which the server alone speaks, once every 10 ms, as a download does.
 *
 *     push-stream.ts STOP serve PORT
 *     push-stream.ts STOP receive IP PORT  prints a PushReport as JSON at the end
 *
 * Either ends once the file STOP is there.
 */
import { existsSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';

export type PushReport = {
  received: number;
  /** Each number came once, in order. */
  inOrder: boolean;
  /** Milliseconds between two pieces, at most; the time since the last one counts too. */
  longestGap: number;
  /** Why it ended before it was told to. */
  broken?: string;
};

const [stop, role, ...rest] = process.argv.slice(2) as [string, ...string[]];

function whenTold(end: () => void): void {
  setInterval(() => {
    if (existsSync(stop)) end();
  }, 20);
}

if (role === 'serve') {
  let open = 0;
  createServer((socket) => {
    open++;
    let n = 0;
    const timer = setInterval(() => socket.write(`${n++}\n`), 10);
    // A receiver that goes away is the end of its stream and no more.
    socket.on('error', () => {});
    socket.on('close', () => {
      open--;
      clearInterval(timer);
    });
  }).listen(Number(rest[0]));
  whenTold(() => {
    // The receiver first, or it would take the end for a break.
    if (open === 0) process.exit(0);
  });
} else if (role === 'receive') {
  const [host, port] = rest as [string, string];
  const report: PushReport = { received: 0, inOrder: true, longestGap: 0 };
  let last = 0;
  const gap = (): void => {
    const now = performance.now();
    if (last > 0) report.longestGap = Math.max(report.longestGap, now - last);
    last = now;
  };
  const done = (): void => {
    gap();
    process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
  };
  const socket = createConnection({ host, port: Number(port) }, gap);
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    gap();
    const lines = (text + chunk).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) if (Number(line) !== report.received++) report.inOrder = false;
  });
  const broken = (why: string): void => {
    report.broken ??= why;
    done();
  };
  socket.on('error', (error) => broken(error.message));
  socket.on('end', () => broken('the server ended it'));
  whenTold(done);
}
