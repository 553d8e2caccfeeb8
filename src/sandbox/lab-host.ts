import type { Enclosure } from './enclosure.ts';
import type { HostDescription } from './host.ts';
import type { ExecOptions } from './lab.ts';
import { type PacketCapture, startCapture } from './lab-capture.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';
import type { Outcome } from './run.ts';

/** How long to go on trying, in milliseconds. The first packets over a cold tunnel may be lost or late. */
export type Patience = { patience?: number };

export type TcpOutcome =
  | { /** The line the other end sent. */ answer: string }
  | {
      /** `refused` means that the packet arrived: somebody sent a reset. */ failure:
        | 'timeout'
        | 'refused'
        | 'unreachable';
    };

/** What a machine does that has a namespace to itself, VM or not. */
export type LabMachine = {
  name: string;
  /** True as soon as an echo reply has come; false when none came in `patience` (3,000 ms). */
  ping(ip: string, options?: Patience & { from?: string }): Promise<boolean>;
  /** A connection to the port, tried again until it is answered or `patience` (3,000 ms) is over. */
  tcp(ip: string, port: number, options?: Patience): Promise<TcpOutcome>;
  /** Answers each connection with the line. */
  serve(port: number, answer?: string): Promise<void>;
  /** An Ethernet frame in hex, as it is. */
  sendFrame(hex: string): Promise<void>;
  /** Of eth0 unless told. */
  capture(options?: { filter?: string; interface?: string }): Promise<PacketCapture>;
  exec(program: string, args: string[], options?: ExecOptions): Promise<Outcome>;
};

/** A machine on a switch that no hypervisor has. */
export type LabHost = HostDescription & LabMachine;

const defaultPatience = 3_000;

export function labMachine(enclosure: Enclosure, openVswitch: OpenVswitch, name: string): LabMachine {
  const exec: LabMachine['exec'] = (program, args, options) =>
    enclosure.call('exec', { namespace: name, program, args, ...options });
  return {
    name,
    exec,
    async ping(ip, { patience = defaultPatience, from } = {}) {
      // One request every 200 ms until one is answered (-c) or time is up (-w); one answer is enough.
      const seconds = String(Math.max(1, Math.ceil(patience / 1000)));
      const source = from === undefined ? [] : ['-I', from];
      const { status, stderr } = await exec(
        'ping',
        ['-n', '-q', '-i', '0.2', '-c', '1', '-w', seconds, ...source, ip],
        {
          timeout: Math.ceil(patience) + 5_000,
        },
      );
      if (status > 1 || status < 0) throw new Error(`ping ${ip} from ${name}: ${stderr.trim()}`);
      return status === 0;
    },
    tcp: (ip, port, { patience = defaultPatience } = {}) => connect(exec, ip, port, patience),
    async serve(port, answer = name) {
      await enclosure.call('serve', { namespace: name, port, answer });
    },
    async sendFrame(hex) {
      await enclosure.call('frame.send', { namespace: name, interface: 'eth0', hex });
    },
    capture: (options = {}) => startCapture(enclosure, openVswitch, { namespace: name, interface: 'eth0', ...options }),
  };
}

export async function createLabHost(
  enclosure: Enclosure,
  openVswitch: OpenVswitch,
  description: HostDescription,
): Promise<LabHost> {
  await enclosure.call('host.add', description);
  return { ...description, ...labMachine(enclosure, openVswitch, description.name) };
}

async function connect(exec: LabMachine['exec'], ip: string, port: number, patience: number): Promise<TcpOutcome> {
  const deadline = performance.now() + patience;
  for (;;) {
    const left = deadline - performance.now();
    // The kernel sends a lost SYN again after a second, so an attempt gets a little more than that.
    const timeout = Math.max(0.5, Math.min(1.5, left / 1000));
    const { status, stdout, stderr } = await exec('socat', [
      '-u',
      '-T',
      '2',
      `TCP4:${ip}:${port},connect-timeout=${timeout}`,
      'STDOUT',
    ]);
    if (status === 0 && stdout.trim() !== '') return { answer: stdout.trim() };
    if (performance.now() < deadline) {
      // A refusal comes at once; the server may be about to listen.
      await new Promise((resolve) => setTimeout(resolve, 50));
      continue;
    }
    if (/refused/i.test(stderr)) return { failure: 'refused' };
    return { failure: /unreachable|no route/i.test(stderr) ? 'unreachable' : 'timeout' };
  }
}
