/** oclif's command_not_found hook: which word is unknown, and which command was meant. Never asks. */
import type { Hook, Interfaces } from '@oclif/core';
import { nearest } from '../config/nearest.js';
import { RepctlError } from '../errors.js';

/** What is wrong with the words, and what to type instead. */
export function explainUnknown(
  words: readonly string[],
  commands: readonly string[],
): { message: string; hint: string } {
  if (words.length === 0)
    return { message: 'A command is missing.', hint: 'repctl help lists the commands.' };
  // oclif joins all words to one id when the command takes no arguments.
  const called = words.map((_, index) => words.slice(0, index).join(' ')).find((id) => commands.includes(id));
  // The argument itself is not repeated: it may be a URL, which oclif has cut into pieces by now.
  if (called !== undefined)
    return { message: `repctl ${called} takes no such argument.`, hint: `See repctl ${called} --help.` };
  // As many leading words as name a topic: `sandbox` in `sandbox statsu`.
  let depth = 0;
  while (
    depth < words.length &&
    commands.some((id) => id.startsWith(`${words.slice(0, depth + 1).join(' ')} `))
  )
    depth += 1;
  const topic = words.slice(0, depth).join(' ');
  const unknown = words.slice(0, depth + 1).join(' ');
  const inTopic = commands.filter((id) => topic === '' || id.startsWith(`${topic} `));
  const near =
    nearest(unknown, inTopic) ??
    nearest(words[depth] ?? '', [...new Set(inTopic.map((id) => id.split(' ')[depth] ?? ''))]);
  const meant = near === undefined || topic === '' || near.startsWith(topic) ? near : `${topic} ${near}`;
  const list =
    topic === '' ? 'repctl help lists the commands.' : `repctl ${topic} --help lists its commands.`;
  return {
    message: `There is no command "${unknown}".`,
    hint: meant === undefined ? list : `Did you mean repctl ${meant}?\n${list}`,
  };
}

/** The error for words that name no command. */
export function unknownCommand(
  config: Pick<Interfaces.Config, 'commands'>,
  words: readonly string[],
): RepctlError {
  const commands = config.commands
    .filter((command) => !command.hidden)
    .map((command) => command.id.replaceAll(':', ' '));
  const { message, hint } = explainUnknown(
    words.filter((word) => word !== '' && !word.startsWith('-')),
    commands,
  );
  return new RepctlError('unknown-command', message, { hint });
}

const hook: Hook.CommandNotFound = function ({ config, id, argv }) {
  return Promise.reject(unknownCommand(config, [...id.split(/[: ]/u), ...(argv ?? [])]));
};

export default hook;
