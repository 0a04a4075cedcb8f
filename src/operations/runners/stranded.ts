/** The runner that saves what a former leader committed and nobody else got, before anything else is done to it. */
import { createHash } from 'node:crypto';
import type { ReachableNode } from '../../cluster/model.js';
import { slotName } from '../../cluster/names.js';
import { type TableShape, findShape } from '../../consistency/shape.js';
import type { RunContext, StepResult } from '../../plan/execute.js';
import type { Session } from '../../postgres/session.js';
import { flushNow } from '../../replication/positions.js';
import { dropStandbyBaseSql } from '../../replication/slots.js';
import { changedSince, keyColumnsOf } from '../../replication/stranded/changed.js';
import { type KeyColumns, decodeSlot } from '../../replication/stranded/decode.js';
import {
  type StrandedFile,
  fileExists,
  fileIsThere,
  readStranded,
  strandedPath,
  writeStranded,
} from '../../replication/stranded/file.js';
import { isBookkeeping, strandedLines } from '../../replication/stranded/lines.js';
import { type StrandedCounts, type StrandedHeader, counter } from '../../replication/stranded/model.js';
import type { Touched } from '../../replication/stranded/touched.js';
import type { SaveStranded, Verify } from '../actions.js';
import { AS_LONG_AS_IT_TAKES_SQL, type RunnerContext, look } from './context.js';

/**
 * The file is on disk, and the leader's history tells of it, when this returns. Run again, a whole file of the same
 * transactions is left as it is. Throws `stranded-file-exists`, `stranded-unwritable` (exit 6).
 */
export async function saveStranded(
  context: RunnerContext,
  action: SaveStranded,
  { report }: Pick<RunContext, 'report'>,
): Promise<StepResult> {
  const session = await context.fleet.session(action.node);
  // Commits with synchronous_commit=off count too, and decoding stops at what is flushed.
  await flushNow(session);
  const node = await look(context, action.node);
  const shapes = await shapesOf(session, node);
  const keys = keyColumnsOf(shapes);
  const header = headerOf(context, action);
  const file = strandedPath(action.directory, header);
  const saved = (await fileIsThere(file))
    ? await savedBefore(file, header, await countStranded(context, { ...action, keys }))
    : await writeAll(context, action, { header, file, shapes, keys, report });
  const counts = saved?.counts ?? counter().result();
  const told = {
    transactions: counts.transactions,
    rows: counts.changes,
    bytes: saved?.bytes ?? 0,
    file: saved?.file ?? null,
  };
  await tell(context, action, counts, told);
  return told;
}

const headerOf = (context: RunnerContext, action: SaveStranded): StrandedHeader => ({
  repctl: 'stranded',
  version: 1,
  cluster: context.fleet.config.cluster,
  node: action.node,
  epoch: action.reign,
  successor: action.successor,
  successorEpoch: action.successorEpoch,
  forkPoint: action.forkPoint,
  source: 'wal',
});

/** The definitions of all published tables, as this session's node has them. */
export async function shapesOf(session: Session, node: ReachableNode): Promise<TableShape[]> {
  const shapes: TableShape[] = [];
  for (const table of node.tables) {
    const shape = await findShape(session, table);
    if (shape) shapes.push(shape);
  }
  return shapes;
}

export interface StrandedAt {
  readonly node: string;
  readonly slot: string;
  readonly forkPoint: string;
  readonly keys: KeyColumns;
}

/** What is stranded, in figures, without repctl's own records. */
export async function countStranded(
  context: Pick<RunnerContext, 'fleet'>,
  { node, slot, forkPoint, keys }: StrandedAt,
): Promise<StrandedCounts> {
  const session = await context.fleet.fresh(node);
  const count = counter();
  try {
    for await (const { transaction, change } of decodeSlot(session, { slot, from: forkPoint, keys }))
      if (!isBookkeeping(change)) count.add(transaction, change);
  } finally {
    await session.close();
  }
  return count.result();
}

/** The file that is there, if it is a whole one of these very transactions; undefined where nothing is stranded. */
async function savedBefore(
  file: string,
  header: StrandedHeader,
  counts: StrandedCounts,
): Promise<StrandedFile | undefined> {
  if (counts.transactions === 0) return undefined;
  const found = await readStranded(file).catch(() => undefined);
  if (found === undefined) throw fileExists(file, 'it is not a whole stranded file');
  if (JSON.stringify(found.header) !== JSON.stringify(header))
    throw fileExists(file, 'it is of another cluster, node or epoch');
  const { transactions, changes, lastLsn } = found.trailer;
  // Between two positions a server's WAL never changes, so these figures tell one set of transactions from another.
  if (transactions !== counts.transactions || changes !== counts.changes || lastLsn !== counts.lastLsn)
    throw fileExists(
      file,
      `it holds ${String(changes)} changes, while ${header.node} has ${String(counts.changes)} stranded ones now`,
    );
  return { file, bytes: found.bytes, counts: found.counts };
}

interface Writing {
  readonly header: StrandedHeader;
  readonly file: string;
  readonly shapes: readonly TableShape[];
  readonly keys: KeyColumns;
  readonly report: RunContext['report'];
}

async function writeAll(
  context: RunnerContext,
  action: SaveStranded,
  { header, file, shapes, keys, report }: Writing,
): Promise<StrandedFile | undefined> {
  const { fleet } = context;
  const opened: Session[] = [];
  const open = async (name: string) => {
    const session = await fleet.fresh(name);
    opened.push(session);
    return session;
  };
  try {
    const leader = await open(action.leader);
    // The snapshot now, and later what was changed up to a later position: a row that is not among these is in the
    // snapshot as it was at the fork.
    await leader.simple(AS_LONG_AS_IT_TAKES_SQL);
    await leader.simple(`begin isolation level repeatable read read only; select 1`);
    let found: Promise<Touched> | undefined;
    const touched = (): Promise<Touched> =>
      (found ??= open(action.leader).then((session) => touchedOn(context, action, session, keys)));
    const reader = await open(action.node);
    const decoder = await open(action.node);
    const byName = new Map(shapes.map((shape) => [JSON.stringify([shape.schema, shape.name]), shape]));
    let done = 1;
    const lines = strandedLines(decodeSlot(decoder, { slot: action.slot, from: action.forkPoint, keys }), {
      node: reader,
      leader,
      touched,
      shape: (schema, table) => byName.get(JSON.stringify([schema, table])),
    });
    const [first, more] = [await lines.next(), lines];
    // Nothing to save makes no file.
    if (first.done === true) return undefined;
    const told = async function* () {
      yield first.value;
      for await (const line of more) {
        done += 1;
        if (done % 500 === 0) report({ message: `${String(done)} changes` });
        yield line;
      }
    };
    const written = await writeStranded(file, header, told());
    // Whatever an earlier run had set right was set right without these.
    await (await fleet.session(action.node)).simple(dropStandbyBaseSql(action.node));
    return written;
  } finally {
    await Promise.all(opened.map((session) => session.close()));
  }
}

/** Without a slot that reaches back to the fork nobody knows, so every row counts as changed. */
async function touchedOn(
  { fleet }: RunnerContext,
  action: SaveStranded,
  session: Session,
  keys: KeyColumns,
): Promise<Touched> {
  const upTo = await flushNow(await fleet.session(action.leader));
  const slot = slotName(action.node);
  const { successorEpoch } = action;
  const changed = await changedSince(session, { slot, keys, upTo, successorEpoch }).catch(() => undefined);
  return changed?.complete === true ? changed.keys : { has: () => true };
}

/** One event for one set of transactions, however often this runs. */
async function tell(
  context: RunnerContext,
  action: SaveStranded,
  counts: StrandedCounts,
  told: Readonly<Record<string, unknown>>,
): Promise<void> {
  const name = [context.fleet.config.cluster, action.node, action.reign, counts.lastLsn ?? '', told['file']];
  const id = uuidOf(JSON.stringify(name));
  const leader = await context.fleet.fresh(action.leader);
  try {
    await leader.transaction(async () => {
      await leader.simple('set local synchronous_commit = local');
      await leader.query(
        `insert into repctl.event (id, epoch, kind, node, operator, reason, details) values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (id) do nothing`,
        [
          id,
          action.epoch,
          'stranded',
          action.node,
          context.operator,
          context.reason,
          JSON.stringify({ reign: action.reign, ...told }),
        ],
      );
    });
  } finally {
    await leader.close();
  }
}

/**
 * What a rejoin found that others lack, for its event: as it was saved, by this run or one that was killed before it
 * came here; or, where it could not be decoded, the rows that were replaced. Nothing for other operations.
 */
export async function foundLoss(
  leader: Session,
  { operation, subject }: Pick<Verify, 'operation' | 'subject'>,
  { finished }: Pick<RunContext, 'finished'>,
): Promise<Readonly<Record<string, unknown>>> {
  if (operation !== 'rejoin') return {};
  const replaced = finished.find(({ id }) => id.startsWith('reconcile:'))?.result;
  if (replaced !== undefined) {
    const rows = Number(replaced['updated'] ?? 0) + Number(replaced['deleted'] ?? 0);
    return { stranded: { transactions: null, rows, bytes: null, file: replaced['overwritten'] ?? null } };
  }
  const [event] = await leader.query<{ details: Readonly<Record<string, unknown>> }>(
    `select details from repctl.event where kind = 'stranded' and node = $1 order by epoch desc, at desc limit 1`,
    [subject],
  );
  return event === undefined ? {} : { stranded: event.details };
}

/** The same text always has the same UUID. */
export function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
