/**
 * Where one JSON text ends and the next begins, in a stream without length prefixes (RFC 7047 section 4: JSON-RPC 1.0
 * straight over the stream). Only brackets and strings are looked at; whether the text is JSON the parser says.
 */
import { ProtocolError } from './errors.ts';

export type JsonFramerOptions = {
  /** Bytes one message may have. Default 16 MiB. */
  maxBytes?: number;
  /** Brackets that may be open at once. Default 128; OVSDB's deepest message has about ten. */
  maxDepth?: number;
};

export const DEFAULT_MAX_BYTES = 16 << 20;
const DEFAULT_MAX_DEPTH = 128;

/** Bytes of room that stay allocated between messages. */
const KEEP = 64 << 10;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;

/**
 * Takes a stream in pieces of any size and hands on whole JSON objects as text, each as soon as its last byte is there.
 * Every byte is looked at once, so the cost is linear however the stream is cut.
 */
export class JsonFramer {
  readonly #maxBytes: number;
  readonly #maxDepth: number;
  readonly #onText: (text: string) => void;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  /** The first `#length` bytes are the message under way. It grows by doubling: tiny pieces cost no more than large ones. */
  #kept = Buffer.alloc(0);
  #length = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  constructor(onText: (text: string) => void, options: JsonFramerOptions = {}) {
    this.#onText = onText;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH;
  }

  /** Whether the stream stands between two messages. */
  get idle(): boolean {
    return this.#depth === 0;
  }

  /**
   * Takes the next piece; nothing of it is held on to.
   * @throws ProtocolError on a message that is too long, too deep or not UTF-8, and on anything but white space between
   *   messages. The messages before it have been handed on. The framer is of no use afterwards.
   */
  push(chunk: Uint8Array): void {
    const end = chunk.length;
    let at = 0;
    while (at < end) {
      if (this.#depth === 0) {
        while (at < end && isWhiteSpace(chunk[at]!)) at++;
        if (at === end) return;
        if (chunk[at] !== OPEN_BRACE) {
          throw new ProtocolError(
            `byte 0x${chunk[at]!.toString(16).padStart(2, '0')} where a JSON object should begin`,
          );
        }
      }
      const start = at;
      at = this.#scan(chunk, at);
      if (this.#length + at - start > this.#maxBytes) {
        throw new ProtocolError(`a message of more than ${this.#maxBytes} bytes`);
      }
      if (this.#depth > 0 || this.#length > 0) this.#keep(chunk, start, at);
      if (this.#depth === 0) this.#finish(chunk, start, at);
    }
  }

  /** From `at` to the end of the message, or of the chunk. @returns where it stopped. */
  #scan(chunk: Uint8Array, at: number): number {
    const end = chunk.length;
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    while (at < end) {
      const byte = chunk[at++]!;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
        continue;
      }
      if (byte === QUOTE) {
        inString = true;
        continue;
      }
      // '[' 0x5b and '{' 0x7b, ']' 0x5d and '}' 0x7d differ in bit 5 alone.
      const bracket = byte | 0x20;
      if (bracket === 0x7b) {
        if (++depth > this.#maxDepth) throw new ProtocolError(`a message nested deeper than ${this.#maxDepth}`);
      } else if (bracket === 0x7d && --depth === 0) {
        break;
      }
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    return at;
  }

  #keep(chunk: Uint8Array, start: number, end: number): void {
    const length = this.#length + end - start;
    if (length > this.#kept.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(length, 2 * this.#kept.length, 4096), this.#maxBytes));
      larger.set(this.#kept.subarray(0, this.#length));
      this.#kept = larger;
    }
    this.#kept.set(chunk.subarray(start, end), this.#length);
    this.#length = length;
  }

  #finish(chunk: Uint8Array, start: number, end: number): void {
    const bytes = this.#length > 0 ? this.#kept.subarray(0, this.#length) : chunk.subarray(start, end);
    this.#length = 0;
    if (this.#kept.length > KEEP) this.#kept = Buffer.alloc(0);
    let text: string;
    try {
      text = this.#decoder.decode(bytes);
    } catch (error) {
      throw new ProtocolError('a message that is not UTF-8', { cause: error });
    }
    this.#onText(text);
  }
}

function isWhiteSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
