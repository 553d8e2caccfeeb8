/** Hypervisors with real Open vSwitch, VMs and a controller in namespaces of their own, for end-to-end tests. */
import type { TestContext } from 'vitest';
import { namespacesForbidden } from '../../src/sandbox/enclosure.ts';
import { type Lab, openLab } from '../../src/sandbox/lab.ts';
import { openVswitchOrSkip } from './open-vswitch.ts';

export { type PingFrame, pingFrame } from '../../src/sandbox/frame.ts';
export type { Lab, LabHypervisor } from '../../src/sandbox/lab.ts';
export type { LabVm } from '../../src/sandbox/lab-vm.ts';

let forbidden: Promise<string | undefined> | undefined;

/**
 * A lab with nothing in it yet. Where this machine cannot have one, the test is skipped and the report says why.
 * It ends with the test (`await using`), and with the test process however that ends.
 */
export async function openLabOrSkip(context: Pick<TestContext, 'skip'>): Promise<Lab> {
  const openVswitch = await openVswitchOrSkip(context);
  forbidden ??= namespacesForbidden();
  const reason = await forbidden;
  if (reason !== undefined) return context.skip(`no namespaces: ${reason}`);
  return openLab(openVswitch);
}
