/**
 * npm run evaluation: docs/evaluation.md and its charts, out of recorded drills and a template. No figure is typed by
 * hand. The runs are those of `repctl drill run`, wherever XDG_STATE_HOME is.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { reportFailure } from '../cli/report.js';
import { programRoot } from '../drill/programs.js';
import { readDrills } from '../drill/report/read.js';
import { EXIT, RepctlError } from '../errors.js';
import { evaluate } from './evaluate.js';
import { TemplateError } from './template.js';

const docs = path.join(programRoot(), 'docs');
const TEMPLATE = 'evaluation.template.md';

async function main(): Promise<void> {
  const file = path.join(docs, TEMPLATE);
  const { drills, unreadable } = await readDrills({ runs: [], scenarios: [], last: undefined });
  let made;
  try {
    made = evaluate(await readFile(file, 'utf8'), drills);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw new RepctlError('evaluation-incomplete', `docs/${TEMPLATE}:\n${error.message}`, {
      exit: EXIT.refused,
      hint: 'Nothing was written. Run what is missing, then npm run evaluation again.',
    });
  }
  const pictures = path.join(docs, 'evaluation');
  await rm(pictures, { recursive: true, force: true });
  await mkdir(pictures);
  for (const [name, svg] of made.charts) await writeFile(path.join(pictures, name), `${svg}\n`);
  await writeFile(path.join(docs, 'evaluation.md'), made.markdown);
  const left = unreadable.length === 0 ? '' : `; ${String(unreadable.length)} without a result left out`;
  process.stdout.write(
    `docs/evaluation.md: ${String(drills.length)} runs${left}, ${String(made.charts.size)} charts\n`,
  );
}

try {
  await main();
} catch (error) {
  reportFailure(error, { json: false, noColor: false });
  process.exitCode = error instanceof RepctlError ? error.exit : EXIT.bug;
}
