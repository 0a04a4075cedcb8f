/** Ends the wait for a server that went silent in the middle of a statement. */
import { RepctlError } from '../errors.js';

/**
 * Runs `statement`; while it takes long, asks every `everyMs` through `knock` (a new connection) whether the server
 * is there at all, and calls `giveUp` when it is not. A statement may rightly take hours, and statement_timeout is
 * kept by the very server that may be stopped: a frozen machine's kernel, too, goes on acknowledging keepalives.
 */
export async function watched<T>(
  statement: Promise<T>,
  everyMs: number,
  knock: () => Promise<void>,
  giveUp: () => void,
): Promise<T> {
  let done = false;
  let timer: NodeJS.Timeout | undefined;
  const wait = () => {
    timer = setTimeout(() => {
      knock().then(
        () => {
          if (!done) wait();
        },
        (error: unknown) => {
          if (done) return;
          // What refuses a login (too many clients, a changed password) is a server that answers.
          if (error instanceof RepctlError && error.code === 'node-unreachable') giveUp();
          else wait();
        },
      );
    }, everyMs);
    // What keeps the program alive is the statement's own socket.
    timer.unref();
  };
  wait();
  try {
    return await statement;
  } finally {
    done = true;
    clearTimeout(timer);
  }
}
