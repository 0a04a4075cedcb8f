/** The workload's process, from here: started with a task, heard line by line, stopped. */
import { createInterface } from 'node:readline';
import { RepctlError } from '../errors.js';
import type { Children } from './children.js';
import type { Line } from './history.js';
import { programFile } from './programs.js';
import type { Task } from './workload/model.js';

export interface LoadProcess {
  /** Ends when all that was due is answered and written down. */
  stop(): Promise<void>;
  /** Rejects when it ended by itself: then nothing of the run can be judged. */
  readonly failure: Promise<never>;
}

export function startLoad(children: Children, task: Task, onLine: (line: Line) => void): LoadProcess {
  const child = children.start(programFile('dist/drill/workload/main.js'), []);
  let stopping = false;
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const heard = new Promise<void>((resolve) => {
    if (child.stdout === null) return;
    createInterface({ input: child.stdout })
      .on('line', (line) => {
        onLine(JSON.parse(line) as Line);
      })
      .once('close', resolve);
  });
  const failure = new Promise<never>((_, reject) => {
    child.once('close', (code) => {
      if (stopping) return;
      reject(
        new RepctlError(
          'workload-failed',
          `The workload ended by itself (${String(code)}): ${stderr.trim()}`,
          {
            exit: 1,
          },
        ),
      );
    });
  });
  failure.catch(() => undefined);
  child.stdin?.write(`${JSON.stringify(task)}\n`);
  return {
    failure,
    async stop() {
      stopping = true;
      if (child.exitCode === null) child.stdin?.write('stop\n');
      await heard;
      child.stdin?.end();
    },
  };
}
