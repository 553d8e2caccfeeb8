/**
 * A program that commits as fast as it can, eight at a time, until it is killed. Its output is what it was promised:
 * `ack REVISION N` or `refused N`, each written before the next commit of that lane.
 */
import { writeSync } from 'node:fs';
import { openLevelStore } from '../../src/store/level.ts';

// With a handler in place a write beyond RLIMIT_FSIZE fails with EFBIG instead of ending the process (setrlimit(2)).
process.on('SIGXFSZ', () => {});

const [directory, from] = process.argv.slice(2);
const store = await openLevelStore(directory!);
writeSync(1, `open ${store.revision}\n`);
let n = Number(from);
const lane = async () => {
  for (;;) {
    const mine = ++n;
    const slot = mine % 20;
    const value = JSON.stringify({ n: mine, padding: 'x'.repeat((mine * 7919) % 900) });
    const put = new Map([
      [`a/${slot}`, value],
      [`b/${slot}`, value],
      [`c/${mine % 3}`, value],
    ]);
    try {
      const result = await store.commit({ put, delete: [`c/${(mine + 1) % 3}`] });
      writeSync(1, result.ok ? `ack ${result.revision} ${mine}\n` : 'conflict\n');
    } catch {
      writeSync(1, `refused ${mine}\n`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
};
await Promise.all(Array.from({ length: 8 }, lane));
