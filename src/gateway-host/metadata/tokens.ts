/**
 * Tokens of EC2's second version of the protocol: who asks must first have put a request, which a forwarded or forged GET is
 * not. They are valid for one port, and kept nowhere: each says until when it is valid, under a key of this program's life.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Port } from '../served.ts';

/** Seconds, as EC2 has it. */
export const longestLife = 21_600;

export class MetadataTokens {
  readonly #key = randomBytes(32);
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** @param life seconds */
  issue(port: Port, life: number): string {
    const until = Math.floor(this.#now() / 1000) + life;
    return Buffer.concat([u48(until), this.#seal(port, until)]).toString('base64url');
  }

  holds(port: Port, token: string): boolean {
    const bytes = Buffer.from(token, 'base64url');
    if (bytes.length !== 38) return false;
    const until = bytes.readUIntBE(0, 6);
    return timingSafeEqual(bytes.subarray(6), this.#seal(port, until)) && until * 1000 > this.#now();
  }

  #seal({ told }: Port, until: number): Buffer {
    return createHmac('sha256', this.#key).update(`${until} ${told.uid}`).digest();
  }
}

function u48(value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUIntBE(value, 0, 6);
  return bytes;
}
