/**
 * Asks other resolvers what a network does not know itself: one socket per question, connected to whom is asked, so that
 * nobody else can answer (RFC 5452). Answers are passed on as they came.
 */

import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { parseIpv4 } from '../../intent/addresses.ts';

export type Upstream = { address: string; port: number };

export type ForwarderOptions = {
  /** Milliseconds one resolver is waited for; 2,000 unless told. */
  patience?: number;
  /** Questions under way at once; 1,000 unless told. */
  limit?: number;
  /** Of them for one port; 64 unless told. */
  limitOfOne?: number;
};

/** Bytes of the header (RFC 1035 section 4.1.1). */
const header = 12;

export class Forwarder {
  readonly #patience: number;
  readonly #limit: number;
  readonly #limitOfOne: number;
  readonly #of = new Map<object, number>();
  #pending = 0;

  constructor({ patience = 2_000, limit = 1_000, limitOfOne = 64 }: ForwarderOptions = {}) {
    this.#patience = patience;
    this.#limit = limit;
    this.#limitOfOne = limitOfOne;
  }

  get pending(): number {
    return this.#pending;
  }

  /**
   * The first answer of the resolvers, asked one after another; its id is the query's.
   * @param who asks: what it has under way is limited
   * @returns undefined when nobody answers, or too much is under way
   */
  async ask(
    who: object,
    query: Buffer,
    upstreams: readonly Upstream[],
    over: 'udp' | 'tcp',
  ): Promise<Buffer | undefined> {
    const own = this.#of.get(who) ?? 0;
    if (this.#pending >= this.#limit || own >= this.#limitOfOne) return undefined;
    this.#pending++;
    this.#of.set(who, own + 1);
    try {
      for (const upstream of upstreams) {
        const answer = await this.#askOne(query, upstream, over);
        if (answer !== undefined) {
          answer.writeUInt16BE(query.readUInt16BE(0), 0);
          return answer;
        }
      }
      return undefined;
    } finally {
      this.#pending--;
      const left = (this.#of.get(who) ?? 1) - 1;
      if (left === 0) this.#of.delete(who);
      else this.#of.set(who, left);
    }
  }

  #askOne(query: Buffer, upstream: Upstream, over: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    const asked = Buffer.from(query);
    asked.writeUInt16BE(randomInt(65_536), 0);
    const answered = (answer: Buffer) => answers(answer, asked);
    return over === 'udp' ? this.#overUdp(asked, upstream, answered) : this.#overTcp(asked, upstream, answered);
  }

  #overUdp(asked: Buffer, upstream: Upstream, answered: (answer: Buffer) => boolean): Promise<Buffer | undefined> {
    const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
    const socket = createSocket(upstream.address.includes(':') ? 'udp6' : 'udp4');
    const end = (answer: Buffer | undefined) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      // An error after the end is of no interest: the answer is there, or nobody waits for it.
      socket.on('error', () => {});
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => end(undefined), this.#patience);
    socket.on('error', () => end(undefined));
    socket.on('message', (answer) => {
      if (answered(answer)) end(answer);
    });
    // Without a callback, which would be called where there is no way to it too.
    socket.on('connect', () => socket.send(asked));
    socket.connect(upstream.port, upstream.address);
    return promise;
  }

  #overTcp(asked: Buffer, upstream: Upstream, answered: (answer: Buffer) => boolean): Promise<Buffer | undefined> {
    const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
    const socket = connect({ host: upstream.address, port: upstream.port });
    let received = Buffer.alloc(0);
    const end = (answer: Buffer | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => end(undefined), this.#patience);
    socket.on('error', () => end(undefined));
    socket.on('close', () => end(undefined));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2) return;
      const length = received.readUInt16BE(0);
      if (received.length < 2 + length) return;
      const answer = received.subarray(2, 2 + length);
      end(answered(answer) ? Buffer.from(answer) : undefined);
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(asked.length);
    socket.write(Buffer.concat([length, asked]));
    return promise;
  }
}

/** Same id, a response, and the same question (names in either case). */
function answers(answer: Buffer, asked: Buffer): boolean {
  if (answer.length < header || answer.readUInt16BE(0) !== asked.readUInt16BE(0) || answer[2]! >> 7 !== 1) return false;
  // An answer without its question comes with errors only.
  if (answer.readUInt16BE(4) === 0) return (answer[3]! & 0xf) !== 0;
  const end = endOfQuestion(asked);
  if (end === undefined || answer.length < end) return false;
  return (
    answer.subarray(header, end).toString('latin1').toLowerCase() ===
    asked.subarray(header, end).toString('latin1').toLowerCase()
  );
}

/** Where the first question ends; undefined where it is cut short. */
export function endOfQuestion(query: Buffer): number | undefined {
  let at = header;
  for (;;) {
    const length = query[at];
    if (length === undefined || length > 63) return undefined;
    at += 1 + length;
    if (length === 0) break;
  }
  return at + 4 <= query.length ? at + 4 : undefined;
}

/**
 * Whether a tenant may have names asked of that address: nothing of this host, and nothing that is not one machine elsewhere
 * (RFC 6890).
 */
export function mayBeAsked(address: string, ownAddresses: ReadonlySet<string>): boolean {
  const value = parseIpv4(address);
  if (value === undefined || ownAddresses.has(address)) return false;
  const first = value >>> 24;
  // This network, loopback, link-local, multicast and beyond.
  return first !== 0 && first !== 127 && value >>> 16 !== 0xa9fe && first < 224;
}
