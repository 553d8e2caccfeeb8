/** Cutting flow text into pieces that know where they stood, so that an error can name the place. */

/** A piece of text and the column (from 1) where it begins. */
export type Piece = { text: string; column: number };

/** A piece that cannot be read. */
export class FlowTextError extends Error {
  override name = 'FlowTextError';
  readonly column: number;

  constructor(piece: Piece, reason: string, cause?: unknown) {
    super(`column ${piece.column}, "${piece.text}": ${reason}`, { cause });
    this.column = piece.column;
  }
}

/** Runs `read`; what it throws is told with the piece's place. */
export function reading<T>(piece: Piece, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FlowTextError) throw error;
    throw new FlowTextError(piece, error instanceof Error ? error.message : String(error), error);
  }
}

/** Cuts at commas and white space outside brackets; empty pieces are kept only where `keepEmpty` says so. */
export function split(whole: Piece, keepEmpty = false): Piece[] {
  const pieces: Piece[] = [];
  const { text } = whole;
  let depth = 0;
  let from = 0;
  for (let at = 0; at <= text.length; at++) {
    const character = text[at];
    if (character === '(' || character === '[') depth++;
    else if (character === ')' || character === ']') depth--;
    if (depth < 0) throw new FlowTextError(whole, `"${character}" without its opening`);
    const cut = character === undefined || (depth === 0 && (character === ',' || /\s/.test(character)));
    if (!cut) continue;
    if (at > from || (keepEmpty && !/\s/.test(character ?? ''))) {
      pieces.push({ text: text.slice(from, at), column: whole.column + from });
    }
    from = at + 1;
  }
  if (depth > 0) throw new FlowTextError(whole, 'a bracket is not closed');
  return pieces;
}

/** Cuts a piece in two at the first of `separators`; the second is absent where there is none. */
export function cut(piece: Piece, separators: RegExp): [Piece, Piece | undefined] {
  const at = piece.text.search(separators);
  if (at < 0) return [piece, undefined];
  return [
    { text: piece.text.slice(0, at), column: piece.column },
    { text: piece.text.slice(at + 1), column: piece.column + at + 1 },
  ];
}

/** For `name(arguments)`: both; else undefined. */
export function call(piece: Piece): { name: string; inner: Piece } | undefined {
  const match = /^(\w+)\((.*)\)$/s.exec(piece.text);
  if (match === null) return undefined;
  return { name: match[1]!, inner: { text: match[2]!, column: piece.column + match[1]!.length + 1 } };
}
