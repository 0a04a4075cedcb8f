/** The audit file: one JSON line before and after each step, appended, never rewritten. */
import { appendFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import { redactDeep } from '../config/redact.js';

export interface Journal {
  append(entry: Readonly<Record<string, unknown>>): Promise<void>;
}

/**
 * Appends to `<stateDir>/audit/<cluster>.jsonl` (0600). A journal that cannot be written stops the operation: it
 * throws RepctlError `audit-unwritable` (exit 6; the executor knows whether something was done before).
 */
export function openJournal(stateDir: string, cluster: string): Journal {
  const directory = path.join(stateDir, 'audit');
  const file = path.join(directory, `${encodeURIComponent(cluster)}.jsonl`);
  const base = { pid: process.pid };
  let ready: Promise<unknown> | undefined;
  return {
    async append(entry) {
      const line = JSON.stringify(redactDeep({ at: new Date().toISOString(), ...base, ...entry }));
      try {
        ready ??= mkdir(directory, { recursive: true, mode: 0o700 });
        await ready;
        await appendFile(file, `${line}\n`, { mode: 0o600 });
      } catch (error) {
        throw new RepctlError('audit-unwritable', `${file} cannot be written: ${messageOf(error)}`, {
          exit: EXIT.refused,
          hint: 'Make room or give write permission, or set XDG_STATE_HOME to another place.',
          details: { file },
          cause: error,
        });
      }
    },
  };
}

/** For tests and dry runs. */
export const noJournal: Journal = { append: () => Promise.resolve() };
