/** A bound for what a server may never answer. */
import { EXIT, RepctlError } from '../errors.js';

/** Waits for `work` at most `ms`: a stopped server keeps its sockets open and never answers. */
export async function within<T>(ms: number, node: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new RepctlError('node-unreachable', `${node} does not answer (waited ${(ms / 1000).toFixed(1)} s).`, {
          exit: EXIT.unreachable,
          hint: 'repctl status',
          details: { node },
        }),
      );
    }, ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}
