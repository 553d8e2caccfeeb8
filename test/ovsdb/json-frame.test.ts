import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../plugins/openvswitch/ovsdb/errors.ts';
import { JsonFramer } from '../../plugins/openvswitch/ovsdb/json-frame.ts';
import { cut, lengths } from './streams.ts';

type Outcome = { texts: string[]; error: string | undefined; idle: boolean };

function frame(pieces: Uint8Array[], options?: { maxBytes?: number; maxDepth?: number }): Outcome {
  const texts: string[] = [];
  const framer = new JsonFramer((text) => texts.push(text), options);
  try {
    for (const piece of pieces) framer.push(piece);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { texts, error: error.message, idle: framer.idle };
  }
  return { texts, error: undefined, idle: framer.idle };
}

/** Strings of what means something outside strings, and of anything. */
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', '[', ']', 'a', 'é', '\u2028') }),
  fc.string({ unit: 'binary' }),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(text, fc.integer(), fc.constant(null)),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(text, tie('value'), { maxKeys: 3 }),
  ),
}));
const object = fc.dictionary(text, value, { maxKeys: 4, noNullPrototype: true });
const gap = fc.stringMatching(/^[ \t\r\n]{0,3}$/);

describe('framing', () => {
  test('gives every message back, however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(gap, object, fc.nat(2)), { maxLength: 6 }), lengths, (messages, sizes) => {
        const text = messages.map(([space, value, indent]) => space + JSON.stringify(value, null, indent)).join('');
        const { texts, error, idle } = frame(cut(Buffer.from(text), sizes));
        expect(error).toBeUndefined();
        expect(idle).toBe(true);
        expect(texts.map((one) => JSON.parse(one))).toEqual(messages.map(([, v]) => JSON.parse(JSON.stringify(v))));
      }),
      { numRuns: 300 },
    );
  });

  test('comes to the same end for any bytes, however they are cut', () => {
    const soup = fc.array(fc.constantFrom(...Buffer.from('{}[]"\\ a:,\n'), 0xc3, 0x00, 0xff), { maxLength: 200 });
    fc.assert(
      fc.property(soup, lengths, (bytes, sizes) => {
        const stream = Uint8Array.from(bytes);
        const options = { maxBytes: 40, maxDepth: 5 };
        const whole = frame([stream], options);
        const pieces = frame(cut(stream, sizes), options);
        expect(pieces.texts).toEqual(whole.texts);
        // A message both too long and too deep may be found out either way.
        expect(pieces.error === undefined).toBe(whole.error === undefined);
      }),
      { numRuns: 1000 },
    );
  });

  test('refuses what is too long, at the byte that is too many', () => {
    const fits = Buffer.from(`{"a":"${'x'.repeat(92)}"}`);
    expect(fits.length).toBe(100);
    expect(frame([fits], { maxBytes: 100 }).texts).toHaveLength(1);
    expect(frame([fits], { maxBytes: 99 }).error).toMatch(/more than 99 bytes/);
    // Not when it is complete, but as soon as it is known.
    expect(frame([fits.subarray(0, 50), fits.subarray(50, 99)], { maxBytes: 98 }).error).toMatch(/more than 98 bytes/);
  });

  test('refuses what is nested too deeply, is not UTF-8, or begins with no brace', () => {
    expect(frame([Buffer.from('{"a":[[[1]]]}')], { maxDepth: 4 }).error).toBeUndefined();
    expect(frame([Buffer.from('{"a":[[[1]]]}')], { maxDepth: 3 }).error).toMatch(/nested deeper than 3/);
    expect(frame([Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])]).error).toMatch(/UTF-8/);
    expect(frame([Buffer.from('{} \x16\x03\x01')])).toMatchObject({
      texts: ['{}'],
      error: expect.stringMatching(/0x16/),
    });
  });

  test('is linear in the length of a message that comes byte by byte', () => {
    const time = (length: number): number => {
      const text = Buffer.from(`{"a":"${'x'.repeat(length)}"}`);
      const pieces = Array.from(text, (_, at) => text.subarray(at, at + 1));
      const start = performance.now();
      expect(frame(pieces).texts).toHaveLength(1);
      return performance.now() - start;
    };
    time(50_000);
    // Sixteen times the length: a scan from the beginning at each byte would take 256 times as long.
    expect(time(800_000)).toBeLessThan(100 * Math.max(time(50_000), 1));
  });
});
