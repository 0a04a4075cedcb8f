/**
 * What was typed, for whoever asks by REPCTL_TRANSCRIPT=FILE: a line of JSON a command, written when it begins. A game
 * day tells from it when its operator noticed, and what was done.
 */
import { appendFileSync } from 'node:fs';
import { redact } from './redact.js';

export const TRANSCRIPT = 'REPCTL_TRANSCRIPT';

export interface Typed {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** `failover --yes` */
  readonly words: string;
}

/** Never throws: a command must not fail because nobody can take note of it. */
export function noteCommand(args: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
  const file = env[TRANSCRIPT];
  if (file === undefined || file === '') return;
  const typed: Typed = { at: Date.now(), words: redact(args.join(' ')) };
  try {
    appendFileSync(file, `${JSON.stringify(typed)}\n`, { mode: 0o600 });
  } catch {
    // see above
  }
}
