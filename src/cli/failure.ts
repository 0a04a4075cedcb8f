/** Anything thrown → RepctlError: usage errors of oclif, system errors, bugs. */
import { Errors } from '@oclif/core';
import { nearest } from '../config/nearest.js';
import { EXIT, RepctlError, messageOf } from '../errors.js';

/** What the system says where a file or a directory cannot be made or written. */
const UNWRITABLE = new Set(['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR']);

export function toRepctlError(error: unknown): RepctlError {
  if (error instanceof RepctlError) return error;
  if (error instanceof Errors.CLIError) return usageError(error);
  // Ctrl-C at a question of inquirer.
  if (error instanceof Error && (error.name === 'ExitPromptError' || error.name === 'AbortPromptError'))
    return new RepctlError('interrupted', 'Interrupted; nothing was changed.', { exit: EXIT.interrupted });
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code !== undefined && UNWRITABLE.has(code)) {
    return new RepctlError('file-unwritable', messageOf(error), {
      exit: EXIT.incomplete,
      hint: 'Make room or give write permission, then run it again.',
      cause: error,
    });
  }
  return new RepctlError('bug', `Something that repctl did not expect: ${messageOf(error)}`, {
    exit: EXIT.bug,
    hint: 'REPCTL_DEBUG=1 shows where; please report it with that output.',
    cause: error,
  });
}

/** What oclif's parser attaches to its errors; none of it may be printed whole (argv can hold a URL). */
interface ParserError {
  readonly args?: readonly unknown[];
  readonly flags?: readonly string[];
  readonly parse?: {
    readonly input?: {
      readonly flags?: Readonly<Record<string, unknown>>;
      readonly context?: { readonly id?: string };
    };
  };
}

function usageError(error: Errors.CLIError): RepctlError {
  const { args, flags, parse } = error as ParserError;
  const id = parse?.input?.context?.id?.replaceAll(':', ' ');
  const help = id === undefined ? 'See repctl --help.' : `See repctl ${id} --help.`;
  const usage = (message: string, first?: string) =>
    new RepctlError('usage', message, {
      exit: EXIT.usage,
      hint: first === undefined ? help : `${first}\n${help}`,
      cause: error,
    });
  if (
    error.constructor.name === 'NonExistentFlagsError' ||
    (flags && error.message.startsWith('Nonexistent'))
  ) {
    const [flag = ''] = flags ?? [];
    const known = Object.keys(parse?.input?.flags ?? {});
    const near = nearest(flag.replace(/^-+/u, '').replace(/=.*$/u, ''), known);
    return usage(
      `There is no flag ${(flags ?? []).map((each) => each.replace(/=.*$/su, '')).join(', ')}.`,
      near === undefined ? undefined : `Did you mean --${near}?`,
    );
  }
  if (args && error.message.startsWith('Unexpected argument'))
    return usage(`One argument too many: ${args.map(String).join(' ')}`);
  if (args && /^Missing \d+ required arg/u.test(error.message)) {
    const names = args.map((arg) => String((arg as { name?: unknown }).name).toUpperCase());
    // What is done to a node is never done to one that somebody else chose.
    const which = names.includes('NODE')
      ? 'Name the node, there is no default: repctl status lists them.'
      : undefined;
    return usage(`Missing: ${names.join(', ')}.`, which);
  }
  // What is left of oclif's own words, without colour and its reference to --help.
  const text = error.message
    .replaceAll(/\u001B\[[\d;]*m/gu, '')
    .replace(/\n?See more help with --help\s*$/u, '')
    .replace(/^The following errors? occurred:\s*/u, '')
    .replaceAll(/Parsing (--[\w-]+)\s*\n\s*E/gu, '$1: e')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n');
  return usage(text);
}
