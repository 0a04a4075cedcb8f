/** Planning `repair`. Pure: what differs was found before, and is proven again row by row when the plan runs. */
import { ownSubscription } from '../../cluster/epochs.js';
import type { Finding, ReachableNode, Snapshot } from '../../cluster/model.js';
import type { NodeDifferences } from '../../consistency/repair/find.js';
import type { JudgedRow } from '../../consistency/recheck.js';
import { type Verdict, describeRow, worst } from '../../consistency/result.js';
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
  const nodes = [
    ...new Set(request.found.filter((one) => wanted(one, request).length > 0).map(({ node }) => node)),
  ];
  const findings = nodes.flatMap((name) => [
    ...unfit(nodeOf(facts, name), name, epoch.epoch),
    ...tooMany(name, request),
  ]);
  if (findings.length > 0) return refused(OPERATION, findings);

  const steps: RepairStep[] = nodes.map((node) => {
    const tables = request.found.filter((one) => one.node === node);
    const action: SetRight = {
      kind: 'set-right',
      node,
      leader: leader.name,
      epoch: epoch.epoch,
      tables: tables.flatMap((one) => {
        const keys = wanted(one, request).map(({ key }) => key);
        return keys.length === 0 ? [] : [{ table: one.table, keys }];
      }),
    };
    return stepOf(action, {
      counts: tables.map((one) => countsOf(one, request)),
      sql: request.sql.get(node) ?? [],
    });
  });
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
    data: { differences: differencesOf(request) },
    steps,
  });
}

/** Rows that are to be set right: undecided ones too, since nothing is written that is not proven under lock. */
export const wanted = (
  { rows }: NodeDifferences,
  { only }: Pick<RepairRequest, 'only'>,
): readonly JudgedRow[] => (only === undefined ? rows : rows.filter((row) => row.kind === only));

function countsOf(one: NodeDifferences, request: Pick<RepairRequest, 'only'>): Differences {
  const count = (kind: JudgedRow['kind']) => one.rows.filter((row) => row.proven && row.kind === kind).length;
  return {
    node: one.node,
    schema: one.table.schema,
    name: one.table.name,
    missing: count('missing'),
    extra: count('extra'),
    differing: count('differing'),
    undecided: one.rows.filter((row) => !row.proven).length,
    problem: one.problem,
    rows: wanted(one, request)
      .slice(0, SAMPLES)
      .map((row) => describeRow(one.plan, row)),
  };
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
  const rows = tables.flatMap((one) => wanted(one, request));
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

function notesOf(request: RepairRequest): string[] {
  const notes = [...request.shown];
  const left = request.found.reduce((sum, one) => sum + one.rows.length - wanted(one, request).length, 0);
  if (left > 0 && request.only !== undefined)
    notes.push(
      `--only ${request.only}: ${String(left)} ${left === 1 ? 'other row stays' : 'other rows stay'} as they are`,
    );
  for (const { node, table, problem } of request.found)
    if (problem !== null) notes.push(`not compared: ${tableKey(table)} on ${node}: ${problem}`);
  for (const { node, message } of request.unreachable) notes.push(`not compared: ${node}: ${message}`);
  return notes;
}

/** What was found, as --json has it. */
export const differencesOf = (request: Pick<RepairRequest, 'found' | 'only'>): readonly Differences[] =>
  request.found.map((one) => countsOf(one, request));

/**
 * One verdict of what the steps came to (undefined: none ran) and of what was left out from the start.
 */
export function verdictOf(
  request: RepairRequest,
  results: readonly Pick<SetRightResult, 'stillDiffering' | 'unverified'>[] | undefined,
): Verdict {
  const left = request.found.flatMap((one) =>
    results === undefined ? one.rows : one.rows.filter((row) => !wanted(one, request).includes(row)),
  );
  const unseen = request.unreachable.length > 0 || request.found.some((one) => one.problem !== null);
  return worst([
    ...(results ?? []).flatMap((one): Verdict[] => [
      one.stillDiffering > 0 ? 'diverged' : 'equal',
      one.unverified > 0 ? 'unverified' : 'equal',
    ]),
    ...left.map((row): Verdict => (row.proven ? 'diverged' : 'unverified')),
    unseen ? 'unverified' : 'equal',
  ]);
}
