/** One comparison under one leader: its tables one after the other, then what is defined around them. */
import { currentEpoch } from '../../cluster/epochs.js';
import type { Fleet } from '../../cluster/fleet.js';
import type { Finding, ReachableNode, Snapshot, TableName } from '../../cluster/model.js';
import { messageOf } from '../../errors.js';
import type { Session } from '../../postgres/session.js';
import { isConnectionLoss, sqlStateOf } from '../../postgres/sqlstate.js';
import { tableKey } from '../../replication/publications.js';
import { highestInUse, readSequences } from '../../replication/sequences.js';
import { type Lane, sessionsOf } from '../compare/run.js';
import type { Flavour } from '../digest.js';
import { hashingOtherwise } from '../equal.js';
import { paceOf } from '../pace.js';
import type { JudgedRow } from '../recheck.js';
import type { Report } from '../report.js';
import { type CheckResult, type TableResult, describeRow, verdictOf } from '../result.js';
import { type Course, courseOf } from '../resume/course.js';
import { frameOf, resumedOf } from '../resume/frame.js';
import type { SchemaFinding } from '../schema.js';
import { isNamed, notPublished, selectTables } from '../select.js';
import { noSuchColumn, sinceTime } from '../since.js';
import { comparePublication, compareSequences, publishedTables } from '../state.js';
import { assertEpoch } from './epoch.js';
import { freeze } from './exact.js';
import { openLanes, openMore } from './lanes.js';
import { type Participants, participantsOf, without } from './participants.js';
import type { CheckRequest } from './request.js';
import { type Scope, scopeOf } from './scope.js';
import { type SeenTable, narrow, seeTable } from './seen.js';
import { checkTable } from './table.js';

/** Throws as check() does, {@link EpochChanged}, and when the leader is lost. */
export async function attempt(
  fleet: Fleet,
  snapshot: Snapshot,
  request: CheckRequest,
  report?: Report,
): Promise<Omit<CheckResult, 'restarts' | 'report'>> {
  const startedAt = new Date();
  const start = performance.now();
  const asked = participantsOf(snapshot, request.nodes);
  const { leader } = asked;
  const epoch = currentEpoch(snapshot)?.epoch ?? 0;
  const lanes: Lane[] = [];
  try {
    const { lane: first, refused, more } = await openLanes(fleet, asked, lanesFor(leader, request));
    lanes.push(first, ...more);
    const who = without(asked, refused, request.nodes);
    const { replicas, unreachable } = who;
    const hashesOtherwise = await hashingOtherwise(sessionsOf(lanes));
    const digest = request.paranoid === true || hashesOtherwise.length > 0 ? 'sha256' : 'hash';
    const { checkpoints } = request;
    const before = checkpoints?.last;
    // What `--since 2h` meant in the first part holds for this one too.
    const since = before?.since ?? (request.since && (await sinceTime(first.leader, request.since)));
    const scope: Scope = { where: request.where, since, column: request.since?.column ?? '' };
    const looked = await lookAtTables(first, who, { request, scope, digest });
    const isWhole = () => sessionsOf(lanes).every((session) => session.alive);
    const course =
      checkpoints &&
      courseOf(checkpoints, { ...frameOf(snapshot, who), digest, since: since ?? null }, report, isWhole);
    const compared = await compareTables(fleet, who, lanes, looked.seen, { request, epoch, report, course });
    const sequences = await checkSequences(first, leader);
    await assertEpoch(sessionsOf([first]), epoch);
    if (isWhole()) await checkpoints?.drop();
    const result = {
      cluster: snapshot.cluster,
      leader: leader.name,
      epoch,
      startedAt: startedAt.toISOString(),
      durationMs: Math.round(performance.now() - start),
      scope: {
        data: request.schemaOnly !== true,
        where: request.where ?? null,
        since: since ?? null,
        sinceColumn: request.since?.column ?? null,
      },
      digest,
      hashesOtherwise,
      exact: compared.exact,
      resumed: before === undefined ? null : resumedOf(before),
      resume:
        checkpoints?.last === undefined ? null : { file: checkpoints.file, command: checkpoints.command },
      tables: compared.tables,
      skipped: looked.skipped,
      schema: looked.schema,
      publication: [
        ...replicas.flatMap((replica) => comparePublication(leader, replica)),
        ...looked.unread,
        ...('denied' in sequences ? [sequences.denied] : []),
      ],
      sequences: 'denied' in sequences ? [] : sequences.states,
      unreachable,
    } as const;
    return { ...result, verdict: verdictOf(result) };
  } finally {
    await Promise.all(sessionsOf(lanes).map((session) => session.close()));
  }
}

/** As many as will be wanted, as far as the snapshot says: opened at once they cost no time of their own. */
const lanesFor = (
  leader: ReachableNode,
  { schemaOnly, tables, blockRows, concurrency }: CheckRequest,
): number => {
  const named = (table: TableName) => tables.length === 0 || tables.some((text) => isNamed(table, text));
  const big = leader.tables.some((table) => named(table) && (table.estimatedRows ?? 0) > blockRows);
  return schemaOnly !== true && big ? concurrency : 1;
};

const namesOf = ({ replicas }: Participants): string[] => replicas.map(({ name }) => name);

interface Looked {
  /** Tables whose rows are to be compared. */
  readonly seen: readonly SeenTable[];
  readonly skipped: CheckResult['skipped'];
  readonly schema: readonly SchemaFinding[];
  /** What could not even be looked at, or is not replicated. */
  readonly unread: readonly Finding[];
}

async function lookAtTables(
  lane: Lane,
  { leader }: Participants,
  { request, scope, digest }: { request: CheckRequest; scope: Scope; digest: Flavour },
): Promise<Looked> {
  const seen: SeenTable[] = [];
  const skipped: (TableName & { reason: string })[] = [];
  const schema: SchemaFinding[] = [];
  const unread: Finding[] = [];
  const tell = (node: string, table: TableName, why: string) =>
    unread.push({ code: 'table-unread', severity: 'error', node, message: `${tableKey(table)}: ${why}` });
  const selected = await selectTables(lane.leader, publishedTables(leader), request.tables);
  unread.push(...selected.unpublished.map((table) => notPublished(leader.name, table)));
  for (const table of selected.tables) {
    request.signal?.throwIfAborted();
    const found = await seeTable(lane, table, digest).catch((error: unknown) => {
      // Somebody holds it locked, for one: the other tables can be compared all the same.
      if (sqlStateOf(error) === undefined || isConnectionLoss(error)) throw error;
      return messageOf(error);
    });
    if (typeof found === 'string') {
      tell(leader.name, table, found);
      continue;
    }
    if (found === undefined) {
      skipped.push({ ...table, reason: `${leader.name} has no such table any more` });
      continue;
    }
    schema.push(...found.findings);
    if (request.schemaOnly === true) {
      for (const [node, why] of found.unseen) tell(node, table, why);
      continue;
    }
    const narrowed = await scopeOf(lane.leader, found.leader.shape, scope, request.tables.length > 0);
    if ('reason' in narrowed) skipped.push({ ...table, reason: narrowed.reason });
    else seen.push(narrow(found, narrowed.scope));
  }
  if (seen.length === 0 && skipped.length > 0 && scope.since !== undefined)
    throw noSuchColumn(undefined, scope.column);
  return { seen, skipped, schema, unread };
}

interface How {
  readonly request: CheckRequest;
  readonly epoch: number;
  readonly report: Report | undefined;
  readonly course: Course | undefined;
}

/** `lanes` grow when a table is worth it. */
async function compareTables(
  fleet: Fleet,
  who: Participants,
  lanes: Lane[],
  seen: readonly SeenTable[],
  { request, epoch, report, course }: How,
): Promise<Pick<CheckResult, 'tables' | 'exact'>> {
  const { leader, replicas } = who;
  const { onProgress, signal, blockRows, rows: samples, exact, rate } = request;
  const isBig = ({ plan, leader: { shape } }: SeenTable) =>
    plan.method === 'ranges' && shape.estimatedRows > blockRows;
  const open = async () => {
    const more = await openMore(fleet, leader.name, namesOf(who), request.concurrency - lanes.length);
    lanes.push(...more);
  };
  const tables: TableResult[] = [];
  const patience = new Map(namesOf(who).map((name) => [name, { leftMs: request.waitMs }]));
  // Snapshots are taken once, so sessions are opened before; else when there is use for them.
  if (exact === true && seen.some(isBig)) await open();
  const frozen =
    exact === true && seen.length > 0 ? await freeze(fleet, who, lanes, seen, request.waitMs) : undefined;
  course?.assertThere(seen.map(({ table }) => table));
  await course?.begin();
  for (const found of seen) {
    const compared = course?.doneBefore(found);
    if (compared !== undefined) {
      tables.push(compared);
      continue;
    }
    if (frozen === undefined && isBig(found)) await open();
    const { table, plan } = found;
    const { shape } = found.leader;
    const before = Number(course?.openBefore(found)?.rows ?? 0);
    let rows = before;
    const options = {
      ...{ lanes, replicas, epoch, patience, blockRows, samples, course, still: frozen !== undefined },
      onRows: (more: number) => {
        rows += more;
        onProgress?.({ table, rows, before, ofRows: shape.estimatedRows });
      },
      ...(report === undefined
        ? {}
        : {
            allValues: true,
            enough: () => false,
            onJudged: (node: string, judged: readonly JudgedRow[]) =>
              report.add(
                table,
                node,
                judged.map((row) => describeRow(plan, row)),
              ),
          }),
      ...(rate === undefined ? {} : { pace: paceOf(rate, shape, signal) }),
      ...(signal ? { signal } : {}),
    };
    const result = await checkTable(withoutLate(found, frozen?.late), options);
    tables.push(result);
    // In a snapshot nobody sees a later epoch; the others are asked at the end.
    if (frozen === undefined) await assertEpoch(sessionsOf(lanes.slice(0, 1)), epoch);
    await course?.done(found, result);
  }
  if (frozen !== undefined)
    await Promise.all(sessionsOf(lanes).map((session) => session.simple('rollback').catch(() => [])));
  return { tables, exact: frozen?.point ?? null };
}

/** A replica without a snapshot of the moment is not compared. */
function withoutLate(seen: SeenTable, late: ReadonlyMap<string, string> = new Map()): SeenTable {
  if (late.size === 0) return seen;
  return {
    ...seen,
    nodes: new Map([...seen.nodes].filter(([name]) => !late.has(name))),
    skipped: new Map([...late, ...seen.skipped]),
  };
}

async function checkSequences(
  lane: Lane,
  leader: ReachableNode,
): Promise<{ readonly states: CheckResult['sequences'] } | { readonly denied: Finding }> {
  const tables = [...leader.tables, ...publishedTables(leader)];
  // A replica that went away meanwhile is told of with its tables; its sequences are simply unknown.
  const readOrNone = (session: Session) => readSequences(session).catch(() => []);
  const names = [...lane.nodes.keys()];
  try {
    const [ours, ...theirs] = await Promise.all([
      readSequences(lane.leader, tables),
      ...[...lane.nodes.values()].map(readOrNone),
    ]);
    const nodes = new Map(names.map((name, index) => [name, theirs[index] ?? []]));
    return { states: compareSequences(await highestInUse(lane.leader, ours), nodes) };
  } catch (error) {
    if (sqlStateOf(error) !== '42501') throw error;
    const { name: node, user } = leader;
    const message = `${user} may not read the sequences and what uses them: ${messageOf(error)}`;
    const fix = `grant select, update on all sequences in schema … to ${user};`;
    return { denied: { code: 'sequences-unread', severity: 'error', node, message, fix } };
  }
}
