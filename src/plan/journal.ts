/** The audit file: one JSON line before and after each step, appended, never rewritten. */
import { appendFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import { redactDeep } from '../config/redact.js';
import type { Plan } from './plan.js';

export interface Journal {
  append(entry: Readonly<Record<string, unknown>>): Promise<void>;
}

export const auditFile = (stateDir: string, cluster: string): string =>
  path.join(stateDir, 'audit', `${encodeURIComponent(cluster)}.jsonl`);

/**
 * Appends to `<stateDir>/audit/<cluster>.jsonl` (0600). A journal that cannot be written stops the operation: it
 * throws RepctlError `audit-unwritable` (exit 6; the executor knows whether something was done before).
 */
export function openJournal(stateDir: string, cluster: string): Journal {
  const file = auditFile(stateDir, cluster);
  const directory = path.dirname(file);
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

/**
 * Runs `body` between a line that tells of its beginning and one of its end: a run that has none was killed.
 * Throws what appending the first throws, and what `body` throws.
 */
export async function recorded<T>(
  journal: Journal,
  plan: Pick<Plan, 'operation' | 'steps'>,
  body: () => Promise<T>,
): Promise<T> {
  const about = { operation: plan.operation };
  const start = performance.now();
  const end = (outcome: Readonly<Record<string, unknown>>) =>
    journal
      .append({ event: 'end', ...about, ms: Math.round(performance.now() - start), ...outcome })
      .catch(() => undefined);
  await journal.append({ event: 'begin', ...about, steps: plan.steps.length });
  try {
    const value = await body();
    await end({});
    return value;
  } catch (error) {
    await end({ code: error instanceof RepctlError ? error.code : 'bug' });
    throw error;
  }
}

/** For tests and dry runs. */
export const noJournal: Journal = { append: () => Promise.resolve() };
