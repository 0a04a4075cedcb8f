/**
 * Waits for the drill that started it to be gone, however it went (SIGKILL leaves it no time to clean up), then ends
 * what it left: the commands it was running, then its sandbox. In a session of its own, so that what ends the drill
 * by its process group does not end this.
 *
 *   node dist/drill/reaper-main.js DIRECTORY      on stdin: `+PID`, `-PID`, and `done` when there is nothing to do
 */
import { createInterface } from 'node:readline';
import { signalProcess } from '../sandbox/process.js';
import { down, readState } from '../sandbox/sandbox.js';

const [directory = ''] = process.argv.slice(2);
const running = new Set<number>();
let done = false;

async function reap(): Promise<void> {
  if (done) return;
  for (const pid of running) signalProcess(pid, 'SIGKILL');
  const sandbox = await readState(directory);
  if (sandbox) await down(sandbox);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  if (line === 'done') done = true;
  else if (line.startsWith('+')) running.add(Number(line.slice(1)));
  else running.delete(Number(line.slice(1)));
});
lines.on('close', () => {
  void reap().finally(() => process.exit(0));
});
