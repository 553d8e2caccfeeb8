/** What is told of a pair, from what arrived. */
import { expect, test } from 'vitest';
import { type Direction, judge } from '../../src/trace/connectivity-verdict.ts';
import { parseProbe, probeFrame } from '../../src/trace/probe-frame.ts';

const sizes = [60, 590, 1294, 1472];

function direction(from: 'hv1' | 'hv2', more: Partial<Direction> = {}): Direction {
  const to = from === 'hv1' ? 'hv2' : 'hv1';
  return {
    from: Number(from.at(-1)),
    to: Number(to.at(-1)),
    names: [from, to],
    addresses: from === 'hv1' ? ['192.0.2.1', '192.0.2.2'] : ['192.0.2.2', '192.0.2.1'],
    ofport: 5,
    unreachable: undefined,
    refused: undefined,
    error: undefined,
    bfd: undefined,
    sizes,
    arrived: new Set(sizes),
    ...more,
  };
}

const bfd = (state: string) => ({ state, remoteState: 'down', diagnostic: 'Control Detection Time Expired' });

test.each<[string, Partial<Direction>, Partial<Direction>, 'ok' | 'warn' | 'fail', RegExp]>([
  ['all', {}, { bfd: bfd('up') }, 'ok', /^Every probe arrives, up to 1472 bytes$/],
  [
    'none',
    { arrived: new Set() },
    { arrived: new Set() },
    'fail',
    /^No answer, either way, between 192.0.2.1 and 192.0.2.2$/,
  ],
  ['one way', { arrived: new Set() }, {}, 'fail', /^One way only: what hv1 sends does not come to hv2/],
  ['the other way', {}, { arrived: new Set() }, 'fail', /^One way only: what hv2 sends does not come to hv1/],
  [
    'too big',
    {},
    { arrived: new Set([60, 590]) },
    'fail',
    /^Too big is lost: from hv2 to hv1 frames of 590 bytes arrive, of 1294 do not$/,
  ],
  [
    'lossy',
    { arrived: new Set([60, 1472]) },
    {},
    'fail',
    /^Some probes from hv1 to hv2 are lost, twice: of 590 bytes, while 1472 arrive$/,
  ],
  ['BFD', { bfd: bfd('down') }, {}, 'warn', /BFD from hv1 is down \(Control Detection Time Expired\)/],
  ['BFD beside a break', { bfd: bfd('down'), arrived: new Set() }, {}, 'fail', /^One way only/],
  [
    'not set up',
    { error: 'could not add' },
    {},
    'fail',
    /^Open vSwitch on hv1 could not set up the tunnel: could not add$/,
  ],
  ['no tunnel', {}, { ofport: undefined }, 'fail', /^hv2 has no tunnel to hv1$/],
  ['away', {}, { unreachable: 'hv2 is away' }, 'warn', /^Not probed: hv2 is away$/],
  ['refused', { refused: 'OFPBRC_EPERM' }, {}, 'fail', /^hv1 does not send probes: OFPBRC_EPERM$/],
])('%s', (_name, there, back, state, found) => {
  const judged = judge({ a: 'hv1', b: 'hv2', there: direction('hv1', there), back: direction('hv2', back) });
  expect(judged).toMatchObject({ state, found: expect.stringMatching(found) });
  expect(judged.advice === '').toBe(state === 'ok');
});

test('a probe is what it was made as, from its head alone; anything else is none', () => {
  const probe = { nonce: Uint8Array.from({ length: 16 }, (_, i) => i), from: 7, to: 4_000_000_000, size: 1472 };
  const frame = probeFrame(probe);
  expect(frame).toHaveLength(1472);
  expect(parseProbe(frame.subarray(0, 64))).toEqual(probe);
  expect(parseProbe(frame.subarray(0, 40))).toBe(undefined);
  for (const at of [12, 13, 14, 17]) {
    const other = Uint8Array.from(frame);
    other[at]! ^= 1;
    expect(parseProbe(other)).toBe(undefined);
  }
});
