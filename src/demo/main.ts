/**
 * npm run demo: a cluster of four real servers, its leader killed under a client that writes on, brought back with
 * what only it had saved, and made the leader again; what all that cost, measured. Everything lives in a temporary directory and is gone at the end, after Ctrl-C as well.
 */
import { fileURLToPath } from 'node:url';
import { reportFailure } from '../cli/report.js';
import { EXIT } from '../errors.js';
import { clock } from './ledger.js';
import { openStage } from './stage.js';
import { play } from './story.js';
import { renderSummary } from './summary.js';

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/** The reader of stdout is gone. */
const UNHEARD = 'unheard';

async function main(): Promise<number> {
  const began = clock();
  const interruption = new AbortController();
  // Also when the terminal is closed or the reader of a pipe goes away; any later signal changes nothing more.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      interruption.abort();
    });
  process.stdout.on('error', () => {
    interruption.abort(UNHEARD);
  });
  const stage = await openStage(here('../../bin/run.js'), interruption.signal);
  const { c } = stage.style;
  let exit: number = EXIT.done;
  try {
    const figures = await play(stage, here('writer.js'));
    stage.heading('The end');
    stage.say('Stopping and removing everything that was started.');
    const removedMs = await stage.clear();
    stage.print(`\n${renderSummary({ ...figures, removedMs, totalMs: clock() - began }, stage.style)}`);
    // Lost writes are a measurement: n1 may have acknowledged what it never sent. A copy would be a defect.
    if (figures.copied > 0) exit = EXIT.bug;
  } catch (error) {
    if (interruption.signal.aborted) {
      exit = EXIT.interrupted;
      if (interruption.signal.reason !== UNHEARD)
        stage.print(`\n${c.yellow('Interrupted: stopping and removing everything that was started.')}`);
    } else {
      exit = EXIT.bug;
      reportFailure(error, { json: false, noColor: false });
    }
    await stage.clear();
    if (interruption.signal.reason !== UNHEARD) stage.print('Done.');
  }
  return exit;
}

try {
  process.exitCode = await main();
} catch (error) {
  reportFailure(error, { json: false, noColor: false });
  process.exitCode = EXIT.bug;
}
