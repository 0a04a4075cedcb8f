/** Work under the lock: taken before the observation that the plan rests on, given back when all is over. */
import type { Fleet } from '../cluster/fleet.js';
import { type Lock, type LockHolder, breakLock, readHolders, takeLock } from '../cluster/lock.js';
import { describeHolder } from '../cluster/lock-sql.js';
import { EXIT, RepctlError } from '../errors.js';
import type { Plan, Step } from '../plan/plan.js';
import { operatorName } from './operator.js';

export interface LockedOptions {
  readonly fleet: Fleet;
  /** What is being done, one word, for whoever is refused: `failover`. */
  readonly operation: string;
  /** Go on with the nodes that answer, where these are fewer than half. */
  readonly acceptMinority?: boolean;
  /** End the holder's connections first. */
  readonly breakLock?: boolean;
  /** Told whose lock is broken, before it is. */
  readonly onBreak?: (holder: LockHolder) => void;
}

/**
 * Runs `body` while no other operator can work on this cluster. Throws `operation-in-progress` (exit 6) with the
 * holder's name before `body` begins.
 */
export async function withLock<T>(options: LockedOptions, body: (lock: Lock) => Promise<T>): Promise<T> {
  if (options.breakLock === true) await breakHeld(options);
  const lock = await takeLock(options.fleet, { operation: options.operation, operator: operatorName() });
  try {
    return await body(lock);
  } finally {
    await lock.release();
  }
}

async function breakHeld({ fleet, onBreak }: LockedOptions): Promise<void> {
  const holders = await readHolders(fleet);
  if (holders[0] !== undefined) onBreak?.(holders[0]);
  await breakLock(fleet, holders);
}

/**
 * Once there is a plan with something to do: a minority of locked nodes keeps nobody out. (Not before: a plan's
 * own refusal says more about nodes that do not answer.)
 */
export function requireMajority(lock: Lock, plan: Plan, { fleet, acceptMinority }: LockedOptions): void {
  if (lock.majority || acceptMinority === true || plan.acceptMinority === true || plan.steps.length === 0)
    return;
  throw new RepctlError(
    'lock-minority',
    `Only ${String(lock.count)} of ${String(fleet.config.nodes.length)} nodes could be locked: on the others somebody else may be at work.`,
    {
      exit: EXIT.refused,
      hint: 'Bring more nodes back, or add --accept-minority if nobody else works on this cluster.\nNothing was changed.',
    },
  );
}

/** An answer of the servers that is older than this is asked for anew before a promotion, milliseconds. */
const FRESH_MS = 250;

/**
 * Called before every step: a session that ended is opened again without a word by whoever needs one, but the
 * lock went with it, and another operator may be at work already. Before a promotion, after which there is no way
 * back, the servers are asked; after a fence they are asked beside the drain, since writers wait. Throws
 * `lock-lost`.
 */
export function guardOf(lock: Lock, fleet: Fleet): (step: Step) => Promise<void> {
  let asked: { readonly at: number; readonly answer: Promise<boolean> } | undefined;
  const ask = () => {
    asked = { at: performance.now(), answer: lock.verify() };
    return asked.answer;
  };
  return async ({ action: { kind } }) => {
    if (kind === 'drain') void ask();
    const fresh = asked !== undefined && performance.now() - asked.at < FRESH_MS;
    const sure = kind !== 'promote' || (await (fresh && asked !== undefined ? asked.answer : ask()));
    if (!sure || !lock.held()) throw await lockLost(fleet);
  };
}

async function lockLost(fleet: Fleet): Promise<RepctlError> {
  const [holder] = await readHolders(fleet);
  const who = holder === undefined ? '' : ` Now it is held by ${describeHolder(holder)}.`;
  return new RepctlError('lock-lost', `The lock of this operation was lost with its connections.${who}`, {
    exit: EXIT.refused,
    hint: holder === undefined ? 'repctl status' : 'Let that operation end first: repctl status shows it.',
    details: { holder: holder ?? null },
  });
}

/**
 * Before going back: true when nobody else can be at work, because the lock is still held or could be taken again.
 * What another operator has begun must not be undone.
 */
export async function mayGoBack(lock: Lock | undefined, options: LockedOptions): Promise<boolean> {
  if (lock === undefined || (await lock.verify())) return true;
  try {
    const again = await takeLock(options.fleet, { operation: options.operation, operator: operatorName() });
    return again.majority || options.acceptMinority === true;
  } catch {
    return false;
  }
}
