/** ovs-ofctl as a reader of what we send. */
import { openVswitch, run } from '../support/open-vswitch.ts';

async function ofctl(args: string[], input?: Uint8Array): Promise<string> {
  const vswitch = await openVswitch();
  if ('unavailable' in vswitch) throw new Error(vswitch.unavailable);
  return run(vswitch.programs['ovs-ofctl']!, ['-O', 'OpenFlow15', ...args], { env: vswitch.env, input });
}

/** A message as `ovs-ofctl ofp-print` reads it. */
export async function ofpPrint(message: Uint8Array): Promise<string> {
  return (await ofctl(['ofp-print', Buffer.from(message).toString('hex')])).trim();
}

/** Several messages in one run of `ovs-ofctl ofp-parse`: what it prints of each, in order. */
export async function ofpParse(messages: Uint8Array): Promise<string[]> {
  const text = await ofctl(['ofp-parse', '-'], messages);
  return text
    .split(/^(?=OFP|NXT|\*\*\*)/m)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
