/**
 * Whether a stranded change may be applied to the leader's row as it is now. Pure.
 *
 * The row must be untouched since the fork. That is so when it is what it was when the file was made, and it had not
 * been changed there until then (`base`); or when it equals the whole row before the change (REPLICA IDENTITY FULL);
 * or when an earlier line of the file was applied to it and it still is what that line left.
 */
import type { StrandedLine, Values } from './model.js';
import { rowDigest } from './rows.js';

/** What an earlier line of the file left behind in the row of some key. */
export type Left =
  | { readonly kind: 'row'; readonly columns: readonly string[]; readonly digest: string }
  | { readonly kind: 'absent' }
  /** That line was not applied. */
  | { readonly kind: 'conflict' };

export interface Situation {
  readonly line: StrandedLine;
  /** The leader's row now: of the old key where the key changed, and then that of the new key. */
  readonly current: Values | undefined;
  readonly currentOfNewKey: Values | undefined;
  /** What an earlier line left in the row of the (old) key; undefined when this line is the first of it. */
  readonly left: Left | undefined;
}

export type Verdict =
  | { readonly kind: 'apply' }
  /** The row is already as the change would leave it. */
  | { readonly kind: 'already' }
  | { readonly kind: 'conflict'; readonly code: ConflictCode; readonly reason: string };

export type ConflictCode =
  | 'truncate'
  | 'no-key'
  | 'earlier-conflict'
  | 'row-changed'
  | 'row-exists'
  | 'row-gone'
  | 'key-taken'
  | 'value-lost'
  | 'referenced'
  | 'refused';

const conflict = (code: ConflictCode, reason: string): Verdict => ({ kind: 'conflict', code, reason });

/** The columns that a change sets, with their values. */
export function setValues(line: StrandedLine): Values {
  const untouched = new Set([...(line.fetched ?? []), ...(line.missing ?? [])]);
  return Object.fromEntries(Object.entries(line.row ?? {}).filter(([name]) => !untouched.has(name)));
}

const equalOn = (row: Values, wanted: Values): boolean =>
  Object.entries(wanted).every(([name, value]) => (row[name] ?? null) === value);

/** The row is, in every column that is known, what the change makes of it. */
function isDone({ line, current, currentOfNewKey }: Situation): boolean {
  if (line.op === 'delete') return current === undefined;
  if (line.op === 'insert') return current !== undefined && equalOn(current, setValues(line));
  const moved = line.oldKey !== undefined;
  const row = moved ? currentOfNewKey : current;
  return (!moved || current === undefined) && row !== undefined && equalOn(row, setValues(line));
}

export function judge(situation: Situation): Verdict {
  const { line, current, currentOfNewKey, left } = situation;
  if (line.op === 'truncate')
    return conflict('truncate', 'a TRUNCATE is never repeated: it would take rows that came since');
  if (Object.keys(line.key).length === 0)
    return conflict('no-key', 'the table has no key to find the row by');
  if (left?.kind === 'conflict')
    return conflict('earlier-conflict', 'an earlier change of the same row was not applied');
  const done = isDone(situation);
  if (!untouched(situation)) {
    if (done) return { kind: 'already' };
    if (line.op === 'insert') return conflict('row-exists', 'another row with this key is there');
    return current === undefined
      ? conflict('row-gone', 'the row was deleted since the fork, or moved to another key')
      : conflict('row-changed', 'the row was changed since the fork');
  }
  if (line.op === 'delete') return current === undefined ? { kind: 'already' } : { kind: 'apply' };
  if (line.op === 'insert')
    return current === undefined
      ? { kind: 'apply' }
      : done
        ? { kind: 'already' }
        : conflict('row-exists', 'another row with this key is there');
  if (current === undefined)
    return done ? { kind: 'already' } : conflict('row-gone', 'there is no such row on the leader');
  if (line.oldKey !== undefined && currentOfNewKey !== undefined)
    return conflict('key-taken', 'another row has the new key');
  return done ? { kind: 'already' } : { kind: 'apply' };
}

function untouched({ line, current, left }: Situation): boolean {
  if (left !== undefined) {
    if (left.kind === 'absent') return current === undefined;
    return left.kind === 'row' && current !== undefined && rowDigest(current, left.columns) === left.digest;
  }
  if (line.base !== undefined && line.base === rowDigest(current)) return true;
  return line.old !== undefined && current !== undefined && equalOn(current, line.old);
}

/** What a line that was applied leaves in the row of its key (`row`: as the server has it now, where it was read). */
export function leftBy(line: StrandedLine, row: Values | undefined): Left {
  if (line.op === 'delete') return { kind: 'absent' };
  const known = row ?? setValues(line);
  const columns = Object.keys(known).toSorted();
  return { kind: 'row', columns, digest: rowDigest(known, columns) };
}
