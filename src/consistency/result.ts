/** What `check` finds out: the shape of its --json, and the verdict drawn from it; pure. */
import type { Finding, TableName } from '../cluster/model.js';
import type { Lsn } from '../postgres/lsn.js';
import type { CompareResult } from './compare/run.js';
import type { Flavour } from './digest.js';
import { type Method, type TablePlan, keyParts } from './blocks.js';
import type { DifferenceKind, JudgedRow } from './recheck.js';
import type { SchemaFinding } from './schema.js';
import type { SequenceState } from './state.js';
import type { NodeTally } from './tally.js';

export type Verdict = 'equal' | 'diverged' | 'unverified';

export interface RowDifference {
  readonly kind: DifferenceKind;
  /** False: seen, but it could not be told from a change in flight. */
  readonly proven: boolean;
  /** The key's columns with their texts; null where the table has no key. */
  readonly key: Readonly<Record<string, string>> | null;
  /** Columns that differ; all of them where one side has no such row (its values are then null). */
  readonly columns: readonly {
    readonly name: string;
    readonly leader: string | null;
    readonly node: string | null;
  }[];
  /** Only without a key: how many rows like this one each side has. */
  readonly copies: { readonly leader: string; readonly node: string } | null;
}

export interface TableNodeResult {
  readonly node: string;
  readonly verdict: Verdict;
  readonly rows: string;
  /** Of the whole table there: its pages and TOAST; null where it is not there. */
  readonly bytes: number | null;
  readonly blocks: number;
  readonly blocksDiffering: number;
  /** Differing blocks whose rows were not listed, since thousands differ already. */
  readonly blocksNotListed: number;
  readonly rechecked: number;
  readonly inFlight: number;
  readonly missing: number;
  readonly extra: number;
  readonly differing: number;
  readonly unverified: number;
  /** Why it could not be compared to the end; null when it could. */
  readonly problem: string | null;
  readonly samples: readonly RowDifference[];
}

export interface TableResult extends TableName {
  readonly method: Method;
  readonly key: readonly string[];
  readonly rows: string;
  /** Of the whole table on the leader. */
  readonly bytes: number;
  readonly durationMs: number;
  readonly nodes: readonly TableNodeResult[];
}

/** What was looked at; all rows when everything in it is null. */
export interface CheckScope {
  /** False: definitions, publication and sequences alone. */
  readonly data: boolean;
  readonly where: string | null;
  /** RFC 3339. */
  readonly since: string | null;
  readonly sinceColumn: string | null;
}

export interface ExactPoint {
  /** In the leader's WAL: all nodes were read as of here. */
  readonly lsn: Lsn;
  /** How long the leader's tables were locked against writers. */
  readonly lockMs: number;
  /** How long the lock waited for writers before it was taken, 50 ms at most; and how often it was tried. */
  readonly waitedMs: number;
  readonly tries: number;
}

export interface CheckResult {
  readonly cluster: string;
  readonly leader: string;
  readonly epoch: number;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly verdict: Verdict;
  readonly scope: CheckScope;
  readonly digest: Flavour;
  /** Nodes whose servers hash otherwise than expected: why the digest is sha256 though nobody asked for it. */
  readonly hashesOtherwise: readonly string[];
  /** Empty with --schema. */
  readonly tables: readonly TableResult[];
  /** Tables that were left out, and why; they do not count for the verdict. */
  readonly skipped: readonly (TableName & { readonly reason: string })[];
  readonly schema: readonly SchemaFinding[];
  readonly publication: readonly Finding[];
  readonly sequences: readonly SequenceState[];
  /** Where everything was compared at one point, with --exact; else null. */
  readonly exact: ExactPoint | null;
  /** The interrupted check that this one went on with; null where it began anew. Its rows are not compared again. */
  readonly resumed: {
    /** RFC 3339: when it began, and up to when what it had compared was noted down. */
    readonly startedAt: string;
    readonly savedAt: string;
    /** Rows of the leader that it had compared. */
    readonly rows: string;
  } | null;
  /** Where a replica went away in the middle: what to type to go on from there, and the file; else null. */
  readonly resume: { readonly file: string; readonly command: string } | null;
  /** How often the leader changed meanwhile, and it was begun anew. */
  readonly restarts: number;
  /** The file of --report, and how many rows are in it; else null. */
  readonly report: { readonly file: string; readonly rows: number } | null;
  /** Nodes that could not be asked at all. */
  readonly unreachable: readonly { readonly node: string; readonly code: string; readonly message: string }[];
}

/** Diverged outweighs unverified, which outweighs equal. */
export function worst(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes('diverged')) return 'diverged';
  return verdicts.includes('unverified') ? 'unverified' : 'equal';
}

/**
 * A schema that breaks apply is a divergence; a table that is not subscribed to may still be equal today. Nobody knows
 * of a table that was left out, such as one without the column of `--since`.
 */
export function verdictOf(
  result: Pick<CheckResult, 'tables' | 'schema' | 'publication' | 'unreachable' | 'skipped'>,
): Verdict {
  const broken = (findings: readonly Finding[]) => findings.some((finding) => finding.severity === 'error');
  return worst([
    ...result.tables.flatMap((table) => table.nodes.map((node) => node.verdict)),
    broken(result.schema) ? 'diverged' : 'equal',
    broken(result.publication) || result.unreachable.length + result.skipped.length > 0
      ? 'unverified'
      : 'equal',
  ]);
}

export function nodeResult(
  plan: TablePlan,
  node: string,
  tally: NodeTally,
  bytes: number | null = null,
): TableNodeResult {
  const { missing, extra, differing, unverified, problem, blocksNotListed } = tally;
  const open = unverified > 0 || problem !== null || blocksNotListed > 0;
  return {
    node,
    verdict: missing + extra + differing > 0 ? 'diverged' : open ? 'unverified' : 'equal',
    rows: String(tally.rows),
    bytes,
    blocks: tally.blocks,
    blocksDiffering: tally.blocksDiffering,
    blocksNotListed,
    rechecked: tally.rechecked,
    inFlight: tally.inFlight,
    missing,
    extra,
    differing,
    unverified,
    problem,
    samples: tally.samples.map((row) => describeRow(plan, row)),
  };
}

/** A replica whose table could not be compared at all. */
export function skippedNode(node: string, problem: string, bytes: number | null = null): TableNodeResult {
  const none = { missing: 0, extra: 0, differing: 0, unverified: 0, rechecked: 0, inFlight: 0 };
  const blocks = { rows: '0', bytes, blocks: 0, blocksDiffering: 0, blocksNotListed: 0 };
  return { node, verdict: 'unverified', ...blocks, ...none, problem, samples: [] };
}

export function tableResult(
  plan: TablePlan,
  table: TableName & { key: readonly string[]; bytes: number },
  compared: Pick<CompareResult, 'rows'>,
  nodes: readonly TableNodeResult[],
  durationMs: number,
): TableResult {
  const { schema, name, key, bytes } = table;
  return { schema, name, method: plan.method, key, rows: String(compared.rows), bytes, durationMs, nodes };
}

/** A judged row in the words of its table. */
export function describeRow(plan: TablePlan, row: JudgedRow): RowDifference {
  const parts = keyParts(plan, row.key);
  const key = Object.fromEntries(plan.key.map(({ name }, index) => [name, parts[index] ?? '']));
  const columns = plan.columns.map(({ name }, index) => ({
    name,
    leader: row.leader?.values?.[index] ?? null,
    node: row.node?.values?.[index] ?? null,
  }));
  const multiset = plan.method === 'multiset';
  return {
    kind: row.kind,
    proven: row.proven,
    key: multiset ? null : key,
    columns:
      row.leader && row.node && !multiset
        ? columns.filter((column) => column.leader !== column.node)
        : columns,
    copies: multiset ? { leader: row.leader?.hash ?? '0', node: row.node?.hash ?? '0' } : null,
  };
}
