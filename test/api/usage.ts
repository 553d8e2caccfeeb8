/** The room of usage over switches that count nothing, on what a test puts there. */

import { pino } from 'pino';
import type { View } from '../../src/intent/model.ts';
import { Fleet } from '../../src/inventory/fleet.ts';
import { Placement } from '../../src/inventory/placement.ts';
import { createUsageRoom, type UsageRoom } from '../../src/usage/create.ts';
import { MemoryStorage, type UsageStorage } from '../../src/usage/storage.ts';

export function usageOver(view: View, storage: UsageStorage = new MemoryStorage()): Promise<UsageRoom> {
  return createUsageRoom({
    view,
    fleet: new Fleet(),
    placement: new Placement(),
    plugin: { installed: () => Promise.resolve([]) },
    storage,
    log: pino({ level: 'silent' }),
  });
}
