/**
 * Offers the transactions of a stranded file to the leader, each in one transaction there, row by row and in order.
 * Where a row was changed since the fork the change is left alone and listed; nothing is overwritten in silence.
 *
 * Once only: each transaction leaves a row in repctl.request, in the same transaction, under an id made of the node,
 * its epoch and the transaction's position. A product write whose own request id is known to the leader was sent
 * again by its client, so its whole transaction is passed over.
 */
import type { TableShape } from '../../consistency/shape.js';
import { EXIT, RepctlError, messageOf } from '../../errors.js';
import { ident, qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { SCHEMA } from '../../cluster/names.js';
import { type ConflictCode, type Left, type Verdict, judge, leftBy, setValues } from './judge.js';
import type { StrandedHeader, StrandedLine, Values } from './model.js';
import { keyText, rowsOf } from './rows.js';

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
  counts: { -readonly [Key in keyof ReplayCounts]: number };
}

const nameOf = (line: StrandedLine, key: Values): string =>
  JSON.stringify([line.schema, line.table, keyText(key)]);

/** `transactions`: of a file that was proved whole. Throws what the leader says, between two transactions or in one. */
export async function replay(
  transactions: AsyncIterable<readonly StrandedLine[]>,
  options: ReplayOptions,
): Promise<ReplayCounts> {
  const state: State = {
    left: new Map(),
    counts: { transactions: 0, wholeTransactions: 0, doneBefore: 0, applied: 0, already: 0, conflicts: 0 },
  };
  for await (const lines of transactions) {
    state.counts.transactions += 1;
    await replayOne(lines, state, options);
    options.onChanges?.(lines.length);
  }
  return state.counts;
}

interface Mark {
  readonly outcome: { readonly conflicts?: readonly number[] };
}

async function replayOne(
  lines: readonly StrandedLine[],
  state: State,
  options: ReplayOptions,
): Promise<void> {
  const { leader, dryRun = false } = options;
  const [first] = lines;
  if (first === undefined) return;
  const id = options.markId(first);
  const [mark] = await leader.query<Mark>(`select outcome from repctl.request where id = $1`, [id]);
  if (mark !== undefined) return remember(lines, mark, state, options);
  if (await sentAgain(lines, leader)) {
    state.counts.doneBefore += 1;
    state.counts.wholeTransactions += 1;
    state.counts.already += lines.length;
    for (const line of lines) note(state, line, { kind: 'already' }, undefined);
    return;
  }
  const conflicts: Conflict[] = [];
  let applied = 0;
  let already = 0;
  const body = async () => {
    if (!dryRun) await leader.simple(`set local lock_timeout = '10s'`);
    const rows = await currentRows(lines, options);
    for (const line of lines) {
      const { verdict, current } = await offer(line, rows, state, options);
      if (verdict.kind === 'apply') applied += 1;
      else if (verdict.kind === 'already') already += 1;
      else conflicts.push({ code: verdict.code, reason: verdict.reason, line, leader: current ?? null });
    }
    if (dryRun) return;
    const outcome = {
      action: 'replay',
      key: `${options.header.node} ${String(options.header.epoch)} ${first.lsn}`,
      applied,
      conflicts: conflicts.map(({ line }) => line.change),
    };
    await leader.query(`insert into repctl.request (id, outcome) values ($1, $2)`, [
      id,
      JSON.stringify(outcome),
    ]);
  };
  await leader.transaction(body, dryRun ? 'isolation level repeatable read read only' : '');
  state.counts.applied += applied;
  state.counts.already += already;
  state.counts.conflicts += conflicts.length;
  if (conflicts.length === 0) state.counts.wholeTransactions += 1;
  for (const one of conflicts) await options.onConflict(one);
}

/** A transaction that an earlier run brought over: what conflicted then is told again. */
async function remember(
  lines: readonly StrandedLine[],
  { outcome }: Mark,
  state: State,
  { onConflict }: ReplayOptions,
): Promise<void> {
  const before = new Set(outcome.conflicts ?? []);
  state.counts.doneBefore += 1;
  if (before.size === 0) state.counts.wholeTransactions += 1;
  for (const line of lines) {
    const verdict: Verdict = before.has(line.change)
      ? {
          kind: 'conflict',
          code: 'row-changed',
          reason: 'it was in conflict when this transaction was replayed',
        }
      : { kind: 'already' };
    note(state, line, verdict, undefined);
    if (verdict.kind === 'conflict') {
      state.counts.conflicts += 1;
      await onConflict({ code: verdict.code, reason: verdict.reason, line, leader: null });
    } else state.counts.already += 1;
  }
}

/** The client asked the new leader to do the same request again. */
async function sentAgain(lines: readonly StrandedLine[], leader: Session): Promise<boolean> {
  const ids = lines
    .filter((line) => line.schema === SCHEMA && line.table === 'request' && line.op === 'insert')
    .map((line) => line.key['id'] ?? line.row?.['id'])
    .filter((id) => id != null);
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

async function offer(
  line: StrandedLine,
  rows: Map<string, Values | undefined>,
  state: State,
  options: ReplayOptions,
): Promise<{ verdict: Verdict; current: Values | undefined }> {
  const oldName = nameOf(line, line.oldKey ?? line.key);
  const newName = nameOf(line, line.key);
  const current = rows.get(oldName);
  let verdict = judge({
    line,
    current,
    currentOfNewKey: rows.get(newName),
    left: state.left.get(oldName),
  });
  let row: Values | undefined;
  if (verdict.kind === 'apply') {
    row = line.op === 'delete' ? undefined : { ...current, ...setValues(line) };
    if (!options.dryRun) {
      const refused = await write(line, options);
      if (refused !== undefined) verdict = { kind: 'conflict', code: 'refused', reason: refused };
    }
  }
  if (verdict.kind === 'apply') {
    rows.set(oldName, undefined);
    rows.set(newName, row);
  }
  note(state, line, verdict, row);
  return { verdict, current };
}

function note(state: State, line: StrandedLine, verdict: Verdict, row: Values | undefined): void {
  if (line.op === 'truncate') return;
  const left: Left = verdict.kind === 'conflict' ? { kind: 'conflict' } : leftBy(line, row);
  if (line.oldKey !== undefined)
    state.left.set(nameOf(line, line.oldKey), verdict.kind === 'conflict' ? left : { kind: 'absent' });
  state.left.set(nameOf(line, line.key), left);
}

/** Undefined, or why the leader did not take it: a constraint (class 23), a value or column that does not fit. */
async function write(line: StrandedLine, { leader, shape }: ReplayOptions): Promise<string | undefined> {
  const table = shape(line.schema, line.table);
  if (table === undefined) return 'the leader has no such table';
  const { sql, params } = writeSql(line, table);
  await leader.simple('savepoint repctl_row');
  try {
    await leader.query(sql, params);
    await leader.simple('release savepoint repctl_row');
    return undefined;
  } catch (error) {
    const state = sqlStateOf(error) ?? '';
    if (!/^(?:22|23|42|P0|428)/.test(state)) throw error;
    await leader.simple('rollback to savepoint repctl_row');
    return messageOf(error);
  }
}

/** The statement for one change; a column that the update did not touch is not set. */
export function writeSql(
  line: StrandedLine,
  table: TableShape,
): { readonly sql: string; readonly params: readonly (string | null)[] } {
  const key = line.oldKey ?? line.key;
  const params: (string | null)[] = [];
  const put = (value: string | null) => `$${String(params.push(value))}`;
  const where = () =>
    Object.entries(key)
      .map(([name, value]) => `${ident(name)} = ${put(value)}`)
      .join(' and ');
  const name = qualified(table);
  if (line.op === 'delete') return { sql: `delete from ${name} where ${where()}`, params };
  const stored = new Set(
    table.columns.filter((column) => column.generated === '').map((column) => column.name),
  );
  const values = Object.entries(setValues(line)).filter(([column]) => stored.has(column));
  if (line.op === 'insert') {
    const columns = values.map(([column]) => ident(column)).join(', ');
    const list = values.map(([, value]) => put(value)).join(', ');
    return { sql: `insert into ${name} (${columns}) overriding system value values (${list})`, params };
  }
  // An identity column that is always generated may not be set, not even to what it is.
  const sets = values
    .filter(([column, value]) => key[column] !== value)
    .map(([column, value]) => `${ident(column)} = ${put(value)}`);
  const set =
    sets.length > 0
      ? sets.join(', ')
      : Object.keys(key)
          .map((column) => `${ident(column)} = ${ident(column)}`)
          .join(', ');
  return { sql: `update ${name} set ${set} where ${where()}`, params };
}
