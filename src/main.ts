/** The program: hands the arguments to oclif and turns whatever escapes a command into one clear line. */
import { fileURLToPath } from 'node:url';
import { Errors, flush, run } from '@oclif/core';
import { failureText } from './cli/base-command.js';
import { toRepctlError } from './cli/failure.js';
import { styleFor } from './cli/terminal.js';

/** `repctl … | head` closes stdout early: that is no error. */
function endQuietlyWhenPipeCloses(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
}

export async function main(argv: string[]): Promise<void> {
  endQuietlyWhenPipeCloses();
  try {
    await run(argv, { root: fileURLToPath(import.meta.url) });
    await flush();
  } catch (error) {
    // --help and --version end oclif by throwing an exit of 0.
    if (error instanceof Errors.ExitError) {
      process.exitCode = error.oclif.exit ?? 0;
      return;
    }
    const failure = toRepctlError(error);
    if (argv.includes('--json')) {
      const { code, message, hint, details } = failure;
      process.stdout.write(
        `${JSON.stringify({ error: { code, message, hint: hint ?? null, details } }, null, 2)}\n`,
      );
    } else {
      process.stderr.write(
        `${failureText(failure, styleFor(process.stderr, argv.includes('--no-color')))}\n`,
      );
    }
    process.exitCode = failure.exit;
  }
}
