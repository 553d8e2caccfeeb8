/** Every command there is, and how words lead to it. */
import type { Command, Group } from '../command.ts';
import { inspectionCommands, inspectionGroups } from './inspection.ts';
import { interfaceCommands } from './interfaces.ts';
import { otherCommands, otherGroups, programCommands } from './other.ts';
import { resourceCommands, resourceGroups } from './resource.ts';
import { upkeepCommands, upkeepGroups } from './upkeep.ts';

export const commands: readonly Command[] = [
  ...resourceCommands,
  ...interfaceCommands,
  ...inspectionCommands,
  ...upkeepCommands,
  ...otherCommands,
  ...programCommands,
];

export const groups: readonly Group[] = [...resourceGroups, ...inspectionGroups, ...upkeepGroups, ...otherGroups];

/** First words, singular. */
export const firstWords: readonly string[] = groups.map((group) => group.word);

/** The group a first word means; plurals are taken. */
export function findGroup(word: string): Group | undefined {
  return groups.find((group) => group.word === word) ?? groups.find((group) => group.aliases?.includes(word));
}

/** Commands under a first word. */
export function commandsOf(word: string): Command[] {
  return commands.filter((command) => command.words[0] === word);
}

/** Words after the first, where there are any. */
export function verbsOf(word: string): string[] {
  return commandsOf(word).flatMap((command) => (command.words[1] === undefined ? [] : [command.words[1]]));
}

export function findCommand(words: readonly string[]): Command | undefined {
  return commands.find(
    (command) => command.words.length === words.length && command.words.every((word, i) => word === words[i]),
  );
}
