/** A line as a shell takes it apart: blanks separate, quotes and backslashes keep together. */
export type Words = {
  words: string[];
  /** The line ends inside a word, not after a blank. */
  open: boolean;
  /** A quote is not closed. */
  quote: string | undefined;
};

export function splitLine(line: string): Words {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let i = 0; i < line.length; i++) {
    const character = line[i]!;
    if (quote === "'") {
      if (character === "'") quote = undefined;
      else word += character;
    } else if (character === '\\' && i + 1 < line.length) {
      word = (word ?? '') + line[++i];
    } else if (character === '"' || character === "'") {
      if (quote === undefined) quote = character;
      else if (quote === character) quote = undefined;
      else word += character;
      word ??= '';
    } else if (/\s/.test(character) && quote === undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + character;
  }
  if (word !== undefined) words.push(word);
  return { words, open: word !== undefined, quote };
}
