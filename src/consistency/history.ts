/** A line per run of `check`, so that "since when?" can be answered. */
import { appendFile, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TableName } from '../cluster/model.js';
import { messageOf } from '../errors.js';
import type { CheckResult, Verdict } from './result.js';

export interface CheckRun {
  /** RFC 3339. */
  readonly at: string;
  readonly durationMs: number;
  readonly epoch: number;
  readonly leader: string;
  readonly verdict: Verdict;
  /** Not all rows were looked at: equal says nothing about the others. */
  readonly partial: boolean;
  readonly tables: readonly (TableName & {
    readonly node: string;
    readonly verdict: Verdict;
    /** Missing, extra and differing rows. */
    readonly rows: number;
  })[];
}

/** What all runs together say of one table on one replica. */
export interface TableHistory extends TableName {
  readonly node: string;
  /** Of the last run that could tell. */
  readonly verdict: Verdict;
  /** The first run in a row with this verdict, RFC 3339. */
  readonly since: string;
  /** The last run that proved it equal; null: none did. */
  readonly equalUntil: string | null;
  /** Rows that differed in the last run. */
  readonly rows: number;
}

export interface CheckHistory {
  readonly cluster: string;
  readonly file: string;
  readonly tables: readonly TableHistory[];
  /** Newest first. */
  readonly runs: readonly CheckRun[];
}

/** Older lines go when the file is larger than this; bytes. */
const MOST_BYTES = 8_000_000;

export const historyFile = (stateDir: string, cluster: string): string =>
  path.join(stateDir, 'checks', `${encodeURIComponent(cluster)}.jsonl`);

/** The line of a run; pure. */
export function runOf(result: CheckResult): CheckRun {
  const { startedAt: at, durationMs, epoch, leader, verdict, scope } = result;
  return {
    ...{ at, durationMs, epoch, leader, verdict },
    partial: scope.where !== null || scope.since !== null,
    tables: result.tables.flatMap(({ schema, name, nodes }) =>
      nodes.map((node) => ({
        ...{ schema, name, node: node.node, verdict: node.verdict },
        rows: node.missing + node.extra + node.differing,
      })),
    ),
  };
}

/** Writes the run down. Returns why it could not: no reason to withhold what was found. */
export async function noteRun(stateDir: string, result: CheckResult): Promise<string | undefined> {
  const file = historyFile(stateDir, result.cluster);
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await appendFile(file, `${JSON.stringify(runOf(result))}\n`, { mode: 0o600 });
    if ((await stat(file)).size > MOST_BYTES) {
      const lines = (await readFile(file, 'utf8')).split('\n');
      const shorter = `${file}.${String(process.pid)}`;
      await writeFile(shorter, lines.slice(Math.floor(lines.length / 2)).join('\n'), { mode: 0o600 });
      await rename(shorter, file);
    }
    return undefined;
  } catch (error) {
    return `${file} cannot be written: ${messageOf(error)}`;
  }
}

/** Empty where no check ever ran. Lines that a crash cut off are passed over. */
export async function readHistory(stateDir: string, cluster: string, limit: number): Promise<CheckHistory> {
  const file = historyFile(stateDir, cluster);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  });
  const runs = text.split('\n').flatMap((line): CheckRun[] => {
    try {
      return line === '' ? [] : [JSON.parse(line) as CheckRun];
    } catch {
      return [];
    }
  });
  return { cluster, file, tables: historyOfTables(runs), runs: runs.slice(-limit).toReversed() };
}

/** By table and replica; `runs` oldest first. Pure. */
export function historyOfTables(runs: readonly CheckRun[]): TableHistory[] {
  const found = new Map<string, TableHistory>();
  for (const { at, partial, tables } of runs)
    for (const { schema, name, node, verdict, rows } of tables) {
      // Some rows that are equal say nothing of the others, and what could not be verified says nothing at all.
      if (verdict === 'unverified' || (partial && verdict === 'equal')) continue;
      const key = JSON.stringify([schema, name, node]);
      const before = found.get(key);
      const since = before?.verdict === verdict ? before.since : at;
      const equalUntil = verdict === 'equal' ? at : (before?.equalUntil ?? null);
      found.set(key, { schema, name, node, verdict, since, equalUntil, rows });
    }
  return [...found.values()];
}
