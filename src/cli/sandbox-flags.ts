/** Flags and arguments that the sandbox commands share. */
import { Args, Flags } from '@oclif/core';

export const sandboxDir = Flags.string({
  summary: 'Directory of the sandbox, if it is not the current one.',
  helpValue: 'DIR',
  env: 'REPCTL_SANDBOX_DIR',
});

export const someNodes = {
  node: Args.string({ description: 'Names of nodes.', multiple: true, required: true }),
};

export const someOrAllNodes = {
  node: Args.string({ description: 'Names of nodes; default: all.', multiple: true }),
};
