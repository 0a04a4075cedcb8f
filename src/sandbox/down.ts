/** Ends and removes a sandbox, whatever state it is in. */
import { removeDirectory } from './directory.js';
import { unmountBelow } from './disk.js';
import type { Sandbox } from './model.js';
import { stopProxy } from './proxy-control.js';
import path from 'node:path';
import { processes, signalProcess, waitGone } from './process.js';
import { killServer, removeSharedMemory } from './server.js';

/**
 * Leaves no process, socket, file, memory segment or mounted disk. The servers are killed, not shut down: their data goes
 * away anyway, and a checkpoint would only take time. Run twice, it leaves what running it once leaves.
 */
export async function downSandbox(sandbox: Sandbox): Promise<void> {
  const results = await Promise.allSettled([
    stopProxy(sandbox),
    ...sandbox.nodes.map(async (node) => {
      await killServer(node);
      await removeSharedMemory(node);
    }),
  ]);
  await killStrays(sandbox.directory);
  const failed = results.find((one) => one.status === 'rejected');
  // The directory says where the processes are: it stays as long as one of them does.
  if (failed) throw failed.reason;
  await unmountBelow(sandbox.directory);
  await removeDirectory(sandbox.directory, sandbox.createdDirectory);
}

/** What an interrupted start may have left: an initdb at work, a server whose lock file is not written yet. */
async function killStrays(directory: string): Promise<void> {
  const strays = (await processes()).filter((one) => {
    const program = path.basename(one.command.split(' ')[0] ?? '');
    return (
      ['postgres', 'initdb', 'pg_ctl'].includes(program) &&
      one.command.includes(`${directory}/`) &&
      !one.zombie
    );
  });
  for (const one of strays) signalProcess(one.pid, 'SIGKILL');
  await waitGone(strays.map((one) => one.pid));
}
