/** Planning `repair`. Pure: what differs was found before, and is proven again row by row when the plan runs. */
import { ownSubscription } from '../../cluster/epochs.js';
import type { Finding, ReachableNode, Snapshot } from '../../cluster/model.js';
import { type NodeDifferences, noOthers, sumOf } from '../../consistency/repair/find.js';
import type { JudgedRow } from '../../consistency/recheck.js';
import { type Verdict, describeRow, worst } from '../../consistency/result.js';
import { isNamed } from '../../consistency/select.js';
import type { ClusterConfig } from '../../config/schema.js';
import { type Planned, planned, refused } from '../../plan/plan.js';
import { tableKey } from '../../replication/publications.js';
import { isAttached, factsOf, nodeOf } from '../facts.js';
import type {
  Differences,
  RepairAction,
  RepairRequest,
  RepairStep,
  SetRight,
  SetRightResult,
} from './model.js';
import { failingFinding, skipText } from './failing.js';
import { stepOf } from './steps.js';

const OPERATION = 'repair';

/** Rows of each table and replica that --json shows. */
export const SAMPLES = 10;

export function planRepair(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: RepairRequest,
): Planned<RepairAction> {
  const facts = factsOf(snapshot, config);
  const { epoch, leader } = facts;
  if (epoch === undefined || leader === undefined)
    return refused(OPERATION, [
      {
        code: 'no-leader',
        severity: 'error',
        node: epoch?.leader ?? '',
        message: 'The leader does not answer: there is nothing to set rows right by.',
        fix: 'repctl status',
      },
    ]);
  const stalled = request.stalled.map(({ node }) => node);
  const differing = request.found.filter(({ rows, more }) => rows.length > 0 || more).map(({ node }) => node);
  const nodes = [...new Set([...stalled, ...request.failing.map(({ node }) => node), ...differing])];
  const findings = [
    ...(nodes.length > 0 ? unrecordable(leader) : []),
    ...nodes.flatMap((name) => [
      ...unfit(nodeOf(facts, name), name, epoch.epoch),
      ...request.failing.filter(({ node }) => node === name).map(failingFinding),
      ...(stalled.includes(name) ? standing(name, request) : tooMany(name, request)),
    ]),
  ];
  if (findings.length > 0) return refused(OPERATION, findings);

  const about = { leader: leader.name, epoch: epoch.epoch };
  const steps: RepairStep[] = [
    ...stalled.map((node) => stepOf({ kind: 'clear-way', node, ...about })),
    ...nodes.map((node) => {
      const found = request.found.filter((one) => one.node === node);
      // Undecided ones too: nothing is written that is not proven under lock.
      const tables = found.flatMap(({ table, rows }) =>
        rows.length === 0 ? [] : [{ table, keys: rows.map(({ key }) => key) }],
      );
      const action: SetRight = stalled.includes(node)
        ? {
            kind: 'set-right',
            node,
            ...about,
            tables: [],
            compare: { tables: request.tables, maxRows: request.maxRows },
          }
        : { kind: 'set-right', node, ...about, tables };
      const sql = request.sql.get(node) ?? [];
      return stepOf(action, { counts: wantedOf({ found }), sql });
    }),
  ];
  const tables = [...new Map(request.found.map(({ table }) => [tableKey(table), table])).values()];
  if (steps.length > 0)
    steps.push(stepOf({ kind: 'record', leader: leader.name, epoch: epoch.epoch, nodes, tables }));
  return planned({
    operation: OPERATION,
    title:
      nodes.length === 0
        ? 'Set rows right'
        : `Set rows of ${nodes.join(', ')} right by those of ${leader.name}`,
    notes: notesOf(request),
    data: { differences: differencesOf(request), stalled: request.stalled },
    steps,
  });
}

/** Every row that differs; `rows` are the first of those that are to be set right. */
function countsOf(one: NodeDifferences): Differences {
  const count = (kind: JudgedRow['kind']) =>
    one.rows.filter((row) => row.proven && row.kind === kind).length + one.others[kind];
  return {
    node: one.node,
    schema: one.table.schema,
    name: one.table.name,
    missing: count('missing'),
    extra: count('extra'),
    differing: count('differing'),
    undecided: one.rows.filter((row) => !row.proven).length + one.others.undecided,
    problem: one.problem,
    rows: one.rows.slice(0, SAMPLES).map((row) => describeRow(one.plan, row)),
  };
}

/** What was set right is noted on the leader, in the end. */
function unrecordable(leader: ReachableNode): Finding[] {
  if (!leader.tables.some((table) => table.fence === 'enabled')) return [];
  return [
    {
      code: 'leader-fenced',
      severity: 'error',
      node: leader.name,
      message: `The fence of ${leader.name} is up: what is set right could not be recorded there.`,
      fix: `repctl unfence ${leader.name}, unless a switchover is under way`,
    },
  ];
}

function unfit(node: ReachableNode | undefined, name: string, epoch: number): Finding[] {
  const error = (code: string, message: string, fix: string): Finding[] => [
    { code, severity: 'error', node: name, message, fix },
  ];
  if (node === undefined) return error('node-unreachable', `${name} does not answer.`, 'repctl status');
  const subscription = ownSubscription(node);
  if (subscription === undefined || !isAttached(node, epoch))
    return subscription?.enabled === false
      ? error(
          'subscription-disabled',
          `${name} does not receive anything: ${subscription.name} is disabled, so no row of it can be judged.`,
          `repctl subscription enable ${name}`,
        )
      : error(
          'node-detached',
          `${name} does not follow the leader: rows that are set right would be old in a moment.`,
          `repctl rewire ${name}`,
        );
  return [];
}

function tooMany(node: string, request: RepairRequest): Finding[] {
  const tables = request.found.filter((one) => one.node === node);
  const rows = tables.flatMap((one) => one.rows);
  const more = tables.some((one) => one.more);
  if (rows.length <= request.maxRows && !more) return [];
  const proven = rows.filter((row) => row.proven).length;
  const limit = request.maxRows.toLocaleString('en-US');
  if (proven <= request.maxRows && rows.length - proven > proven)
    return [
      {
        code: 'not-caught-up',
        severity: 'error',
        node,
        message: `${node} is behind the leader by so much that rows that differ cannot be told from those that are on their way.`,
        fix: `repctl lag; when ${node} has caught up, the same command again.`,
      },
    ];
  return [
    {
      code: 'too-many-rows',
      severity: 'error',
      node,
      message: `More than ${limit} rows of ${node} differ (${tables.map((one) => tableKey(one.table)).join(', ')}): somebody should look why.`,
      fix: `repctl check --node ${node} shows some of them. --max-rows N raises the limit; repctl rewire ${node} --reconcile sets any number right in one go.`,
    },
  ];
}

/** Why what stands in the way of a replica's stream will not be removed. */
function standing(node: string, request: RepairRequest): Finding[] {
  const { stall } = request.stalled.find((one) => one.node === node) ?? {};
  const other = stall?.obstacles.find(
    ({ table }) => request.tables.length > 0 && !request.tables.some((name) => isNamed(table, name)),
  );
  if (other === undefined && request.only === undefined) return [];
  const what = other === undefined ? 'rows stand' : `a row of ${tableKey(other.table)} stands`;
  return [
    {
      code: 'apply-stalled',
      severity: 'error',
      node,
      message: `${node} does not get on, since ${what} in the way of the stream: until then nothing of it can be proven.`,
      fix: `repctl repair ${other === undefined ? '' : `${tableKey(other.table)} `}--node ${node}`,
    },
  ];
}

function stallNotes({ node, stall }: RepairRequest['stalled'][number]): string[] {
  const { obstacles } = stall;
  const pairs = (values: Readonly<Record<string, string | null>>) =>
    Object.entries(values)
      .map(([name, text]) => `${name}=${JSON.stringify(text)}`)
      .join(' ');
  const rows = obstacles
    .slice(0, SAMPLES)
    .map(
      ({ table, identity, index, op, change }) =>
        `${node} does not get on: its row ${tableKey(table)} ${pairs(identity)} stands in the way of an ${op} of the leader (${index}: ${pairs(change)})`,
    );
  return [
    ...rows,
    ...(obstacles.length > rows.length ? [`… and ${String(obstacles.length - rows.length)} more rows`] : []),
    `the other way: ${skipText(node, stall)}`,
  ];
}

function notesOf(request: RepairRequest): string[] {
  const notes = [...request.shown, ...request.stalled.flatMap(stallNotes)];
  const left = request.found.reduce((sum, { others }) => sum + sumOf(others), 0);
  if (left > 0 && request.only !== undefined)
    notes.push(
      `--only ${request.only}: ${String(left)} ${left === 1 ? 'other row stays' : 'other rows stay'} as they are`,
    );
  for (const { node, table, problem } of request.found)
    if (problem !== null) notes.push(`not compared: ${tableKey(table)} on ${node}: ${problem}`);
  for (const table of request.unpublished)
    notes.push(
      `not compared: ${tableKey(table)} is not published: repctl publication add ${tableKey(table)}`,
    );
  for (const { node, message } of request.unreachable) notes.push(`not compared: ${node}: ${message}`);
  return notes;
}

/** What is to be set right, to be shown. */
export const wantedOf = ({ found }: Pick<RepairRequest, 'found'>): readonly Differences[] =>
  found.map((one) => countsOf({ ...one, others: noOthers() }));

/** What was found, as --json has it. */
export const differencesOf = ({ found }: Pick<RepairRequest, 'found'>): readonly Differences[] =>
  found.map(countsOf);

/**
 * One verdict of what the steps came to (undefined: none ran) and of what was left out from the start.
 */
export function verdictOf(
  request: RepairRequest,
  results: readonly Pick<SetRightResult, 'stillDiffering' | 'unverified'>[] | undefined,
): Verdict {
  const left = request.found.map((one) => countsOf(results === undefined ? one : { ...one, rows: [] }));
  const unseen =
    request.unreachable.length + request.unpublished.length > 0 ||
    request.found.some((one) => one.problem !== null);
  return worst([
    ...(results ?? []).flatMap((one): Verdict[] => [
      one.stillDiffering > 0 ? 'diverged' : 'equal',
      one.unverified > 0 ? 'unverified' : 'equal',
    ]),
    ...left.flatMap((one): Verdict[] => [
      one.missing + one.extra + one.differing > 0 ? 'diverged' : 'equal',
      one.undecided > 0 ? 'unverified' : 'equal',
    ]),
    results === undefined && request.stalled.length > 0 ? 'diverged' : 'equal',
    unseen ? 'unverified' : 'equal',
  ]);
}
