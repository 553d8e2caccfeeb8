/** Splits a byte stream into OpenFlow messages (OpenFlow 1.5.1 section 7.1.1, ofp_header). */

import { asBuffer } from './bytes.ts';
import { ProtocolError } from './errors.ts';

export const openflowVersion = 0x06;
export const headerBytes = 8;

/** OFPT_*, those of which we read or send. OpenFlow 1.5.1 section 7.1.1. */
export const messageType = {
  hello: 0,
  error: 1,
  echoRequest: 2,
  echoReply: 3,
  experimenter: 4,
  featuresRequest: 5,
  featuresReply: 6,
  getConfigRequest: 7,
  getConfigReply: 8,
  setConfig: 9,
  packetIn: 10,
  flowRemoved: 11,
  portStatus: 12,
  packetOut: 13,
  flowMod: 14,
  groupMod: 15,
  portMod: 16,
  multipartRequest: 18,
  multipartReply: 19,
  barrierRequest: 20,
  barrierReply: 21,
  setAsync: 28,
  meterMod: 29,
  bundleControl: 33,
  bundleAddMessage: 34,
} as const;

export type Message = {
  /** Of the sender; 0x06 but for HELLO and ERROR. */
  version: number;
  /** OFPT_*. */
  type: number;
  xid: number;
  /** What follows the header: a view into the chunk it came in, or into memory of its own. */
  body: Buffer;
};

const highestType = 35;

/**
 * Feed it what the socket gives, in any cut; it returns the messages now whole. Each byte is copied at most once, and
 * only where a message straddles two chunks. Throws ProtocolError on a length below 8 or above the limit, on any
 * message before HELLO but ERROR, and on another version than 0x06 afterwards; it is of no use after that.
 */
export class Framer {
  readonly #maxMessage: number;
  #greeted = false;
  #failed: ProtocolError | undefined;
  readonly #header = Buffer.alloc(headerBytes);
  /** Bytes of #header, or of #partial once it exists, that are there. */
  #filled = 0;
  /** The message under way, exactly as long as its header says. */
  #partial: Buffer | undefined;

  /** `maxMessage`: longest message taken, bytes (at most 65,535, what the header's length field can say). */
  constructor(limits: { maxMessage?: number } = {}) {
    this.#maxMessage = Math.min(limits.maxMessage ?? 0xffff, 0xffff);
  }

  push(chunk: Uint8Array): Message[] {
    if (this.#failed !== undefined) throw this.#failed;
    try {
      return this.#split(asBuffer(chunk));
    } catch (error) {
      if (error instanceof ProtocolError) {
        this.#failed = error;
        this.#partial = undefined;
      }
      throw error;
    }
  }

  #split(chunk: Buffer): Message[] {
    const messages: Message[] = [];
    let at = this.#filled > 0 ? this.#finishPartial(chunk, messages) : 0;
    while (chunk.length - at >= headerBytes) {
      const length = this.#check(chunk, at);
      if (chunk.length - at < length) break;
      messages.push(this.#message(chunk, at, length));
      at += length;
    }
    if (at < chunk.length) this.#keep(chunk, at);
    return messages;
  }

  /** Returns how much of the chunk went to the message under way. */
  #finishPartial(chunk: Buffer, messages: Message[]): number {
    let at = 0;
    if (this.#partial === undefined) {
      const taken = chunk.copy(this.#header, this.#filled, 0, Math.min(chunk.length, headerBytes - this.#filled));
      this.#filled += taken;
      at = taken;
      if (this.#filled < headerBytes) return at;
      this.#startPartial();
    }
    const partial = this.#partial!;
    const taken = chunk.copy(partial, this.#filled, at, Math.min(chunk.length, at + partial.length - this.#filled));
    this.#filled += taken;
    at += taken;
    if (this.#filled === partial.length) {
      this.#partial = undefined;
      this.#filled = 0;
      messages.push(this.#message(partial, 0, partial.length));
    }
    return at;
  }

  #startPartial(): void {
    this.#partial = Buffer.allocUnsafeSlow(this.#check(this.#header, 0));
    this.#header.copy(this.#partial);
  }

  #keep(chunk: Buffer, at: number): void {
    const rest = chunk.length - at;
    if (rest < headerBytes) {
      // finishPartial may have left the header half filled: then at is the chunk's end and we are not here.
      this.#filled = chunk.copy(this.#header, 0, at);
      return;
    }
    chunk.copy(this.#header, 0, at, at + headerBytes);
    this.#startPartial();
    this.#filled = chunk.copy(this.#partial!, 0, at);
  }

  /** Checks a header and returns the message's length. */
  #check(bytes: Buffer, at: number): number {
    const version = bytes[at]!;
    const type = bytes[at + 1]!;
    const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    if (length < headerBytes) throw new ProtocolError(`message of ${length} bytes, shorter than its header`);
    if (length > this.#maxMessage) {
      throw new ProtocolError(`message of ${length} bytes, at most ${this.#maxMessage} are taken`);
    }
    if (type > highestType) throw new ProtocolError(`message type ${type} is not OpenFlow's`);
    if (version === 0) throw new ProtocolError('version 0 is not OpenFlow');
    if (type === messageType.hello || type === messageType.error) return length;
    if (!this.#greeted) throw new ProtocolError(`message type ${type} before HELLO`);
    if (version !== openflowVersion) {
      throw new ProtocolError(`version 0x${version.toString(16)}, OpenFlow 1.5 (0x06) wanted`);
    }
    return length;
  }

  #message(bytes: Buffer, at: number, length: number): Message {
    const type = bytes[at + 1]!;
    if (type === messageType.hello) this.#greeted = true;
    return {
      version: bytes[at]!,
      type,
      xid: bytes.readUInt32BE(at + 4),
      body: bytes.subarray(at + headerBytes, at + length),
    };
  }
}
