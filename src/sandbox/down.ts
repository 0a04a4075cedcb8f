/** Ends and removes a sandbox, whatever state it is in. */
import { removeDirectory } from './directory.js';
import type { Sandbox } from './model.js';
import { stopProxy } from './proxy-control.js';
import { killServer, removeSharedMemory } from './server.js';

/**
 * Leaves no process, socket, file or memory segment. The servers are killed, not shut down: their data goes
 * away anyway, and a checkpoint would only take time. Run twice, it leaves what running it once leaves.
 */
export async function downSandbox(sandbox: Sandbox): Promise<void> {
  const results = await Promise.allSettled([
    ...(sandbox.proxy ? [stopProxy(sandbox.proxy)] : []),
    ...sandbox.nodes.map(async (node) => {
      await killServer(node);
      await removeSharedMemory(node);
    }),
  ]);
  const failed = results.find((one) => one.status === 'rejected');
  // The directory says where the processes are: it stays as long as one of them does.
  if (failed) throw failed.reason;
  await removeDirectory(sandbox.directory, sandbox.createdDirectory);
}
