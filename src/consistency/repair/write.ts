/** The transaction on a replica that sets rows right: all of them or none. */
import type { TableName } from '../../cluster/model.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { briefMs, lockBriefly, sendAutovacuumAway } from '../../replication/brief-locks.js';
import { locksHeld } from '../../replication/lock-holders.js';
import { tablesTouched, withClearWay } from '../reconcile/clear.js';
import { type KeptRows, keeping } from '../reconcile/kept.js';
import type { Knock } from '../reconcile/pipe.js';
import { type Difference, type Stage, addToStage, openStage } from '../reconcile/stage.js';
import type { ReconcileTable } from '../reconcile/table.js';
import { type Written, writeStage } from '../reconcile/write.js';

export interface Rows {
  readonly table: ReconcileTable;
  readonly differences: readonly Difference[];
}

export interface TableWritten extends Written {
  readonly table: TableName;
}

export const nameOf = ({ node }: ReconcileTable): TableName => ({
  schema: node.shape.schema,
  name: node.shape.name,
});

/** How long locks are asked for, again and again. */
const WAIT_MS = 9_000;

export interface LockedOptions {
  readonly kept: KeptRows;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `body` in a transaction in which nobody else can write to the tables, the apply worker least of all; readers
 * pass, but where foreign keys have to be dropped. Again, from its beginning, when it meets a lock, for which it waits
 * briefly only (../../replication/brief-locks.ts). Throws `lock-timeout` (exit 7) when somebody holds one for too long.
 */
export async function withTablesLocked<T>(
  node: Session,
  tables: readonly TableName[],
  { kept, signal }: LockedOptions,
  body: () => Promise<T>,
): Promise<T> {
  const ms = await briefMs(node);
  const begun = performance.now();
  for (;;) {
    signal?.throwIfAborted();
    const state = { all: tables, locked: false };
    try {
      // A role's or a database's default_transaction_read_only is there for clients.
      return await keeping(kept, node, () =>
        node.transaction(async () => {
          // Nobody else need confirm this commit, but it must survive a crash: what it replaced is in the file.
          await node.simple(
            `set local synchronous_commit = local; set local lock_timeout = '${String(ms)}ms'`,
          );
          state.all = await tablesTouched(node, tables);
          await lockBriefly(node, state.all, { mode: 'share row exclusive', ms });
          state.locked = true;
          return body();
        }, 'read write'),
      );
    } catch (error) {
      if (sqlStateOf(error) !== '55P03') throw error;
      const waitedMs = performance.now() - begun;
      if (waitedMs > WAIT_MS)
        throw await locksHeld(node, state.all, { waitedMs, readers: state.locked, cause: error });
      await sendAutovacuumAway(node, state.all);
      await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 80));
    }
  }
}

export interface WriteRowsOptions {
  readonly knock: Knock;
  readonly kept: KeptRows;
  readonly onWritten?: (rows: number) => void;
}

/**
 * In a transaction of {@link withTablesLocked}: the rows as `leader`, a session in a snapshot, has them; what they
 * were is on disk when this returns. Throws what writing throws; `unique-in-the-way` (exit 7) when a value that is
 * needed stands in a row that was not to be touched.
 */
export async function writeRows(
  leader: Session,
  node: Session,
  rows: readonly Rows[],
  { knock, kept, onWritten }: WriteRowsOptions,
): Promise<TableWritten[]> {
  const stages: Stage[] = [];
  for (const [index, { table, differences }] of rows.entries()) {
    const stage = await openStage(node, table, index);
    await addToStage(node, stage, differences);
    stages.push(stage);
  }
  const written = await withClearWay(
    node,
    rows.map(({ table }) => nameOf(table)),
    async () => {
      const results: TableWritten[] = [];
      for (const stage of stages) {
        const result = await writeStage(leader, node, stage, {
          knock,
          ...(onWritten ? { onRows: onWritten } : {}),
        }).catch((error: unknown) => {
          throw IN_THE_WAY.has(sqlStateOf(error) ?? '')
            ? uniqueInTheWay(node, nameOf(stage.table), error)
            : error;
        });
        await kept.add(node, stage);
        results.push({ table: nameOf(stage.table), ...result });
      }
      return results;
    },
  );
  await kept.finish();
  return written;
}

/** unique_violation, exclusion_violation */
const IN_THE_WAY = new Set(['23505', '23P01']);

function uniqueInTheWay(node: Session, table: TableName, cause: unknown): RepctlError {
  const said = cause instanceof Error ? `: ${cause.message}` : '';
  return new RepctlError(
    'unique-in-the-way',
    `${node.node}: another row of ${table.schema}.${table.name} is in the way of one of these${said}`,
    {
      exit: EXIT.incomplete,
      hint: 'Either it was on its way just now, then the same command does it; or --only left it out.',
      details: { node: node.node, schema: table.schema, table: table.name },
      cause,
    },
  );
}
