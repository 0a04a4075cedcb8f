/** The runner that offers a stranded file to the leader. */
import { type FileHandle, open, rename } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, RepctlError, messageOf } from '../../errors.js';
import type { RunContext, StepResult } from '../../plan/execute.js';
import { tableKey } from '../../replication/publications.js';
import { highestInUse, readSequences, setPastSql } from '../../replication/sequences.js';
import { type Requests, readStranded, strandedPortions } from '../../replication/stranded/file.js';
import type { StrandedHeader } from '../../replication/stranded/model.js';
import { type Conflict, type ReplayCounts, replay } from '../../replication/stranded/replay.js';
import type { ReplayStranded } from '../actions.js';
import { type RunnerContext, look } from './context.js';
import { shapesOf, uuidOf } from './stranded.js';

/** How many conflicts the result itself holds; all of them are in the file. */
const SHOWN = 20;

export interface ShownConflict {
  readonly table: string;
  readonly op: string;
  readonly key: string;
  readonly code: string;
  readonly reason: string;
}

export interface Replayed extends ReplayCounts {
  readonly file: string;
  /** Next to the stranded file; null without any conflict. */
  readonly conflictsFile: string | null;
  readonly shown: readonly ShownConflict[];
}

/** Reads the file through first: nothing is applied of one that is damaged. Run again, it applies nothing twice. */
export async function replayStranded(
  context: RunnerContext,
  action: ReplayStranded,
  { report }: Pick<RunContext, 'report'>,
): Promise<StepResult> {
  const { header, counts, requests } = await readStranded(action.file).catch(async (error: unknown) => {
    // Saved a moment ago: nothing was stranded, so there is no file and nothing to replay.
    if (
      error instanceof RepctlError &&
      error.code === 'stranded-missing' &&
      (await savedNothing(context, action))
    )
      return NOTHING;
    // Here it is a step among others: nothing of it is done.
    if (!(error instanceof RepctlError)) throw error;
    const { code, message, hint, details } = error;
    throw new RepctlError(code, message, {
      exit: EXIT.refused,
      details,
      ...(hint ? { hint } : {}),
      cause: error,
    });
  });
  if (header === undefined) return { transactions: 0, applied: 0, already: 0, conflicts: 0 };
  const result = await replayFile(context, action, {
    header,
    requests,
    report: (done) => {
      report({ done, total: counts.changes, unit: 'changes' });
    },
  });
  await tell(context, action, result);
  return { ...result };
}

const NOTHING = { header: undefined, counts: { changes: 0 }, requests: undefined } as const;

/** What save-stranded told the leader: it looked, and found nothing that only the former leader has. */
async function savedNothing(
  { fleet }: Pick<RunnerContext, 'fleet'>,
  { leader, node, reign }: ReplayStranded,
): Promise<boolean> {
  const [row] = await (
    await fleet.session(leader)
  ).query<{ file: string | null }>(
    `select details ->> 'file' as file from repctl.event
     where kind = 'stranded' and node = $1 and (details ->> 'reign')::int = $2 order by at desc limit 1`,
    [node, reign],
  );
  return row?.file === null;
}

export interface ReplayFileOptions {
  readonly header: StrandedHeader;
  readonly requests: Requests;
  readonly dryRun?: boolean;
  readonly report?: (done: number) => void;
}

/** Offers a file that was proved whole. A dry run judges and writes nothing, no conflicts file either. */
export async function replayFile(
  context: Pick<RunnerContext, 'fleet'>,
  { leader, file }: Pick<ReplayStranded, 'leader' | 'file'>,
  { header, requests, dryRun = false, report }: ReplayFileOptions,
): Promise<Replayed> {
  const node = await look(context as RunnerContext, leader);
  const session = await context.fleet.fresh(leader);
  const conflicts = conflictsTo(dryRun ? undefined : file.replace(/(?:\.jsonl)?$/, '.conflicts.jsonl'));
  try {
    const shapes = await shapesOf(session, node);
    const byName = new Map(shapes.map((shape) => [JSON.stringify([shape.schema, shape.name]), shape]));
    let done = 0;
    const counts = await replay(strandedPortions(file), {
      leader: session,
      header,
      requests,
      dryRun,
      shape: (schema, table) => byName.get(JSON.stringify([schema, table])),
      markId: ({ lsn, xid }) =>
        uuidOf(JSON.stringify(['replay', header.cluster, header.node, header.epoch, lsn, xid])),
      onConflict: conflicts.add,
      onChanges: (count) => report?.((done += count)),
    });
    // Rows that came back may hold ids which the leader's sequences have not given out yet.
    if (!dryRun) {
      const used = await highestInUse(session, await readSequences(session, node.tables));
      // Read anew: what clients were given meanwhile is no reason to touch a sequence that they draw from.
      const now = await readSequences(session, node.tables);
      const past = now.map((sequence) => ({
        ...sequence,
        highestInUse: used.find((one) => tableKey(one) === tableKey(sequence))?.highestInUse ?? null,
      }));
      for (const statement of setPastSql(past, 0).sql) await session.simple(statement);
    }
    return { ...counts, file, conflictsFile: await conflicts.finish(), shown: conflicts.shown };
  } finally {
    await Promise.all([conflicts.close(), session.close()]);
  }
}

interface ConflictSink {
  readonly shown: readonly ShownConflict[];
  readonly add: (conflict: Conflict) => Promise<void>;
  finish(): Promise<string | null>;
  close(): Promise<void>;
}

/** Written under another name and renamed; a list of an earlier run of the same file is replaced. */
function conflictsTo(file: string | undefined): ConflictSink {
  const shown: ShownConflict[] = [];
  const temporary = `${file ?? ''}.${String(process.pid)}.part`;
  let handle: FileHandle | undefined;
  const io = async <T>(body: () => Promise<T>): Promise<T> => {
    try {
      return await body();
    } catch (error) {
      throw new RepctlError('conflicts-unwritable', `${file ?? ''} cannot be written: ${messageOf(error)}`, {
        exit: EXIT.incomplete,
        hint: 'Make room or give write permission, then run the same command again: nothing is applied twice.',
        cause: error,
      });
    }
  };
  return {
    shown,
    async add({ code, reason, line, leader }) {
      if (shown.length < SHOWN)
        shown.push({
          table: `${line.schema}.${line.table}`,
          op: line.op,
          key: Object.values(line.oldKey ?? line.key).join(', '),
          code,
          reason,
        });
      if (file === undefined) return;
      await io(async () => {
        handle ??= await open(temporary, 'w', 0o600);
        await handle.appendFile(`${JSON.stringify({ code, reason, leader, stranded: line })}\n`);
      });
    },
    async finish() {
      if (file === undefined || handle === undefined) return null;
      const done = handle;
      handle = undefined;
      await io(async () => {
        await done.sync();
        await done.close();
        await rename(temporary, file);
        const directory = await open(path.dirname(file), 'r');
        await directory.sync().finally(() => directory.close());
      });
      return file;
    },
    async close() {
      await handle?.close().catch(() => undefined);
    },
  };
}

async function tell(context: RunnerContext, action: ReplayStranded, result: Replayed): Promise<void> {
  const { transactions, applied, already, conflicts, conflictsFile, file } = result;
  const session = await context.fleet.session(action.leader);
  await session.query(
    `insert into repctl.event (epoch, kind, node, operator, reason, details) values ($1, 'replay', $2, $3, $4, $5)`,
    [
      action.epoch,
      action.node,
      context.operator,
      context.reason,
      JSON.stringify({ reign: action.reign, file, transactions, applied, already, conflicts, conflictsFile }),
    ],
  );
}
