/** Places to open stores in, and how to make them fail. */
import { Level } from 'level';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { openLevelStore } from '../../src/store/level.ts';
import type { Database } from '../../src/store/level-medium.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { Fault, Place } from './conformance.ts';

export function memoryPlace(): Place {
  const disk = new MemoryDisk();
  return {
    open: async (limits) => openMemoryStore({ disk, ...limits }),
    refuse() {
      disk.refusal = new Error('the disk is full');
    },
    heal() {
      disk.refusal = undefined;
    },
    async [Symbol.asyncDispose]() {},
  };
}

type Disk = {
  fault: Fault | undefined;
  /** Batches written with a sync, and without. */
  written: { synced: number; unsynced: number };
  /** Awaited once the data is on the disk, before that is answered. */
  answering: Promise<void> | undefined;
};

export type LevelPlace = Place & { directory: string; disk: Disk };

export function levelPlace(): LevelPlace {
  const parent = ephemeralDirectory('kw-store-');
  const directory = `${parent.path}/store`;
  const disk: Disk = { fault: undefined, written: { synced: 0, unsynced: 0 }, answering: undefined };
  return {
    directory,
    disk,
    open: (limits) => openLevelStore(directory, { ...limits, database: (location) => failing(location, disk) }),
    refuse(fault) {
      disk.fault = fault;
    },
    heal() {
      disk.fault = undefined;
    },
    [Symbol.asyncDispose]: () => parent[Symbol.asyncDispose](),
  };
}

/** A real database whose disk fails on request, from the next write on and until it is told otherwise. */
function failing(location: string, disk: Disk): Database {
  const database = new Level<string, string>(location);
  const open = database.open.bind(database);
  const batch = database.batch.bind(database);
  const refused = () => new Error('IO error: No space left on device');
  const failingBatch = () => {
    const made = batch();
    const write = made.write.bind(made);
    made.write = async (options: { sync?: boolean } = {}) => {
      if (disk.fault === 'before') throw refused();
      await write(options);
      disk.written[options.sync === true ? 'synced' : 'unsynced']++;
      await disk.answering;
      if (disk.fault === 'after') throw refused();
    };
    return made;
  };
  return Object.assign(database, {
    open: async () => {
      if (disk.fault !== undefined) throw refused();
      await open();
    },
    batch: (...args: Parameters<typeof batch> | []) => (args.length === 0 ? failingBatch() : batch(...args)),
  });
}
