/** Counters of a world that restarts, moves and is read now and then, held against what really passed. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Clock, Ledger, type Owner } from '../../src/usage/ledger.ts';
import { MemoryStorage } from '../../src/usage/storage.ts';

const owner = (n: number): Owner => ({
  kind: 'port',
  path: `tenants/t/networks/n/ports/p${n}`,
  uid: `uid-${n}`,
  createdAt: 0,
});

/** Seconds, and how far the wall clock is off. */
class TestClock implements Clock {
  seconds = 1_000;
  off = 0;
  now = (): number => (this.seconds + this.off) * 1_000;
  monotonic = (): number => this.seconds * 1_000;
}

/** An interface on a switch. */
type Nic = { born: number; received: number; sent: number };

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('traffic' as const), vm: fc.nat(2), amount: fc.nat(1_000) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), vm: fc.nat(2) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 5, max: 90 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('replug' as const), vm: fc.nat(2), to: fc.nat(1) }) },
    { weight: 1, arbitrary: fc.constant({ do: 'write' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
  ),
  { maxLength: 60 },
);

/** Every VM has a port of its own on each of two switches; a replugged one begins there at 0. */
test('never more than what passed, never less than before, and all of it where it is read before each restart', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), async (list, diligent) => {
      const clock = new TestClock();
      const storage = new MemoryStorage();
      let ledger = new Ledger(clock);
      const owners = [0, 1, 2].map(owner);
      const nics: Nic[] = owners.map(() => ({ born: clock.seconds, received: 0, sent: 0 }));
      const where = owners.map(() => 1);
      const passed = owners.map(() => 0);
      const told = owners.map(() => 0);
      const read = (vm: number): void => {
        const { born, received, sent } = nics[vm]!;
        const traffic = (n: number) => ({ packets: n, bytes: n * 100 });
        ledger.take(
          owners[vm]!,
          where[vm]!,
          `p${vm + 1}`,
          { received: traffic(received), sent: traffic(sent), duration: clock.seconds - born },
          ledger.ask(),
        );
        const account = ledger.account(`uid-${vm}`)!;
        expect(account.received.packets).toBeGreaterThanOrEqual(told[vm]!);
        expect(account.received.packets).toBeLessThanOrEqual(passed[vm]!);
        expect(account.received.bytes).toBe(account.received.packets * 100);
        if (diligent) expect(account.received.packets).toBe(passed[vm]!);
        told[vm] = account.received.packets;
      };
      const write = async (): Promise<void> => {
        const batch = ledger.takeBatch();
        if (batch !== undefined) await storage.write(batch);
      };
      for (const step of list) {
        if (step.do === 'traffic') {
          nics[step.vm]!.received += step.amount;
          nics[step.vm]!.sent += 2 * step.amount;
          passed[step.vm]! += step.amount;
        } else if (step.do === 'read') read(step.vm);
        else if (step.do === 'wait') clock.seconds += step.seconds;
        else if (step.do === 'replug') {
          if (diligent) read(step.vm);
          where[step.vm] = step.to + 1;
          clock.seconds += 3;
          nics[step.vm] = { born: clock.seconds, received: 0, sent: 0 };
        } else if (step.do === 'write') await write();
        else {
          // What was read and not written is counted again from what was: neither twice nor lost.
          if (diligent) await write();
          for (const vm of owners.keys()) told[vm] = 0;
          ledger = new Ledger(clock);
          await ledger.load(storage);
        }
      }
      for (const vm of owners.keys()) read(vm);
    }),
    { numRuns: 300 },
  );
});

test('a controller that ends at any moment counts nothing twice: account and reading are written together', async () => {
  const clock = new TestClock();
  const storage = new MemoryStorage();
  const counters = (n: number, duration: number) => ({
    received: { packets: n, bytes: n },
    sent: { packets: 0, bytes: 0 },
    duration,
  });
  const first = new Ledger(clock);
  first.take(owner(1), 1, 'p1', counters(100, 10), first.ask());
  await storage.write(first.takeBatch()!);
  clock.seconds += 60;
  // Read, and not written.
  first.take(owner(1), 1, 'p1', counters(150, 70), first.ask());
  const second = new Ledger(clock);
  await second.load(storage);
  clock.seconds += 60;
  second.take(owner(1), 1, 'p1', counters(180, 130), second.ask());
  expect(second.account('uid-1')!.received.packets).toBe(180);
});

test('a counter that began anew and has passed where it was is told by how long it has run', async () => {
  const clock = new TestClock();
  const ledger = new Ledger(clock);
  const counters = (n: number, duration: number) => ({
    received: { packets: n, bytes: n },
    sent: { packets: n, bytes: n },
    duration,
  });
  ledger.take(owner(1), 1, 'p1', counters(10, 5), ledger.ask());
  clock.seconds += 60;
  ledger.take(owner(1), 1, 'p1', counters(500, 20), ledger.ask());
  expect(ledger.account('uid-1')!.received.packets).toBe(510);
});

test('a clock that is set while the controller runs changes nothing', () => {
  const clock = new TestClock();
  const ledger = new Ledger(clock);
  const counters = (n: number, duration: number) => ({
    received: { packets: n, bytes: n },
    sent: { packets: n, bytes: n },
    duration,
  });
  ledger.take(owner(1), 1, 'p1', counters(10, 5), ledger.ask());
  clock.seconds += 60;
  clock.off = 86_400 * 365;
  ledger.take(owner(1), 1, 'p1', counters(20, 65), ledger.ask());
  expect(ledger.account('uid-1')!.received.packets).toBe(20);
});

test('of an interface that goes from one port to another each is counted its own', () => {
  const clock = new TestClock();
  const ledger = new Ledger(clock);
  const counters = (n: number, duration: number) => ({
    received: { packets: n, bytes: n },
    sent: { packets: n, bytes: n },
    duration,
  });
  ledger.take(owner(1), 1, 'p1', counters(1_000, 500), ledger.ask());
  clock.seconds += 60;
  // The same interface, under another port: what lies between is nobody's.
  ledger.take(owner(2), 1, 'p1', counters(1_100, 560), ledger.ask());
  expect(ledger.account('uid-2')!.received.packets).toBe(0);
  clock.seconds += 60;
  ledger.take(owner(2), 1, 'p1', counters(1_150, 620), ledger.ask());
  expect(ledger.account('uid-1')!.received.packets).toBe(1_000);
  expect(ledger.account('uid-2')!.received.packets).toBe(50);
  // Another interface that got the number counts for its port from its beginning.
  clock.seconds += 60;
  ledger.take(owner(3), 1, 'p1', counters(7, 10), ledger.ask());
  expect(ledger.account('uid-3')!.received.packets).toBe(7);
});

test('an interface that is older than its port is counted from when it was first read', () => {
  const clock = new TestClock();
  const ledger = new Ledger(clock);
  const late = { ...owner(1), createdAt: 990_000 };
  const counters = (n: number, duration: number) => ({
    received: { packets: n, bytes: n },
    sent: { packets: 0, bytes: 0 },
    duration,
  });
  ledger.take(late, 1, 'p1', counters(5_000, 600), ledger.ask());
  expect(ledger.account('uid-1')!.received.packets).toBe(0);
  clock.seconds += 10;
  ledger.take(late, 1, 'p1', counters(5_001, 610), ledger.ask());
  expect(ledger.account('uid-1')!.received.packets).toBe(1);
});

test('an answer that comes late, or after the end, changes nothing', () => {
  const clock = new TestClock();
  const ledger = new Ledger(clock);
  const counters = (n: number) => ({
    received: { packets: n, bytes: n },
    sent: { packets: 0, bytes: 0 },
    duration: 10,
  });
  const [early, late] = [ledger.ask(), ledger.ask()];
  ledger.take(owner(1), 1, 'p1', counters(20), late);
  ledger.take(owner(1), 1, 'p1', counters(10), early);
  expect(ledger.account('uid-1')!.received.packets).toBe(20);
  ledger.end(owner(1), clock.now());
  ledger.take(owner(1), 1, 'p1', counters(30), ledger.ask());
  expect(ledger.account('uid-1')).toBeUndefined();
});
