/** The meaning of every exit code, for `repctl help exit-codes`. */
import { EXIT, type ExitCode } from '../errors.js';

export interface ExitCodeMeaning {
  readonly code: ExitCode;
  readonly name: string;
  readonly meaning: string;
}

export const EXIT_CODES: readonly ExitCodeMeaning[] = [
  { code: EXIT.done, name: 'done', meaning: 'What was asked for is done.' },
  { code: EXIT.bug, name: 'bug', meaning: 'An error in repctl itself; please report it.' },
  { code: EXIT.usage, name: 'usage', meaning: 'The command line, the configuration or input data is wrong.' },
  { code: EXIT.unreachable, name: 'unreachable', meaning: 'A node that is needed cannot be reached.' },
  {
    code: EXIT.unhealthy,
    name: 'unhealthy',
    meaning: 'The cluster is unhealthy, or a threshold was crossed.',
  },
  { code: EXIT.diverged, name: 'diverged', meaning: 'Nodes hold different data.' },
  { code: EXIT.refused, name: 'refused', meaning: 'Refused; nothing was changed.' },
  {
    code: EXIT.incomplete,
    name: 'incomplete',
    meaning: 'Some steps are done; run the same command again to go on.',
  },
  { code: EXIT.rolledBack, name: 'rolled-back', meaning: 'Rolled back; the cluster is as it was before.' },
  {
    code: EXIT.interrupted,
    name: 'interrupted',
    meaning: 'Stopped by Ctrl-C; run the same command again to go on.',
  },
];
