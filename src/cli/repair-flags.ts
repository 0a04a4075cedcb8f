/** What `repair` may be told. */
import { Args, Flags } from '@oclif/core';
import { listed } from './list-flag.js';

export const repairArgs = {
  table: Args.string({ description: 'Tables to set right; all published ones by default.', multiple: true }),
};

export const repairFlags = {
  node: Flags.string({
    summary: 'Set right only this replica (may be repeated).',
    ...listed,
    // Or `repair --node n4 products` would look for a node called products.
    multipleNonGreedy: true,
    helpValue: 'NODE',
  }),
  only: Flags.option({
    summary: 'Only rows of this kind: missing on the replica, extra there, or differing.',
    options: ['missing', 'extra', 'differing'] as const,
  })(),
  'max-rows': Flags.integer({
    summary: 'Refuse where more rows of a replica differ: somebody should look why.',
    helpValue: 'N',
    min: 1,
    max: 1_000_000,
    default: 10_000,
  }),
  sql: Flags.boolean({ summary: 'Show with the plan the statements, row by row.' }),
  concurrency: Flags.integer({
    summary: 'Blocks compared at once: connections per node.',
    helpValue: 'N',
    min: 1,
    max: 16,
    default: 2,
  }),
};
