/** Counters as switches tell them, and how much of a reading is new. */

export type Traffic = { packets: number; bytes: number };

/** From where the owner stands: `received` is what came to the VM, or to the public address. */
export type Counted = { received: Traffic; sent: Traffic };

export type Reading = Counted & {
  /** Seconds the counters have run; undefined where that is not told. */
  duration?: number;
};

/** The last reading of one counter. */
export type Baseline = Reading & {
  /** uid of whoever it was counted for. */
  uid: string;
  /** When it was read, milliseconds since the epoch. */
  at: number;
};

/** Clocks and whole seconds: so far may a duration be off, seconds. */
const slack = 2;

/** @param elapsed seconds since the baseline was read */
export function startedAnew(before: Baseline, now: Reading, elapsed: number): boolean {
  if (less(now.received, before.received) || less(now.sent, before.sent)) return true;
  if (before.duration === undefined || now.duration === undefined) return false;
  return now.duration < before.duration - slack || now.duration < elapsed - slack;
}

export function difference(now: Counted, before: Counted): Counted {
  return { received: minus(now.received, before.received), sent: minus(now.sent, before.sent) };
}

export function add(to: Counted, more: Counted): void {
  to.received.packets += more.received.packets;
  to.received.bytes += more.received.bytes;
  to.sent.packets += more.sent.packets;
  to.sent.bytes += more.sent.bytes;
}

export function isZero({ received, sent }: Counted): boolean {
  return received.packets === 0 && received.bytes === 0 && sent.packets === 0 && sent.bytes === 0;
}

export function nothing(): Counted {
  return { received: { packets: 0, bytes: 0 }, sent: { packets: 0, bytes: 0 } };
}

function less(a: Traffic, b: Traffic): boolean {
  return a.packets < b.packets || a.bytes < b.bytes;
}

function minus(a: Traffic, b: Traffic): Traffic {
  return { packets: a.packets - b.packets, bytes: a.bytes - b.bytes };
}
