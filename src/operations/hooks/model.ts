/** People's own programs around a leader change: what each is called with. Pure. */
import type { HooksConfig } from '../../config/schema.js';
import type { Lsn } from '../../postgres/lsn.js';

export type HookName = 'beforePromote' | 'afterPromote' | 'onRollback';

/** What a hook is told. */
export interface HookContext {
  /** switchover or failover. */
  readonly operation: string;
  readonly cluster: string;
  readonly oldLeader: string | null;
  readonly newLeader: string;
  readonly epoch: number;
  /** Up to where the new leader has the old one's transactions; null until that is known. */
  readonly forkPoint: Lsn | null;
  readonly operator: string;
  readonly reason: string | null;
  /** onRollback: what went wrong. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface HookCall {
  readonly hook: HookName;
  readonly argv: readonly string[];
  /** On top of the environment that repctl itself was given, which holds no password that repctl put there. */
  readonly env: Readonly<Record<string, string>>;
  /** JSON. */
  readonly stdin: string;
  readonly timeoutMs: number;
}

/** The call of one hook; undefined when none is configured. */
export function hookCall(
  hooks: HooksConfig | undefined,
  hook: HookName,
  context: HookContext,
): HookCall | undefined {
  const argv = hooks?.[hook];
  if (hooks === undefined || argv === undefined) return undefined;
  const { error, ...facts } = context;
  const env = {
    REPCTL_HOOK: hook,
    REPCTL_OPERATION: context.operation,
    REPCTL_CLUSTER: context.cluster,
    REPCTL_OLD_LEADER: context.oldLeader ?? '',
    REPCTL_NEW_LEADER: context.newLeader,
    REPCTL_EPOCH: String(context.epoch),
    REPCTL_FORK_POINT: context.forkPoint ?? '',
    REPCTL_OPERATOR: context.operator,
    REPCTL_REASON: context.reason ?? '',
    REPCTL_ERROR: error === null ? '' : `${error.code}: ${error.message}`,
  };
  const clean = Object.fromEntries(
    // No variable can hold a zero byte.
    Object.entries(env).map(([name, value]) => [name, value.replaceAll('\0', '')]),
  );
  return {
    hook,
    argv,
    env: clean,
    stdin: `${JSON.stringify({ hook, ...facts, error })}\n`,
    timeoutMs: hooks.timeoutMs,
  };
}

/** How one hook ended; also part of a change's --json. */
export interface HookReport {
  readonly hook: HookName;
  readonly ms: number;
  /** null: it was not started, or ended by a signal. */
  readonly exitCode: number | null;
  /** Its lines on stdout and stderr, the last 100, redacted. */
  readonly output: readonly string[];
  /** null when it ended with 0. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** What is told of hooks while they run. */
export type HookEvent =
  | { readonly type: 'start'; readonly hook: HookName; readonly program: string }
  | { readonly type: 'line'; readonly hook: HookName; readonly line: string }
  | { readonly type: 'done'; readonly hook: HookName; readonly report: HookReport };
