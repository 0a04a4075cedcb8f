/** Flags of `drill run`. */
import { Flags } from '@oclif/core';

export const drillFlags = {
  all: Flags.boolean({ summary: 'Every scenario that drill list shows.' }),
  seed: Flags.integer({
    summary: 'What is left to chance is drawn by it.',
    default: 1,
    min: 0,
    max: 2 ** 31,
  }),
  repeat: Flags.integer({
    summary: 'So many runs of each, with seeds that follow each other.',
    default: 1,
    min: 1,
    max: 1000,
  }),
  'game-day': Flags.boolean({
    summary: 'Break something and let you mend it with repctl, in another terminal.',
    exclusive: ['all', 'repeat'],
  }),
  'time-limit': Flags.string({
    summary: 'How long you have for it; default 30m.',
    helpValue: 'DURATION',
    dependsOn: ['game-day'],
  }),
  cluster: Flags.boolean({
    summary: 'Against the configured cluster instead of a sandbox; only scenarios marked safe.',
    exclusive: ['all', 'game-day', 'keep', 'http', 'dir'],
  }),
  yes: Flags.boolean({ char: 'y', summary: 'Go ahead without asking.', dependsOn: ['cluster'] }),
  keep: Flags.boolean({ summary: 'Leave the sandbox of the last run up.' }),
  http: Flags.string({
    summary: 'Clients go through your own service (docs/drill.md); several URLs take turns.',
    helpValue: 'URL',
    multiple: true,
  }),
  dir: Flags.string({ summary: 'Where its sandbox is; must be new or empty.', helpValue: 'DIR' }),
};
