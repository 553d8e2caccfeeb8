/** Requests a switch answers, in one message or many. OpenFlow 1.5.1 section 7.3.5. */
import { type Message, messageType } from '../openflow/frame.ts';
import { barrierRequest } from '../openflow/messages.ts';
import { type OpenflowError, parseError, parseMultipart } from '../openflow/replies.ts';
import { type Connection, ConnectionClosed } from './connection.ts';

/** The switch answered a request with an OpenFlow error. */
export class RequestRefused extends Error {
  override readonly name = 'RequestRefused';
  readonly error: OpenflowError;

  constructor(what: string, error: OpenflowError) {
    super(`${what}: ${error.name}`);
    this.error = error;
  }
}

/** The switch did not answer, though its connection lives. */
export class ReplyOverdue extends Error {
  override readonly name = 'ReplyOverdue';

  constructor(what: string, timeout: number) {
    super(`${what}: no reply within ${timeout / 1000} s`);
  }
}

/**
 * Sends a multipart request and hands on the body of each part as it comes.
 * @param timeout milliseconds from one part to the next
 * @throws ConnectionClosed, RequestRefused, ReplyOverdue, and what `onPart` throws
 */
export function multipart(
  connection: Connection,
  what: string,
  timeout: number,
  request: (xid: number) => Uint8Array,
  onPart: (body: Buffer) => void,
): Promise<void> {
  return exchange(connection, what, timeout, 1, request, (message) => {
    if (message.type !== messageType.multipartReply) return false;
    const part = parseMultipart(message.body);
    onPart(part.body);
    return !part.more;
  });
}

/**
 * Sends messages that are answered by errors only, and a barrier behind them.
 * @param requests one for each message, given its xid
 * @throws ConnectionClosed, RequestRefused, ReplyOverdue
 */
export function confirmed(
  connection: Connection,
  what: string,
  timeout: number,
  requests: readonly ((xid: number) => Uint8Array)[],
): Promise<void> {
  const make = (xid: number): Uint8Array =>
    Buffer.concat([...requests.map((request, index) => request(xid + index)), barrierRequest(xid + requests.length)]);
  const isDone = (message: Message): boolean => message.type === messageType.barrierReply;
  return exchange(connection, what, timeout, requests.length + 1, make, isDone);
}

/**
 * As `confirmed`, but what the switch refuses is told and not thrown.
 * @returns errors by the index of the message
 * @throws ConnectionClosed, ReplyOverdue
 */
export async function attempted(
  connection: Connection,
  what: string,
  timeout: number,
  requests: readonly ((xid: number) => Uint8Array)[],
): Promise<Map<number, OpenflowError>> {
  const refused = new Map<number, OpenflowError>();
  let first = 0;
  const make = (xid: number): Uint8Array => {
    first = xid;
    return Buffer.concat([
      ...requests.map((request, index) => request(xid + index)),
      barrierRequest(xid + requests.length),
    ]);
  };
  const isDone = (message: Message): boolean => {
    if (message.type === messageType.error) refused.set(message.xid - first, parseError(message.body));
    return message.type === messageType.barrierReply;
  };
  await exchange(connection, what, timeout, requests.length + 1, make, isDone, 'hand on errors');
  return refused;
}

async function exchange(
  connection: Connection,
  what: string,
  timeout: number,
  xids: number,
  request: (xid: number) => Uint8Array,
  isDone: (message: Message) => boolean,
  errors: 'fail' | 'hand on errors' = 'fail',
): Promise<void> {
  if (connection.closed !== undefined) throw new ConnectionClosed(connection.closed);
  const xid = connection.xids(xids);
  let stop: () => void = () => {};
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const wait = (): void => {
        timer = setTimeout(() => reject(new ReplyOverdue(what, timeout)), timeout);
      };
      stop = connection.expect(xid, xids, {
        reply(message) {
          if (message.type === messageType.error && errors === 'fail') {
            reject(new RequestRefused(what, parseError(message.body)));
            return;
          }
          try {
            if (isDone(message)) resolve();
            else timer?.refresh();
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        },
        closed: (reason) => reject(new ConnectionClosed(reason)),
      });
      wait();
      connection.send(request(xid));
    });
  } finally {
    clearTimeout(timer);
    stop();
  }
}
