/** The file that says which lines an import left out, and why: NDJSON, a line each. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Reject } from './import.js';

export interface RejectFile {
  readonly path: string;
  add(reject: Reject): void;
  close(): void;
}

const FLUSH_LENGTH = 64 * 1024;

/** Makes the file, or empties it. What goes wrong is thrown as the system says it. */
export function openRejectFile(path: string): RejectFile {
  const file = openSync(path, 'w', 0o600);
  let pending = '';
  const flush = (): void => {
    if (pending !== '') writeSync(file, pending);
    pending = '';
  };
  return {
    path,
    add(reject) {
      pending += `${JSON.stringify(reject)}\n`;
      if (pending.length > FLUSH_LENGTH) flush();
    },
    close() {
      try {
        flush();
      } finally {
        closeSync(file);
      }
    },
  };
}
