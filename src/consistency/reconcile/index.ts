/**
 * Makes a node's tables equal to a snapshot of the leader, in the transaction that is open on the node:
 *
 *   pin both sessions (pinForDigests); leader in a snapshot; node in a transaction, its tables locked
 *   table = describeTable(…); stage = openStage(…)
 *   findDifferences(…) stages every row that differs, or addToStage(…, differingKeys(…)) those of given keys
 *   whenFree(node, tables, …) around withClearWay(node, tables, …) around writeStage(…) of each table with staged rows
 */
import type { TableName } from '../../cluster/model.js';
import type { Session } from '../../postgres/session.js';
import type { Flavour } from '../digest.js';
import { withClearWay } from './clear.js';
import { type ReadLane, findDifferences } from './find.js';
import { whenFree } from './free.js';
import type { KeptRows } from './kept.js';
import type { Knock } from './pipe.js';
import { type Stage, addToStage, countStaged, openStage } from './stage.js';
import { describeTable } from './table.js';
import { type Written, differingKeys, writeStage } from './write.js';

export interface ReconcileSessions {
  /** On the leader, all in one snapshot: one for each lane. */
  readonly leaders: readonly Session[];
  /** On the node, one for each lane. */
  readonly readers: readonly Session[];
  /** On the node, in the transaction that writes; its tables are locked against writes. */
  readonly writer: Session;
}

export interface ReconcileOptions {
  readonly flavour: Flavour;
  readonly knock: Knock;
  readonly kept?: KeptRows | undefined;
  readonly onRead?: (rows: number) => void;
  readonly onWritten?: (rows: number) => void;
  /** Told each time that writing met a lock, and begins anew, of who may be in the way. */
  readonly onWait?: (who: string) => void;
}

export interface TableReconciled extends Written {
  readonly table: TableName;
  /** Rows that the leader has. */
  readonly rows: number;
}

export interface Reconciled {
  readonly tables: readonly TableReconciled[];
  /** Milliseconds in which differences were found, and in which they were written. */
  readonly timing: { readonly comparedMs: number; readonly writtenMs: number };
}

/** Compares all of `tables` and writes what differs. Throws `schema-drift` (exit 6) and what writing throws. */
export async function reconcileTables(
  sessions: ReconcileSessions,
  tables: readonly TableName[],
  options: ReconcileOptions,
): Promise<Reconciled> {
  const begun = performance.now();
  const { writer } = sessions;
  const lanes: ReadLane[] = sessions.leaders.flatMap((leader, index) => {
    const node = sessions.readers[index];
    return node ? [{ leader, node }] : [];
  });
  const [first] = lanes;
  if (first === undefined) throw new RangeError('no lane');
  const found: { table: TableName; stage: Stage; rows: number; staged: number }[] = [];
  for (const [index, table] of tables.entries()) {
    const described = await describeTable(first.leader, first.node, table, options.flavour);
    const stage = await openStage(writer, described, index);
    const rows = await findDifferences(lanes, writer, stage, {
      ...(options.onRead ? { onRows: options.onRead } : {}),
    });
    found.push({ table, stage, rows: Number(rows), staged: await countStaged(writer, stage) });
  }
  const compared = performance.now();
  const differing = found.filter(({ staged }) => staged > 0);
  const written = await clearWhenFree(
    writer,
    differing.map(({ table }) => table),
    options,
    async () => {
      const results = new Map<Stage, Written>();
      for (const { stage } of differing) {
        const result = await writeStage(first.leader, writer, stage, {
          knock: options.knock,
          ...(options.onWritten ? { onRows: options.onWritten } : {}),
        });
        await options.kept?.add(writer, stage);
        results.set(stage, result);
      }
      return results;
    },
  );
  return {
    tables: found.map(({ table, stage, rows }) => ({
      table,
      rows,
      ...(written.get(stage) ?? { inserted: 0, updated: 0, deleted: 0 }),
    })),
    timing: {
      comparedMs: Math.round(compared - begun),
      writtenMs: Math.round(performance.now() - compared),
    },
  };
}

const clearWhenFree = <T>(
  writer: Session,
  tables: readonly TableName[],
  { kept, onWait }: ReconcileOptions,
  body: () => Promise<T>,
): Promise<T> => whenFree(writer, tables, { kept, onWait }, () => withClearWay(writer, tables, body));

export interface TableKeys {
  readonly table: TableName;
  /** As KeyHash.key has them: an integer's text, or the key's columns as a JSON array of texts. */
  readonly keys: readonly string[];
}

export interface KeysReconciled extends Written {
  readonly table: TableName;
}

const KEY_BATCH = 5_000;

/**
 * Makes exactly these rows equal, those that differ alone; tables need a key. `leader` in a snapshot, `writer` in
 * its transaction, both pinned for digests.
 */
export async function reconcileKeys(
  leader: Session,
  writer: Session,
  tables: readonly TableKeys[],
  options: ReconcileOptions,
): Promise<KeysReconciled[]> {
  const staged: { table: TableName; stage: Stage }[] = [];
  for (const [index, { table, keys: wanted }] of tables.entries()) {
    const keys = [...new Set(wanted)];
    const described = await describeTable(leader, writer, table, options.flavour);
    const stage = await openStage(writer, described, index);
    let count = 0;
    for (let start = 0; start < keys.length; start += KEY_BATCH) {
      const differing = await differingKeys(leader, writer, described, keys.slice(start, start + KEY_BATCH));
      await addToStage(writer, stage, differing);
      count += differing.length;
    }
    if (count > 0) staged.push({ table, stage });
  }
  return clearWhenFree(
    writer,
    staged.map(({ table }) => table),
    options,
    async () => {
      const results: KeysReconciled[] = [];
      for (const { table, stage } of staged) {
        const written = await writeStage(leader, writer, stage, {
          knock: options.knock,
          ...(options.onWritten ? { onRows: options.onWritten } : {}),
        });
        await options.kept?.add(writer, stage);
        results.push({ table, ...written });
      }
      return results;
    },
  );
}
