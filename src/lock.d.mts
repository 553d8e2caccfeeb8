/** See lock.mjs. @param onWait called once, with the holder's process id, when the lock is not free at once. */
export function lock(path: string, onWait?: (holder: number) => void): Promise<() => void>;
