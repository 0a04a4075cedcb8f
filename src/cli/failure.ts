/** Anything thrown → RepctlError: usage errors of oclif, system errors, bugs. */
import { Errors } from '@oclif/core';
import { EXIT, RepctlError, messageOf } from '../errors.js';

export function toRepctlError(error: unknown): RepctlError {
  if (error instanceof RepctlError) return error;
  if (error instanceof Errors.CLIError) {
    // oclif's parser errors end with "See more help with --help": that is our hint.
    const message = error.message.replace(/\n?See more help with --help\s*$/u, '').trim();
    return new RepctlError('usage', message, { exit: EXIT.usage, hint: 'See --help.', cause: error });
  }
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code === 'ENOSPC' || code === 'EACCES' || code === 'EROFS' || code === 'EDQUOT') {
    return new RepctlError('file-unwritable', messageOf(error), { exit: EXIT.incomplete, cause: error });
  }
  return new RepctlError('bug', `Something that repctl did not expect: ${messageOf(error)}`, {
    exit: EXIT.bug,
    hint: 'REPCTL_DEBUG=1 shows where; please report it with that output.',
    cause: error,
  });
}
