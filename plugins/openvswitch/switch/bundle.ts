/**
 * One ordered, atomic bundle, confirmed twice: open, adds, barrier, and only when nothing was refused commit, barrier.
 * The first barrier is needed because a commit succeeds without the messages whose add was refused. Or at once, in one
 * write, where the switch is known to refuse none of them. OpenFlow 1.5.1 section 7.3.9.
 */
import { ByteWriter, giveBack } from '../openflow/bytes.ts';
import { type Message, messageType, openflowVersion } from '../openflow/frame.ts';
import {
  barrierRequest,
  bundleAddFlow,
  bundleControl,
  bundleFlags,
  bundleType,
  groupDelete,
} from '../openflow/messages.ts';
import { type OpenflowError, parseBundleControl, parseError } from '../openflow/replies.ts';
import type { Connection } from './connection.ts';
import { ConnectionClosed } from './connection.ts';
import type { Operations } from './operations.ts';

export type BundleContent = {
  operations: Operations;
  /** Groups to be deleted, after everything else. */
  groups: readonly number[];
  /** Without waiting for what the switch refuses: should it refuse some, the outcome is indeterminate. */
  atOnce?: boolean;
};

export type Refusal = {
  /** Index of the operation; those after the last operation count the groups. */
  index: number;
  error: OpenflowError;
};

export type BundleOutcome =
  | { kind: 'committed' }
  /** Nothing was changed. */
  | {
      kind: 'refused';
      refusals: Refusal[];
      /** By the commit, which ends with the first that is refused: there may be others behind it. */
      atCommit: boolean;
    }
  /** Nobody knows whether it was changed: read the switch back. */
  | { kind: 'indeterminate'; reason: string };

const chunkBytes = 128 * 1024;
/** OFPET_*, OpenFlow 1.5.1 section 7.5.4. */
const errorType = { badRequest: 1, bundleFailed: 17 } as const;
/** OFPBFC_MSG_FAILED. */
const messageFailed = 13;
/** OFPBRC_EPERM, OFPBRC_IS_SLAVE: the session's fault, not the flow's. */
const sessionRequestErrors: ReadonlySet<number> = new Set([5, 10]);
/** OFPBFC_MSG_BAD_LEN, _BAD_XID, _UNSUP, _CONFLICT: the message's fault. Other codes are about the whole bundle. */
const messageBundleErrors: ReadonlySet<number> = new Set([8, 9, 10, 11]);

/**
 * @param timeout milliseconds the switch has for each of its two confirmations
 * @throws ConnectionClosed
 */
export async function runBundle(
  connection: Connection,
  bundleId: number,
  content: BundleContent,
  timeout: number,
): Promise<BundleOutcome> {
  const run = new BundleRun(connection, bundleId, content);
  try {
    return await run.run(timeout);
  } finally {
    run.end();
  }
}

class BundleRun {
  readonly #connection: Connection;
  readonly #bundleId: number;
  readonly #content: BundleContent;
  readonly #count: number;
  /** xids: open; one for each message; barrier; commit; barrier; discard. */
  readonly #first: number;
  readonly #stopExpecting: () => void;
  readonly #refusals: Refusal[] = [];
  #bundleError: OpenflowError | undefined;
  #commitFailed = false;
  #committed = false;
  #waiting: { barrier: number; resolve(): void; reject(error: Error): void } | undefined;
  #arrived = 0;

  constructor(connection: Connection, bundleId: number, content: BundleContent) {
    this.#connection = connection;
    this.#bundleId = bundleId;
    this.#content = content;
    this.#count = content.operations.length + content.groups.length;
    this.#first = connection.xids(this.#count + 5);
    this.#stopExpecting = connection.expect(this.#first, this.#count + 5, {
      reply: (message) => this.#reply(message),
      closed: (reason) => this.#waiting?.reject(new ConnectionClosed(reason)),
    });
  }

  end(): void {
    this.#stopExpecting();
  }

  async run(timeout: number): Promise<BundleOutcome> {
    const connection = this.#connection;
    const firstBarrier = this.#first + this.#count + 1;
    if (this.#content.atOnce === true) return await this.#runAtOnce(timeout);
    await connection.sendAll(this.#messages(firstBarrier), giveBack);
    if (!(await this.#barrier(firstBarrier, timeout))) return this.#lost(timeout);
    if (this.#bundleError !== undefined || this.#refusals.length > 0) {
      connection.send(bundleControl(firstBarrier + 3, this.#bundleId, bundleType.discard));
      return this.#refused(false);
    }
    const commit = firstBarrier + 1;
    connection.send(
      Buffer.concat([bundleControl(commit, this.#bundleId, bundleType.commit), barrierRequest(commit + 1)]),
    );
    if (!(await this.#barrier(commit + 1, timeout))) return this.#lost(timeout);
    return this.#afterCommit();
  }

  async #runAtOnce(timeout: number): Promise<BundleOutcome> {
    const commit = this.#first + this.#count + 2;
    await this.#connection.sendAll(this.#messages(commit + 1, commit), giveBack);
    if (!(await this.#barrier(commit + 1, timeout))) return this.#lost(timeout);
    if (this.#refusals.length > 0 && !this.#commitFailed) {
      return { kind: 'indeterminate', reason: `${this.#refusals[0]!.error.name}, and the rest committed` };
    }
    return this.#afterCommit();
  }

  #afterCommit(): BundleOutcome {
    if (this.#refusals.length > 0 && this.#commitFailed && this.#bundleError === undefined) return this.#refused(true);
    if (this.#bundleError !== undefined) return this.#refused(true);
    if (!this.#committed) return { kind: 'indeterminate', reason: 'no reply to the commit' };
    return { kind: 'committed' };
  }

  #refused(atCommit: boolean): BundleOutcome {
    if (this.#bundleError !== undefined) return { kind: 'indeterminate', reason: this.#bundleError.name };
    return { kind: 'refused', refusals: this.#refusals, atCommit };
  }

  #lost(timeout: number): BundleOutcome {
    return { kind: 'indeterminate', reason: `no barrier reply within ${timeout / 1000} s` };
  }

  /**
   * Open, adds, commit where told and barrier, in chunks. Everything is at hand: nothing but the switch's own pace is
   * waited for.
   */
  *#messages(barrier: number, commit?: number): Generator<Uint8Array> {
    const { operations, groups } = this.#content;
    let writer = new ByteWriter(Math.min(chunkBytes + 4096, 256 + this.#count * 256));
    writer.bytes(bundleControl(this.#first, this.#bundleId, bundleType.open));
    let xid = this.#first + 1;
    for (let index = 0; index < operations.length; index++) {
      const source = operations.source(index);
      const command = operations.isDelete(index) ? 'deleteStrict' : 'add';
      bundleAddFlow(writer, xid++, this.#bundleId, source.bytes, source.at + operations.offset(index), command);
      if (writer.length >= chunkBytes) {
        yield writer.view();
        writer = new ByteWriter(chunkBytes + 4096);
      }
    }
    for (const group of groups) addMessage(writer, this.#bundleId, groupDelete(xid++, group));
    if (commit !== undefined) writer.bytes(bundleControl(commit, this.#bundleId, bundleType.commit));
    writer.bytes(barrierRequest(barrier));
    yield writer.view();
  }

  #barrier(xid: number, timeout: number): Promise<boolean> {
    if (this.#arrived === xid) return Promise.resolve(true);
    if (this.#connection.closed !== undefined) throw new ConnectionClosed(this.#connection.closed);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = undefined;
        resolve(false);
      }, timeout);
      this.#waiting = {
        barrier: xid,
        resolve: () => {
          clearTimeout(timer);
          resolve(true);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
    });
  }

  #reply(message: Message): void {
    const offset = message.xid - this.#first;
    if (message.type === messageType.error) {
      this.#failed(offset, parseError(message.body));
    } else if (message.type === messageType.barrierReply) {
      this.#arrived = message.xid;
      if (this.#waiting?.barrier === message.xid) this.#waiting.resolve();
    } else if (message.type === messageType.bundleControl) {
      const { type, bundleId } = parseBundleControl(message.body);
      if (type === bundleType.commitReply && bundleId === this.#bundleId) this.#committed = true;
    }
  }

  #failed(offset: number, error: OpenflowError): void {
    const ofMessage = offset > 0 && offset <= this.#count;
    const ofCommit = offset === this.#count + 2;
    if (ofMessage && isMessagesFault(error)) this.#refusals.push({ index: offset - 1, error });
    else if (ofCommit && error.type === errorType.bundleFailed && error.code === messageFailed)
      this.#commitFailed = true;
    else if (offset !== this.#count + 4) this.#bundleError ??= error;
  }
}

function isMessagesFault({ type, code }: OpenflowError): boolean {
  if (type === errorType.badRequest) return !sessionRequestErrors.has(code);
  if (type === errorType.bundleFailed) return messageBundleErrors.has(code);
  return true;
}

/** OFPT_BUNDLE_ADD_MESSAGE around a whole message, whose xid it takes. */
function addMessage(writer: ByteWriter, bundleId: number, message: Buffer): void {
  writer.u8(openflowVersion);
  writer.u8(messageType.bundleAddMessage);
  writer.u16(16 + message.length);
  writer.u32(message.readUInt32BE(4));
  writer.u32(bundleId);
  writer.u16(0);
  writer.u16(bundleFlags);
  writer.bytes(message);
}
