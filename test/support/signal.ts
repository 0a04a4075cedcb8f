/** Sends a signal to server processes; those that ended meanwhile are passed over. */
export function signalAll(pids: readonly number[], which: NodeJS.Signals): void {
  for (const pid of pids)
    try {
      process.kill(pid, which);
    } catch {
      // It ended meanwhile.
    }
}
