/**
 * Offers the transactions of a stranded file to the leader, each in one transaction there, row by row and in order.
 * Where a row was changed since the fork the change is left alone and listed; nothing is overwritten in silence.
 *
 * Once only: each transaction leaves a row in repctl.request, in the same transaction, under an id made of the node,
 * its epoch and the transaction's position. A product write whose own request id is known to the leader was sent
 * again by its client, so its whole transaction is passed over.
 */
import type { TableShape } from '../../consistency/shape.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { Session } from '../../postgres/session.js';
import { type ConflictCode, type Left, type Verdict, judge, leftBy, setValues } from './judge.js';
import type { Requests } from './file.js';
import type { StrandedHeader, StrandedLine, Values } from './model.js';
import { type ActingKey, actingKeys, strayReferrer } from './referring.js';
import { keyText, rowsOf } from './rows.js';
import { IMMEDIATE_SQL, write, writeAll } from './write.js';

export interface Conflict {
  readonly code: ConflictCode;
  readonly reason: string;
  readonly line: StrandedLine;
  /** The leader's row as it was found; null when there was none. */
  readonly leader: Values | null;
}

export interface ReplayCounts {
  readonly transactions: number;
  /** Transactions of which every change is on the leader now, by this run or before it. */
  readonly wholeTransactions: number;
  /** Passed over: replayed by an earlier run, or their client sent them again. */
  readonly doneBefore: number;
  readonly applied: number;
  /** Changes that had nothing left to do. */
  readonly already: number;
  readonly conflicts: number;
}

export interface ReplayOptions {
  /** A session of the leader that nobody else uses meanwhile. */
  readonly leader: Session;
  readonly header: StrandedHeader;
  /** Ids of the product writes in a transaction, by its number. */
  readonly requests: Requests;
  /** The definition of a table on the leader. */
  readonly shape: (schema: string, table: string) => TableShape | undefined;
  readonly markId: (transaction: StrandedLine) => string;
  /** Judge only, write nothing; what a constraint would refuse is not seen then. */
  readonly dryRun?: boolean;
  readonly onConflict: (conflict: Conflict) => Promise<void>;
  readonly onChanges?: (count: number) => void;
}

interface State {
  /** By table and key: what the file's earlier lines left there. */
  readonly left: Map<string, Left>;
  /** Of a dry run: rows that would be as an earlier line leaves them, and are not. */
  readonly supposed: Set<string>;
  counts: { -readonly [Key in keyof ReplayCounts]: number };
  readonly acting: readonly ActingKey[];
}

const nameOf = (line: Pick<StrandedLine, 'schema' | 'table'>, key: Values): string =>
  JSON.stringify([line.schema, line.table, keyText(key)]);

/**
 * `portions`: of a file that was proved whole, each of one transaction. Throws what the leader says, between two
 * transactions or in one. Memory holds one portion, and a digest for each row.
 */
export async function replay(
  portions: AsyncIterable<readonly StrandedLine[]>,
  options: ReplayOptions,
): Promise<ReplayCounts> {
  const state: State = {
    left: new Map(),
    supposed: new Set(),
    acting: await actingKeys(options.leader),
    counts: { transactions: 0, wholeTransactions: 0, doneBefore: 0, applied: 0, already: 0, conflicts: 0 },
  };
  const rest = portions[Symbol.asyncIterator]();
  const at = { next: await rest.next() };
  const linesOf = async function* (number: number) {
    while (at.next.done !== true && at.next.value[0]?.transaction === number) {
      yield at.next.value;
      options.onChanges?.(at.next.value.length);
      at.next = await rest.next();
    }
  };
  for (;;) {
    const first = at.next.done === true ? undefined : at.next.value[0];
    if (first === undefined) return state.counts;
    state.counts.transactions += 1;
    await replayOne(first, linesOf(first.transaction), state, options);
  }
}

/** In repctl.request: number of the change, and why it was not applied. */
interface RememberedConflict {
  readonly change: number;
  readonly code: ConflictCode;
  readonly reason: string;
}

interface Mark {
  readonly outcome: { readonly conflicts?: readonly RememberedConflict[] };
}

type Portions = AsyncIterable<readonly StrandedLine[]>;

async function replayOne(
  first: StrandedLine,
  portions: Portions,
  state: State,
  options: ReplayOptions,
): Promise<void> {
  const { leader, dryRun = false } = options;
  const id = options.markId(first);
  const [mark] = await leader.query<Mark>(`select outcome from repctl.request where id = $1`, [id]);
  if (mark !== undefined) return remember(portions, mark, state, options);
  if (await sentAgain(options.requests.get(first.transaction) ?? [], leader)) {
    state.counts.doneBefore += 1;
    state.counts.wholeTransactions += 1;
    for await (const lines of portions) {
      state.counts.already += lines.length;
      for (const line of lines) note(state, line, { kind: 'already' }, undefined);
    }
    return;
  }
  const conflicts: RememberedConflict[] = [];
  let applied = 0;
  let already = 0;
  const body = async () => {
    if (!dryRun) await leader.simple(`set local lock_timeout = '10s'`);
    for await (const { lines, last } of withLast(portions))
      for (const { line, verdict, current } of await offerAll(lines, last, state, options)) {
        if (verdict.kind === 'apply') applied += 1;
        else if (verdict.kind === 'already') already += 1;
        else {
          const { code, reason } = verdict;
          conflicts.push({ change: line.change, code, reason });
          await options.onConflict({ code, reason, line, leader: current ?? null });
        }
      }
    if (dryRun) return;
    const key = `${options.header.node} ${String(options.header.epoch)} ${first.lsn}`;
    await leader.query(`insert into repctl.request (id, outcome) values ($1, $2)`, [
      id,
      JSON.stringify({ action: 'replay', key, applied, conflicts }),
    ]);
  };
  await leader.transaction(body, dryRun ? 'isolation level repeatable read read only' : '');
  state.counts.applied += applied;
  state.counts.already += already;
  state.counts.conflicts += conflicts.length;
  if (conflicts.length === 0) state.counts.wholeTransactions += 1;
}

async function* withLast(portions: Portions) {
  let lines: readonly StrandedLine[] | undefined;
  for await (const next of portions) {
    if (lines !== undefined) yield { lines, last: false };
    lines = next;
  }
  if (lines !== undefined) yield { lines, last: true };
}

/** A transaction that an earlier run brought over: what conflicted then is told again, beside the row as it is now. */
async function remember(
  portions: Portions,
  { outcome }: Mark,
  state: State,
  options: ReplayOptions,
): Promise<void> {
  const before = new Map((outcome.conflicts ?? []).map((one) => [one.change, one]));
  state.counts.doneBefore += 1;
  if (before.size === 0) state.counts.wholeTransactions += 1;
  for await (const lines of portions) {
    const told = lines.filter(({ change }) => before.has(change));
    const rows = await currentRows(told, { ...options, dryRun: true });
    for (const line of lines) {
      const known = before.get(line.change);
      note(
        state,
        line,
        known === undefined ? { kind: 'already' } : { kind: 'conflict', ...known },
        undefined,
      );
      if (known === undefined) state.counts.already += 1;
      else {
        const { code, reason } = known;
        const current = rows.get(nameOf(line, line.oldKey ?? line.key));
        state.counts.conflicts += 1;
        await options.onConflict({ code, reason, line, leader: current ?? null });
      }
    }
  }
}

/** The client asked the new leader to do one of these requests again. */
async function sentAgain(ids: readonly string[], leader: Session): Promise<boolean> {
  if (ids.length === 0) return false;
  const found = await leader.query(`select 1 from repctl.request where id = any($1::uuid[]) limit 1`, [
    `{${ids.join(',')}}`,
  ]);
  return found.length > 0;
}

/** The leader's rows of every key that the lines name, locked, by table and key; changed here as lines are applied. */
async function currentRows(
  lines: readonly StrandedLine[],
  { leader, shape, dryRun = false }: ReplayOptions,
): Promise<Map<string, Values | undefined>> {
  const rows = new Map<string, Values | undefined>();
  const groups = new Map<string, { line: StrandedLine; keys: Map<string, Values> }>();
  for (const line of lines) {
    for (const key of line.oldKey === undefined ? [line.key] : [line.oldKey, line.key]) {
      if (Object.keys(key).length === 0) continue;
      const name = JSON.stringify([line.schema, line.table, Object.keys(key)]);
      const group = groups.get(name) ?? { line, keys: new Map<string, Values>() };
      groups.set(name, group);
      group.keys.set(nameOf(line, key), key);
    }
  }
  for (const { line, keys } of groups.values()) {
    const definition = shape(line.schema, line.table);
    if (definition === undefined)
      throw new RepctlError('table-missing', `${leader.node} has no table ${line.schema}.${line.table}.`, {
        exit: EXIT.refused,
        hint: 'Make the table as it was on the former leader, then run the same command again.',
        details: { schema: line.schema, table: line.table },
      });
    const found = await rowsOf(leader, definition, [...keys.values()], !dryRun);
    for (const [index, name] of [...keys.keys()].entries()) rows.set(name, found[index]);
  }
  return rows;
}

interface Offered {
  readonly line: StrandedLine;
  readonly verdict: Verdict;
  /** The row as it was found. */
  readonly current: Values | undefined;
}

/**
 * All of a portion's writes go to the leader at once; only when it refuses one of them, they go one by one, to learn
 * which.
 */
async function offerAll(
  lines: readonly StrandedLine[],
  last: boolean,
  state: State,
  options: ReplayOptions,
): Promise<readonly Offered[]> {
  const names = lines.flatMap((line) => [nameOf(line, line.oldKey ?? line.key), nameOf(line, line.key)]);
  const before = names.map((name) => [name, state.left.get(name)] as const);
  const judged = await judgeAll(lines, state, options, () => Promise.resolve(undefined));
  const wanted = judged.filter(({ verdict }) => verdict.kind === 'apply').map(({ line }) => line);
  if (options.dryRun === true || wanted.length === 0 || (await writeAll(wanted, last, options)))
    return judged;
  for (const [name, left] of before)
    if (left === undefined) state.left.delete(name);
    else state.left.set(name, left);
  if (last) await options.leader.simple(IMMEDIATE_SQL);
  return judgeAll(lines, state, options, (line) => write(line, options));
}

/** `attempt`: undefined, or why the leader refuses the line. */
async function judgeAll(
  lines: readonly StrandedLine[],
  state: State,
  options: ReplayOptions,
  attempt: (line: StrandedLine) => Promise<string | undefined>,
): Promise<Offered[]> {
  const rows = await currentRows(lines, options);
  const offered: Offered[] = [];
  for (const [index, line] of lines.entries()) {
    const oldName = nameOf(line, line.oldKey ?? line.key);
    const newName = nameOf(line, line.key);
    const current = rows.get(oldName);
    let verdict: Verdict = state.supposed.has(oldName)
      ? { kind: 'apply' }
      : judge({ line, current, currentOfNewKey: rows.get(newName), left: state.left.get(oldName) });
    if (state.acting.length > 0 && verdict.kind === 'apply' && current !== undefined) {
      const stray = await referrer(
        { line, row: current, later: lines.slice(index + 1), rows },
        state,
        options,
      );
      if (stray !== undefined)
        verdict = {
          kind: 'conflict',
          code: 'referenced',
          reason: `rows of ${stray.schema}.${stray.name} refer to it that this transaction did not change: its foreign key would change them`,
        };
    }
    if (verdict.kind === 'apply') {
      const refused = await attempt(line);
      if (refused !== undefined) verdict = { kind: 'conflict', code: 'refused', reason: refused };
    }
    let row: Values | undefined;
    if (verdict.kind === 'apply') {
      row = line.op === 'delete' ? undefined : { ...current, ...setValues(line) };
      rows.set(oldName, undefined);
      rows.set(newName, row);
      if (options.dryRun === true) for (const name of [oldName, newName]) state.supposed.add(name);
    }
    note(state, line, verdict, row);
    offered.push({ line, verdict, current });
  }
  return offered;
}

interface Deleting {
  readonly line: StrandedLine;
  /** As the leader has it. */
  readonly row: Values;
  readonly later: readonly StrandedLine[];
  readonly rows: ReadonlyMap<string, Values | undefined>;
}

/** Which table has rows that the leader would change along with this one, and that no later line changes as well. */
function referrer(
  { line, row, later, rows }: Deleting,
  state: State,
  options: ReplayOptions,
): ReturnType<typeof strayReferrer> {
  return strayReferrer(options.leader, state.acting, { change: line, row }, async (table, key, values) => {
    const name = nameOf({ schema: table.schema, table: table.name }, key);
    const current = rows.get(name);
    // What an earlier line makes of it is not on the leader yet.
    if (rows.has(name) && Object.entries(values).some(([column, value]) => current?.[column] !== value))
      return true;
    const at = later.findIndex((one) => nameOf(one, one.oldKey ?? one.key) === name);
    const own = later[at];
    if (own === undefined || current === undefined) return false;
    const left = state.left.get(name);
    const currentOfNewKey = rows.get(nameOf(own, own.key));
    if (judge({ line: own, current, currentOfNewKey, left }).kind !== 'apply') return false;
    return (
      (await referrer({ line: own, row: current, later: later.slice(at + 1), rows }, state, options)) ===
      undefined
    );
  });
}

function note(state: State, line: StrandedLine, verdict: Verdict, row: Values | undefined): void {
  if (line.op === 'truncate') return;
  const left: Left = verdict.kind === 'conflict' ? { kind: 'conflict' } : leftBy(line, row);
  if (line.oldKey !== undefined)
    state.left.set(nameOf(line, line.oldKey), verdict.kind === 'conflict' ? left : { kind: 'absent' });
  state.left.set(nameOf(line, line.key), left);
}
