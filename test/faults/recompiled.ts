/** What a controller would want of its switches if it knew nothing but its store and what the hypervisors show. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { startCore } from '../../src/core.ts';
import type { HypervisorNumber, InterfaceFacts, TunnelSpec } from '../../src/drivers/switch-plugin.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { openLevelStore } from '../../src/store/level.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

export type Shown = {
  systemId: string;
  encapIp: string;
  interfaces: Omit<InterfaceFacts, 'mac'>[];
  /** OpenFlow ports of tunnels, by peer. */
  tunnels: ReadonlyMap<HypervisorNumber, number>;
};

class Switches extends FakeSwitches {
  readonly #shown: ReadonlyMap<HypervisorNumber, Shown>;

  constructor(shown: ReadonlyMap<HypervisorNumber, Shown>) {
    super();
    this.#shown = shown;
  }

  override setTunnels(hypervisor: HypervisorNumber, tunnels: TunnelSpec[]): void {
    const there = this.#shown.get(hypervisor)?.tunnels;
    const wanted = tunnels.filter(({ peer }) => there?.has(peer));
    queueMicrotask(() => this.events.tunnels(hypervisor, new Map(wanted.map(({ peer }) => [peer, there!.get(peer)!]))));
  }
}

/**
 * @param store directory of a controller's store, of which a copy is taken
 * @param shown by hypervisor number
 */
export async function recompiled(
  store: string,
  shown: ReadonlyMap<HypervisorNumber, Shown>,
): Promise<Map<HypervisorNumber, Flow[]>> {
  await using place = ephemeralDirectory('kw-copy-');
  const copy = join(place.path, 'store');
  cpSync(store, copy, { recursive: true });
  const opened = await openLevelStore(copy);
  const switches = new Switches(shown);
  const core = await startCore({ store: opened, plugin: switches, log: pino({ level: 'silent' }) });
  try {
    for (const { systemId, encapIp } of shown.values()) switches.connect(systemId, encapIp);
    for (const [hypervisor, { interfaces }] of shown) switches.interfaces(hypervisor, interfaces);
    for (let i = 0; i < 4; i++) {
      await core.engine.idle();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { different } = core.engine.compiler.recompute();
    if (different.length > 0) throw new Error(`the copy differs from its own recompute: ${different.join(', ')}`);
    return new Map([...shown.keys()].map((hypervisor) => [hypervisor, switches.flowsOn(hypervisor)]));
  } finally {
    await core.stop();
    await opened.close();
  }
}
