/**
 * A controller without its API, as a process of its own, that tells what it holds: IPC message `measure` is answered with
 * Holdings, after everything unreachable was collected in both threads.
 */
import { readdirSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { startTestCore } from '../support/core.ts';

export type Holdings = {
  /** Bytes in use on the heap of the main thread and of the southbound thread, and outside of them. */
  heap: { main: number; southbound: number; external: number };
  fileDescriptors: number;
  /** Timers, sockets and so on of the southbound thread, by kind. */
  resources: Record<string, number>;
  /** Of the store. */
  revision: number;
};

export type HostMessage = { manager: string } | { holdings: Holdings };

/** The inspector reaches worker threads too (Node's domain NodeWorker of the DevTools protocol). */
const session = new Session();
session.connect();
let worker: string | undefined;
let next = 0;
const waiting = new Map<number, (result: unknown) => void>();
session.on('NodeWorker.attachedToWorker', ({ params }) => {
  worker = params.sessionId;
});
session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
  const { id, result } = JSON.parse(params.message) as { id: number; result: unknown };
  waiting.get(id)?.(result);
  waiting.delete(id);
});
await session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });

function askWorker(method: string, params: object = {}): Promise<unknown> {
  const id = ++next;
  const answer = new Promise((resolve) => waiting.set(id, resolve));
  void session.post('NodeWorker.sendMessageToWorker', {
    sessionId: worker!,
    message: JSON.stringify({ id, method, params }),
  });
  return answer;
}

async function measure(): Promise<Holdings> {
  // Twice: what a finaliser lets go of is gone after the second.
  for (let round = 0; round < 2; round++) {
    await session.post('HeapProfiler.collectGarbage');
    await askWorker('HeapProfiler.collectGarbage');
  }
  const southbound = (await askWorker('Runtime.getHeapUsage')) as { usedSize: number };
  const evaluated = (await askWorker('Runtime.evaluate', {
    expression: 'JSON.stringify(process.getActiveResourcesInfo())',
  })) as { result: { value: string } };
  const resources: Record<string, number> = {};
  for (const kind of JSON.parse(evaluated.result.value) as string[]) resources[kind] = (resources[kind] ?? 0) + 1;
  const { heapUsed, external } = process.memoryUsage();
  return {
    heap: { main: heapUsed, southbound: southbound.usedSize, external },
    fileDescriptors: readdirSync('/proc/self/fd').length,
    resources,
    revision: core.store.revision,
  };
}

function tell(message: HostMessage): void {
  process.send!(message);
}

const core = await startTestCore();
const hypervisors = Number(process.argv[2]);
await core.intent.transact(
  Array.from({ length: hypervisors }, (_, n) => [
    { op: 'put' as const, path: `hypervisors/hv${n}`, spec: { admission: 'approved' } },
    { op: 'put' as const, path: `tenants/t${n}`, spec: {} },
    { op: 'put' as const, path: `tenants/t${n}/networks/n`, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
    { op: 'put' as const, path: `tenants/t${n}/networks/n/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
    { op: 'put' as const, path: `tenants/t${n}/networks/n/ports/p`, spec: { tier: 'web', ifaceId: `if-${n}` } },
  ]).flat(),
  { restrictedAllowed: true, many: true },
);
process.on('message', () => void measure().then((holdings) => tell({ holdings })));
process.on('disconnect', () => process.exit(0));
tell({ manager: core.managers[0]! });
