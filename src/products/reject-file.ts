/** The file that says which lines an import left out, and why: NDJSON, a line each. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import type { Reject } from './import.js';

export interface RejectFile {
  readonly path: string;
  add(reject: Reject): void;
  /** Throws RepctlError `file-unwritable` (exit 7), as add() may. */
  flush(): void;
  close(): void;
}

const FLUSH_LENGTH = 64 * 1024;

function open(path: string): number {
  try {
    return openSync(path, 'w', 0o600);
  } catch (error) {
    throw new RepctlError('file-unwritable', `${path} cannot be written: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Makes the file, or empties it. Throws RepctlError `file-unwritable` (exit 2). */
export function openRejectFile(path: string): RejectFile {
  const file = open(path);
  let pending = '';
  const flush = (): void => {
    const text = pending;
    pending = '';
    try {
      if (text !== '') writeSync(file, text);
    } catch (error) {
      throw new RepctlError('file-unwritable', `${path} cannot be written: ${messageOf(error)}`, {
        exit: EXIT.incomplete,
        hint: 'Nothing was imported. Make room, or name another file with --reject-file.',
        cause: error,
      });
    }
  };
  return {
    path,
    add(reject) {
      pending += `${JSON.stringify(reject)}\n`;
      if (pending.length > FLUSH_LENGTH) flush();
    },
    flush,
    close() {
      try {
        flush();
      } finally {
        closeSync(file);
      }
    },
  };
}
