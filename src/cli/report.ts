/** How a failure leaves the process: the same code, message and exit status in text and with --json. */
import { redact, redactDeep } from '../config/redact.js';
import type { RepctlError } from '../errors.js';
import { failureText } from '../ui/failure.js';
import { toRepctlError } from './failure.js';
import { styleFor } from './terminal.js';

/** A whitelist: oclif's own error JSON would dump the parse context, and with it any URL on the command line. */
export function failureJson(failure: RepctlError): { error: Record<string, unknown> } {
  const { code, message, hint, details } = failure;
  return redactDeep({ error: { code, message, hint: hint ?? null, details } });
}

/** Whether --json was asked for; what stands after `--` is not ours. */
export function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end === -1 ? argv : argv.slice(0, end)).includes('--json');
}

const LOST_OUTPUT: ReadonlySet<unknown> = new Set(['write ENOSPC', 'write EDQUOT', 'write EIO']);
const systemCode = (error: unknown): string => {
  const { syscall, code } = (error ?? {}) as NodeJS.ErrnoException;
  return `${String(syscall)} ${String(code)}`;
};

/** Prints the failure and sets the exit status. A stack trace only with REPCTL_DEBUG=1. */
export function reportFailure(error: unknown, options: { json: boolean; noColor: boolean }): void {
  const failure = toRepctlError(error);
  // stdout that cannot be written (a full disk behind `> file`) may be the very failure: then the words say so.
  if (options.json && process.stdout.writable && !LOST_OUTPUT.has(systemCode(error)))
    process.stdout.write(`${JSON.stringify(failureJson(failure), null, 2)}\n`);
  else
    process.stderr.write(
      `${failureText(failure, styleFor(process.stderr, options.noColor), process.stderr.isTTY)}\n`,
    );
  if (process.env['REPCTL_DEBUG'] === '1' && error instanceof Error)
    process.stderr.write(`${redact(stackOf(error))}\n`);
  process.exitCode = failure.exit;
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\nCaused by: ${stackOf(error.cause)}` : own;
}
