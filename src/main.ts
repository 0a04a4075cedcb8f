/** The program: hands the arguments to oclif and turns whatever escapes a command into one clear line. */
import { fileURLToPath } from 'node:url';
import { Errors, flush, run } from '@oclif/core';
import { EXIT } from './errors.js';

/** `repctl … | head` closes stdout early: that is no error. A running operation asks to go on instead. */
function endQuietlyWhenPipeCloses(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.done);
      // A full disk behind `> file`: the data is not all there, and nothing more can be said on this stream.
      if (stream === process.stdout) process.stderr.write(`✗ stdout cannot be written: ${error.message}\n`);
      process.exit(EXIT.incomplete);
    });
  }
}

async function report(error: unknown, argv: readonly string[]): Promise<void> {
  const { reportFailure, wantsJson } = await import('./cli/report.js');
  reportFailure(error, { json: wantsJson(argv), noColor: argv.includes('--no-color') });
}

export async function main(argv: string[]): Promise<void> {
  endQuietlyWhenPipeCloses();
  // Until a command has its own handler, Ctrl-C ends the process at once.
  process.on('SIGINT', () => {
    if (process.listenerCount('SIGINT') === 1) process.exit(EXIT.interrupted);
  });
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      void report(error, argv).finally(() => process.exit(process.exitCode ?? EXIT.bug));
    });
  }
  try {
    await run(argv, { root: fileURLToPath(import.meta.url) });
    await flush();
  } catch (error) {
    // --help and --version end oclif by throwing an exit of 0.
    if (error instanceof Errors.ExitError) process.exitCode = error.oclif.exit ?? EXIT.done;
    else await report(error, argv);
  }
}
