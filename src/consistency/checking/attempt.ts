/** One comparison under one leader: its tables one after the other, then what is defined around them. */
import { currentEpoch } from '../../cluster/epochs.js';
import type { Fleet } from '../../cluster/fleet.js';
import type { Finding, ReachableNode, Snapshot, TableName } from '../../cluster/model.js';
import { messageOf } from '../../errors.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { highestInUse, readSequences } from '../../replication/sequences.js';
import type { Lane } from '../compare/run.js';
import { hashingOtherwise } from '../equal.js';
import { type CheckResult, type TableResult, verdictOf } from '../result.js';
import type { SchemaFinding } from '../schema.js';
import { selectTables } from '../select.js';
import { sinceTime } from '../since.js';
import { comparePublication, compareSequences, publishedTables } from '../state.js';
import { openLane, sessionsOf } from './lanes.js';
import { type Participants, participantsOf } from './participants.js';
import type { CheckRequest } from './request.js';
import { type Scope, scopeOf } from './scope.js';
import { narrow, seeTable } from './seen.js';
import { checkTable } from './table.js';

/** Throws as check() does, and when the leader is lost. */
export async function attempt(fleet: Fleet, snapshot: Snapshot, request: CheckRequest): Promise<CheckResult> {
  const startedAt = new Date();
  const start = performance.now();
  const who = participantsOf(snapshot, request.nodes);
  const { leader, replicas, unreachable } = who;
  const lanes: Lane[] = [];
  try {
    const first = await openLane(
      fleet,
      leader.name,
      replicas.map(({ name }) => name),
    );
    lanes.push(first);
    const hashesOtherwise = await hashingOtherwise(sessionsOf(lanes));
    const digest = request.paranoid === true || hashesOtherwise.length > 0 ? 'sha256' : 'hash';
    const since = request.since && (await sinceTime(first.leader, request.since));
    const scope: Scope = { where: request.where, since, column: request.since?.column ?? '' };
    const compared = await compareTables(fleet, who, lanes, { request, scope, digest });
    const sequences = await checkSequences(first, leader);
    const result = {
      cluster: snapshot.cluster,
      leader: leader.name,
      epoch: currentEpoch(snapshot)?.epoch ?? 0,
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
      ...compared,
      publication: [
        ...replicas.flatMap((replica) => comparePublication(leader, replica)),
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

interface How {
  readonly request: CheckRequest;
  readonly scope: Scope;
  readonly digest: CheckResult['digest'];
}

/** `lanes` grow when a table is worth it. */
async function compareTables(
  fleet: Fleet,
  { leader, replicas }: Participants,
  lanes: Lane[],
  { request, scope, digest }: How,
): Promise<Pick<CheckResult, 'tables' | 'skipped' | 'schema'>> {
  const [first] = lanes;
  if (!first) throw new RangeError('no lane');
  const names = replicas.map(({ name }) => name);
  const { onProgress, signal, blockRows, rows: samples } = request;
  const tables: TableResult[] = [];
  const skipped: (TableName & { reason: string })[] = [];
  const schema: SchemaFinding[] = [];
  const patience = new Map(names.map((name) => [name, { leftMs: request.waitMs }]));
  for (const table of await selectTables(first.leader, publishedTables(leader), request.tables)) {
    const seen = await seeTable(first, table, digest);
    if (seen === undefined) {
      skipped.push({ ...table, reason: `${leader.name} has no such table any more` });
      continue;
    }
    schema.push(...seen.findings);
    if (request.schemaOnly === true) continue;
    const { shape } = seen.leader;
    const narrowed = await scopeOf(first.leader, shape, scope, request.tables.length > 0);
    if ('reason' in narrowed) {
      skipped.push({ ...table, reason: narrowed.reason });
      continue;
    }
    if (seen.plan.method === 'ranges' && shape.estimatedRows > blockRows) {
      const more = Array.from({ length: request.concurrency - lanes.length }, () =>
        openLane(fleet, leader.name, names),
      );
      lanes.push(...(await Promise.all(more)));
    }
    let rows = 0;
    const options = {
      ...{ lanes, replicas, patience, blockRows, samples },
      onRows: (more: number) => {
        rows += more;
        onProgress?.({ table, rows, ofRows: shape.estimatedRows });
      },
      ...(signal ? { signal } : {}),
    };
    tables.push(await checkTable(narrow(seen, narrowed.scope), options));
  }
  return { tables, skipped, schema };
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
