// A lock between processes of one machine: a file that names its holder. Plain JavaScript, because set-up uses it
// before anything is installed.
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/**
 * Waits until the lock is ours and returns what releases it. A lock whose holder is dead is taken over. Two processes
 * that take over the same dead lock at the same instant may both hold it for a moment, so what the lock guards must be
 * safe to do twice: the lock only saves the second from doing it.
 */
export async function lock(path, onWait = () => {}) {
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, `${process.pid}\n`);
  try {
    for (let told = false; ; ) {
      try {
        // link, not open: the file has its content from the first moment.
        linkSync(mine, path);
        return () => rmSync(path, { force: true });
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      let holder = Number.NaN;
      try {
        holder = Number.parseInt(readFileSync(path, 'utf8'), 10);
      } catch (error) {
        if (error.code === 'ENOENT') continue;
        throw error;
      }
      if (!Number.isInteger(holder) || !alive(holder)) {
        rmSync(path, { force: true });
        continue;
      }
      if (!told) onWait(holder);
      told = true;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    rmSync(mine, { force: true });
  }
}
