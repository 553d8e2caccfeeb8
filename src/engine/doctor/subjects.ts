/** What the checks are given to look at. */
import type { HypervisorNumber, SwitchPlugin } from '../../drivers/switch-plugin.ts';
import type { ThreadMeter } from '../../drivers/thread-load.ts';
import type { View } from '../../intent/model.ts';
import type { Member } from '../../inventory/fleet.ts';
import type { Progress } from '../../reconcile/progress.ts';
import type { Store } from '../../store/store.ts';
import type { Engine } from '../engine.ts';
import type { StatusBoard } from '../status.ts';

export type Patient = {
  view: View;
  engine: Engine;
  progress: Progress;
  status: StatusBoard;
  plugin: SwitchPlugin;
  store: Store;
  /** Whether the program of a gateway host follows what it is to serve. */
  gatewayServices: { follows(hypervisor: HypervisorNumber): boolean };
  /** Of the main thread. */
  meter: ThreadMeter;
  ready(): { ready: boolean; reason: string };
  /** Milliseconds since the epoch. */
  now(): number;
};

/** OVSDB and OpenFlow sessions are up, and the switch is in sync. */
export function isConnected({ progress }: Pick<Patient, 'progress'>, { present, number }: Member): boolean {
  return present && progress.of(number)?.connected === true;
}
