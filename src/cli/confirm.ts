/** The question before a change. Never hangs: without a terminal it refuses at once. */
import { EXIT, RepctlError } from '../errors.js';

export interface ConfirmRequest {
  readonly question: string;
  readonly yes: boolean;
  readonly json: boolean;
  /** What to type where nobody can be asked. */
  readonly instead?: string;
}

/** Whether a person is there to answer. */
export const canAsk = (json: boolean): boolean => process.stdin.isTTY && process.stderr.isTTY && !json;

/** Throws RepctlError: `confirmation-needed` (exit 6) where nobody can be asked, `declined` (exit 6) on a no. */
export async function confirm({
  question,
  yes,
  json,
  instead = 'Add --yes to go ahead, or --dry-run to see the plan.',
}: ConfirmRequest): Promise<void> {
  if (yes) return;
  if (!canAsk(json)) {
    throw new RepctlError(
      'confirmation-needed',
      'This changes the cluster, and nobody is there to be asked.',
      {
        exit: EXIT.refused,
        hint: `${instead}\nNothing was changed.`,
      },
    );
  }
  const { default: inquirer } = await import('inquirer');
  const prompt = inquirer.createPromptModule({ output: process.stderr });
  let answer: boolean;
  try {
    ({ answer } = await prompt<{ answer: boolean }>([
      { type: 'confirm', name: 'answer', message: question, default: false },
    ]));
  } catch (error) {
    // Ctrl-C in the prompt.
    throw new RepctlError('interrupted', 'Interrupted; nothing was changed.', {
      exit: EXIT.interrupted,
      cause: error,
    });
  }
  if (!answer)
    throw new RepctlError('declined', 'Not confirmed; nothing was changed.', { exit: EXIT.refused });
}
