import type { DummySwitch } from '../../test/support/open-vswitch.ts';

/** Flows of the integration bridge, as `ovs-ofctl dump-flows` lists them. */
export async function flowsOn(s: DummySwitch): Promise<number> {
  return Number(/flow_count=(\d+)/.exec(await s.ofctl('dump-aggregate'))?.[1]);
}
