import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { NetworkNamespace } from './namespace.ts';

export type CapturedFrame = { /** Milliseconds since the epoch. */ at: number; hex: string };

export type Capture = {
  /** What it saw until now. */
  seen(): readonly CapturedFrame[];
  /** Ends the capture and tells what it saw, both directions, in order. */ stop(): Promise<CapturedFrame[]>;
};

/**
 * Every frame on an interface from now on. By socat and not by tcpdump, because tcpdump calls initgroups(3) when it is
 * root, and in an ordinary user's namespace the kernel forbids that. A VLAN tag on a frame that comes in is not shown: the
 * kernel takes it off before packet sockets see the frame (packet(7), PACKET_AUXDATA).
 * @throws Error with what socat said.
 */
export function startCapture(namespace: NetworkNamespace, device: string, env: NodeJS.ProcessEnv): Promise<Capture> {
  const socat = ['socat', '-d', '-d', '-u', '-x', '-b', '65536', `INTERFACE:${device}`, 'OPEN:/dev/null'];
  const [program, ...rest] = ['setpriv', '--pdeathsig', 'KILL', '--', ...namespace.prefix, ...socat];
  return new Promise((resolve, reject) => {
    const child = spawn(program ?? 'setpriv', rest, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    const frames: CapturedFrame[] = [];
    let said = '';
    /** Bytes of the frame that socat says is coming. */
    let length: number | undefined;
    const ended = new Promise<void>((done) => child.once('close', () => done()));
    createInterface({ input: child.stderr }).on('line', (line) => {
      const hex = /^ ((?:[0-9a-f]{2} ?)+)$/.exec(line)?.[1];
      if (hex !== undefined) {
        const frame = hex.replaceAll(' ', '');
        // The signal that ends it may interrupt a write: the byte is lost, and the line goes on.
        if (frame.length === 2 * (length ?? 0)) frames.push({ at: Date.now(), hex: frame });
      } else if (frames.length === 0) said += `${line}\n`;
      length = Number(/^[<>].* length=(\d+) /.exec(line)?.[1] ?? length);
      if (!line.includes('starting data transfer loop')) return;
      resolve({
        seen: () => frames,
        async stop() {
          child.kill('SIGTERM');
          await ended;
          return frames;
        },
      });
    });
    child.once('error', reject);
    void ended.then(() => reject(new Error(`capture on ${device} of ${namespace.name}: ${said.trim()}`)));
  });
}
