/** Text for terminals: colours where they are wanted, and nothing in it that could steer the terminal. */
import type { Io, Output } from './io.ts';

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, magenta: 35, cyan: 36 } as const;

export type Colour = keyof typeof codes;
export type Paint = (colour: Colour, text: string) => string;

/** Colours on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is dumb; FORCE_COLOR forces them. */
export function paintFor(io: Io, output: Output): Paint {
  const { NO_COLOR, FORCE_COLOR, TERM } = io.env;
  const forced = FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0';
  const on = !NO_COLOR && (forced || (output.isTTY === true && TERM !== 'dumb'));
  return on ? (colour, text) => `\x1b[${codes[colour]}m${text}\x1b[0m` : (_colour, text) => text;
}

const stateColours: Record<string, Colour> = {
  programmed: 'green',
  pending: 'yellow',
  degraded: 'magenta',
  failed: 'red',
  deleting: 'dim',
  deleted: 'dim',
};

export function paintState(paint: Paint, state: string): string {
  const colour = stateColours[state];
  return colour ? paint(colour, state) : state;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const steering = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Descriptions and labels come from tenants: control and direction characters are shown, not obeyed. */
export function safe(text: string): string {
  return text.replace(steering, escaped);
}

/** The same for text of several lines. */
export function safeLines(text: string): string {
  return text.replace(steering, (character) => (character === '\n' ? character : escaped(character)));
}

const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u;
const narrow = /\p{Mn}|\p{Me}|\p{Cf}/u;

/** Columns a text takes on a terminal. */
export function width(text: string): number {
  if (/^[\u0020-\u007e]*$/.test(text)) return text.length;
  let sum = 0;
  for (const character of text) sum += narrow.test(character) ? 0 : wide.test(character) ? 2 : 1;
  return sum;
}

export function pad(text: string, to: number): string {
  return text + ' '.repeat(Math.max(0, to - width(text)));
}

/** Breaks a text at spaces and after commas into lines of at most `most` columns, where it can be broken. */
export function wrap(text: string, most: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const piece of text.match(/[^\s,]*,|[^\s,]+\s*|\s+/g) ?? []) {
    if (line !== '' && width(line + piece.trimEnd()) > most) {
      lines.push(line.trimEnd());
      line = '';
    }
    line += piece;
  }
  if (line !== '' || lines.length === 0) lines.push(line.trimEnd());
  return lines;
}

/** The widest piece `wrap` cannot break. */
export function unbreakable(text: string): number {
  return Math.max(0, ...(text.match(/[^\s,]*,|[^\s,]+/g) ?? []).map(width));
}
