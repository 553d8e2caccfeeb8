import type { CapturedFrame } from './capture.ts';
import { decodeFrames } from './decode.ts';
import type { Enclosure } from './enclosure.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';

export type PacketCapture = AsyncDisposable & {
  /** Ends it and tells what was seen, one line a packet, as tcpdump -n -e -t prints it. */
  stop(): Promise<string[]>;
  /** The frames until now, whatever the filter; goes on. */
  seen(): Promise<readonly CapturedFrame[]>;
  /** Ends it and gives the frames as they were, whatever the filter. */
  frames(): Promise<CapturedFrame[]>;
};

export async function startCapture(
  enclosure: Enclosure,
  openVswitch: OpenVswitch,
  where: { namespace: string; interface: string; filter?: string },
): Promise<PacketCapture> {
  const capture = await enclosure.call('capture.start', { namespace: where.namespace, interface: where.interface });
  let stopped: Promise<CapturedFrame[]> | undefined;
  const frames = (): Promise<CapturedFrame[]> => {
    stopped ??= enclosure.call('capture.stop', { capture });
    return stopped;
  };
  return {
    frames,
    seen: () => enclosure.call('capture.seen', { capture }),
    stop: async () => decodeFrames(openVswitch, await frames(), where.filter),
    async [Symbol.asyncDispose]() {
      await frames();
    },
  };
}
