/** The programs that a drill starts, as npm run build makes them. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { RepctlError } from '../errors.js';

/** The root of the project: where package.json is, wherever this module was bundled to. */
export function programRoot(): string {
  let directory = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(directory, 'package.json'))) directory = path.dirname(directory);
  return directory;
}

/** `bin/run.js`, `dist/drill/workload/main.js`. Throws `program-missing` before a build. */
export function programFile(file: string): string {
  const found = path.join(programRoot(), file);
  if (existsSync(found)) return found;
  throw new RepctlError('program-missing', `${found} is not there.`, { hint: 'npm run build' });
}
