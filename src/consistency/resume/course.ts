/** One attempt of a check as it is noted down: tables that are done, and how far the one under way is. */
import { createHash } from 'node:crypto';
import type { TableName } from '../../cluster/model.js';
import type { ComparePoint } from '../compare/run.js';
import type { Report } from '../report.js';
import type { TableResult } from '../result.js';
import type { SeenTable } from '../checking/seen.js';
import type { Checkpoints } from './file.js';
import { type SavedCheck, type SavedOpen, saveTally, stale, tableOf } from './saved.js';

/**
 * Between two notes, at least; so many times what a note costs, the wait for all lanes included; but no more than this,
 * for one lane may wait long for a replica that lags. Milliseconds.
 */
const EVERY_MS = 1_000;
const COST_TIMES = 30;
const MOST_MS = 30_000;

/** What of a check is alike from its beginning to its end. */
export type Frame = Pick<
  SavedCheck,
  'cluster' | 'leader' | 'epoch' | 'epochStartedAt' | 'nodes' | 'digest' | 'since'
>;

export interface Course {
  /** Of an earlier part; throws `resume-stale` where the table looks otherwise by now. */
  readonly doneBefore: (seen: SeenTable) => TableResult | undefined;
  readonly openBefore: (seen: SeenTable) => SavedOpen | undefined;
  /** Every table of the earlier part must still be there; throws `resume-stale`. */
  readonly assertThere: (tables: readonly TableName[]) => void;
  /** Whether it is time for a note. */
  readonly due: () => boolean;
  readonly begin: () => Promise<void>;
  readonly note: (seen: SeenTable, point: ComparePoint, durationMs: number) => Promise<void>;
  readonly done: (seen: SeenTable, table: TableResult) => Promise<void>;
}

/**
 * `whole`: whether every node is still there. Once one has gone away nothing more is noted down, so that whoever goes on
 * later has from there on all nodes.
 */
export function courseOf(
  checkpoints: Checkpoints,
  frame: Frame,
  report: Report | undefined,
  whole: () => boolean,
): Course {
  const before = checkpoints.last;
  const startedAt = before?.startedAt ?? new Date().toISOString();
  const done: SavedCheck['done'][number][] = [];
  let next = performance.now() + EVERY_MS;
  // Since when lanes wait for each other.
  let waiting: number | undefined;
  // The table that was under way then, until this part comes to it.
  let pending = before?.open ?? null;
  const save = async (open: SavedOpen | null) => {
    if (!whole()) {
      next = Infinity;
      return;
    }
    const start = waiting ?? performance.now();
    waiting = undefined;
    await checkpoints.save({
      ...{ format: 1, ...frame, request: checkpoints.request, command: checkpoints.command },
      ...{
        startedAt,
        savedAt: new Date().toISOString(),
        done: [...earlier(), ...done],
        open: open ?? pending,
      },
      report: report === undefined ? null : await report.sync(),
    });
    const end = performance.now();
    next = end + Math.min(MOST_MS, Math.max(EVERY_MS, COST_TIMES * (end - start)));
  };
  // Tables of the earlier part that this one has not come to yet.
  const earlier = () =>
    (before?.done ?? []).filter(({ table }) => !done.some((it) => isSame(it.table, table)));
  const assertForm = (seen: SeenTable, form: string) => {
    const { schema, name } = seen.table;
    if (before !== undefined && form !== formOf(seen))
      throw stale(before, `${schema}.${name} was defined otherwise then`);
  };
  return {
    doneBefore(seen) {
      const found = before?.done.find(({ table }) => isSame(table, seen.table));
      if (found === undefined) return undefined;
      assertForm(seen, found.form);
      return tableOf(found.table);
    },
    openBefore(seen) {
      const open = before?.open;
      if (!open || !isSame(open, seen.table)) return undefined;
      assertForm(seen, open.form);
      pending = null;
      return open;
    },
    assertThere(tables) {
      if (before === undefined) return;
      const wanted = [...before.done.map(({ table }) => table), ...(before.open ? [before.open] : [])];
      const gone = wanted.find((table) => !tables.some((it) => isSame(it, table)));
      if (gone) throw stale(before, `${gone.schema}.${gone.name} is not compared any more`);
    },
    due() {
      const now = performance.now();
      if (now < next) return false;
      waiting ??= now;
      return true;
    },
    begin: () => (before === undefined ? save(null) : Promise.resolve()),
    note: ({ table: { schema, name }, ...seen }, { next: key, rows, blocks, nodes }, durationMs) =>
      save({
        ...{ schema, name, form: formOf(seen), next: String(key), rows: String(rows), blocks, durationMs },
        nodes: Object.fromEntries([...nodes].map(([node, tally]) => [node, saveTally(tally)])),
      }),
    async done(seen, table) {
      // What was waited for since the last block was no wait of lanes.
      waiting = undefined;
      done.push({ form: formOf(seen), table: table as unknown as SavedCheck['done'][number]['table'] });
      await save(null);
    },
  };
}

const isSame = (a: TableName, b: TableName): boolean => a.schema === b.schema && a.name === b.name;

/** What was compared must be what is compared: columns, key, filter, digest, and which replicas have the table. */
function formOf({ leader, plan, nodes }: Pick<SeenTable, 'leader' | 'plan' | 'nodes'>): string {
  const sideOf = ({ shape: { kind, columns, key }, filter, scope }: SeenTable['leader']) => [
    ...[kind, columns, key, filter, scope ?? null],
  ];
  const sides = [...nodes]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([node, side]) => [node, sideOf(side)]);
  return createHash('sha256')
    .update(JSON.stringify([plan, sideOf(leader), sides]))
    .digest('hex');
}
