/** `async`, `any 2`, `all` as typed. */
import type { SyncRequest } from '../cluster/sync.js';
import { RepctlError } from '../errors.js';

/** undefined without a mode: it is shown. Throws `usage` (exit 2). */
export function syncRequest(mode: string | undefined, count: string | undefined): SyncRequest | undefined {
  const wrong = (message: string) =>
    new RepctlError('usage', message, { hint: 'repctl sync async, repctl sync any 1, repctl sync all' });
  if (mode === undefined) return undefined;
  if (mode === 'any') {
    if (count === undefined) throw wrong('any needs a number: how many replicas must confirm a commit.');
    if (!/^[1-9]\d{0,2}$/u.test(count)) throw wrong(`${count} is no number of replicas.`);
    return { mode, k: Number(count) };
  }
  if (mode !== 'async' && mode !== 'all') throw wrong(`${mode} is no sync mode.`);
  if (count !== undefined) throw wrong(`${mode} takes no number.`);
  return { mode };
}
