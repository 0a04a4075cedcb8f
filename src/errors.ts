/**
 * The one family of errors that reaches a person.
 *
 * Every error says what happened (`message`), what to type next (`hint`), machine-readable facts (`details`)
 * and how the process ends (`exit`). Nothing else is printed: no stack (unless REPCTL_DEBUG=1), no password.
 */

/** Exit codes of every command, in text and with --json alike; `repctl help exit-codes` explains them. */
export const EXIT = {
  done: 0,
  bug: 1,
  usage: 2,
  unreachable: 3,
  unhealthy: 4,
  diverged: 5,
  refused: 6,
  incomplete: 7,
  rolledBack: 8,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export interface ErrorOptions {
  /** What to type or change next, one or more lines. */
  hint?: string;
  /** Facts for --json; must not hold secrets. */
  details?: Record<string, unknown>;
  exit?: ExitCode;
  cause?: unknown;
}

export class RepctlError extends Error {
  /** Stable, kebab-case. */
  readonly code: string;
  readonly hint: string | undefined;
  readonly details: Record<string, unknown>;
  readonly exit: ExitCode;

  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'RepctlError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
    this.exit = options.exit ?? EXIT.usage;
  }
}

/** The message of anything thrown, without a stack. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0)
    return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
