/** `check`: a table of what was compared, the rows that differ, and what to type next. */
import type { CheckProgress } from '../consistency/check.js';
import {
  type CheckResult,
  type RowDifference,
  type TableNodeResult,
  type TableResult,
  type Verdict,
  verdictOf,
} from '../consistency/result.js';
import type { Style } from './color.js';
import { renderFindings } from './findings.js';
import { formatBytes, formatCount, formatDuration } from './format.js';
import { renderTable } from './table.js';

const label = ({ schema, name }: { schema: string; name: string }): string => `${schema}.${name}`;

/** What --rows takes at most. */
const MOST_SHOWN = 10_000;

/** Values are shown in one line, cut to this many characters. */
const VALUE_WIDTH = 60;

export function renderCheck(result: CheckResult, style: Style): string {
  const { c } = style;
  const parts = [
    `${c.bold(result.cluster)}   epoch ${String(result.epoch)}   leader ${result.leader}   ${mark(result.verdict, style)} ${result.verdict}   ${formatDuration(result.durationMs)}`,
    ...scopeLines(result, style),
    '',
    ...(result.scope.data
      ? [tables(result, style)]
      : ['Definitions, publication and sequences; no rows were read.']),
  ];
  for (const table of result.tables)
    for (const node of table.nodes) parts.push(...differences(table, node, style));
  const findings = [
    ...result.schema.map((finding) => ({ ...finding, message: `${label(finding)}: ${finding.message}` })),
    ...result.publication,
  ];
  if (findings.length > 0) parts.push('', renderFindings(findings, style));
  parts.push(...sequenceLines(result, style));
  for (const { node, message } of result.unreachable)
    parts.push('', `${c.yellow('?')} ${node} was not compared: ${message}`);
  parts.push('', ...closing(result, style));
  if (result.resume !== null)
    parts.push(`  ${c.cyan(result.resume.command)}   goes on where a node went away, once it is back`);
  if (result.report !== null)
    parts.push(
      `  ${c.dim(`${formatCount(result.report.rows)} ${result.report.rows === 1 ? 'difference' : 'differences'} in ${result.report.file}`)}`,
    );
  return parts.join('\n');
}

/** Ctrl-C: where it is written how far the check is, and what to type to go on. */
export function renderInterrupted(
  at: { readonly file: string; readonly command: string; readonly last?: unknown } | undefined,
  { c }: Style,
): string {
  if (at?.last === undefined) return '';
  return [
    `Nothing was changed. How far the check is: ${at.file}`,
    `  ${c.cyan(at.command)}   goes on from there`,
  ].join('\n');
}

/** `--quiet`: a line for each thing that is not as it should be, none when all is. */
export function renderQuiet(result: CheckResult): string {
  if (result.verdict === 'equal') return '';
  const lines = result.tables.flatMap((table) =>
    table.nodes
      .filter((node) => node.verdict !== 'equal')
      .map((node) => {
        const counts = countsOf(node).join(', ');
        const why = [counts, node.problem ?? ''].filter((part) => part !== '').join('; ');
        return `${label(table)} on ${node.node} ${node.verdict}: ${why === '' ? 'see repctl check' : why}`;
      }),
  );
  const bad = [...result.schema, ...result.publication].filter(({ severity }) => severity === 'error');
  return [
    ...lines,
    ...bad.map(({ node, code, message }) => `${node ?? result.leader} ${code}: ${message}`),
    ...result.unreachable.map(({ node, code, message }) => `${node} ${code}: ${message}`),
    ...result.skipped.map((table) => leftOut(table)),
  ].join('\n');
}

const leftOut = (table: CheckResult['skipped'][number]): string =>
  `${label(table)} was left out: ${table.reason}`;

const countsOf = (node: TableNodeResult): string[] =>
  (['missing', 'extra', 'differing', 'unverified'] as const)
    .filter((kind) => node[kind] > 0)
    .map((kind) => `${formatCount(node[kind])} ${kind}`);

/** What narrows the answer is said before it. */
function scopeLines(result: CheckResult, { c }: Style): string[] {
  const { scope, skipped, digest, hashesOtherwise, exact, restarts, resumed } = result;
  const said: string[] = [];
  if (resumed !== null)
    said.push(
      `gone on with: ${formatCount(BigInt(resumed.rows))} rows were compared between ${resumed.startedAt} and ${resumed.savedAt}, and not looked at again`,
    );
  if (restarts > 0)
    said.push(
      `begun anew ${restarts === 1 ? 'once' : `${String(restarts)} times`}: the leader changed, or was lost, meanwhile`,
    );
  if (exact !== null)
    said.push(
      `everything as of ${exact.lsn} of ${result.leader}; its tables were locked against writers for ${formatDuration(exact.lockMs)}, waited for during ${formatDuration(exact.waitedMs)}${exact.tries > 1 ? ` (try ${String(exact.tries)})` : ''}`,
    );
  if (scope.where !== null) said.push(`only rows where ${scope.where}`);
  if (scope.since !== null)
    said.push(
      `only rows with ${scope.sinceColumn ?? ''} since ${scope.since} or null; deleted rows do not tell when`,
    );
  if (digest === 'sha256')
    said.push(
      hashesOtherwise.length > 0
        ? `${hashesOtherwise.join(', ')} ${hashesOtherwise.length === 1 ? 'hashes' : 'hash'} otherwise than PostgreSQL elsewhere: sha256 digests everywhere`
        : 'sha256 digests',
    );
  said.push(...skipped.map(leftOut));
  return said.map((line) => c.dim(`· ${line}`));
}

function mark(verdict: Verdict, { c }: Style): string {
  if (verdict === 'equal') return c.green('✓');
  return verdict === 'diverged' ? c.red('✗') : c.yellow('?');
}

function tables(result: CheckResult, style: Style): string {
  const rows = result.tables.flatMap((table) =>
    table.nodes.map((node) => [
      label(table),
      node.node,
      `${mark(node.verdict, style)} ${node.verdict}`,
      formatCount(BigInt(node.rows)),
      node.bytes === null ? '–' : formatBytes(node.bytes),
      formatCount(node.blocks),
      formatCount(node.rechecked),
      formatCount(node.inFlight),
      proven(node),
      formatCount(node.unverified),
      formatDuration(table.durationMs),
    ]),
  );
  if (rows.length === 0) return 'Nothing to compare.';
  const right = (head: string, optional = false) => ({ head, align: 'right' as const, optional });
  return renderTable(
    [
      { head: 'Table' },
      { head: 'Node' },
      { head: 'Data' },
      right('Rows'),
      right('Size', true),
      right('Blocks', true),
      right('Rechecked', true),
      right('In flight'),
      right('Proven'),
      right('Unverified'),
      right('Time'),
    ],
    rows,
    style,
  );
}

/** `3`, or `10,000+` when blocks were left aside. */
const proven = ({ missing, extra, differing, blocksNotListed }: TableNodeResult): string =>
  `${formatCount(missing + extra + differing)}${blocksNotListed > 0 ? '+' : ''}`;

function differences(table: TableResult, node: TableNodeResult, style: Style): string[] {
  const { c } = style;
  const lines: string[] = [];
  if (node.problem !== null)
    lines.push('', `${c.yellow('?')} ${label(table)} on ${node.node}: ${node.problem}`);
  if (node.samples.length === 0) return lines;
  const counts = countsOf(node);
  lines.push(
    '',
    `${mark(node.verdict, style)} ${c.bold(label(table))} on ${c.bold(node.node)}: ${counts.join(', ')}`,
  );
  for (const row of node.samples) lines.push(...rowLines(row, node.node, style));
  const total = node.missing + node.extra + node.differing + node.unverified;
  const more = total - node.samples.length;
  if (more > 0)
    lines.push(
      c.dim(
        `  … and ${formatCount(more)} more: ${total > MOST_SHOWN ? '--report FILE keeps them all' : `--rows ${String(total)} shows them`}`,
      ),
    );
  return lines;
}

/** One row that differs, on a line of its own for each column. */
export function rowLines(row: RowDifference, node: string, { c }: Style): string[] {
  const key = row.key
    ? Object.entries(row.key)
        .map(([name, value]) => `${name}=${show(value)}`)
        .join(' ')
    : row.columns.map(({ name, leader, node: theirs }) => `${name}=${show(leader ?? theirs)}`).join(' ');
  const doubt = row.proven ? '' : c.yellow(' (not proven)');
  if (row.copies)
    return [
      `  ${row.kind} ${key}: ${row.copies.leader} on the leader, ${row.copies.node} on ${node}${doubt}`,
    ];
  if (row.kind !== 'differing')
    return [`  ${row.kind === 'missing' ? `missing on ${node}` : `only on ${node}`}: ${key}${doubt}`];
  if (row.columns.length === 0) return [`  differing: ${key}: the same text, other bytes${doubt}`];
  return row.columns.map(
    ({ name, leader, node: theirs }) =>
      `  differing: ${key}: ${name} is ${show(theirs)}, leader has ${show(leader)}${doubt}`,
  );
}

/** JSON quotes make '', blanks and line breaks visible; null is without. */
function show(value: string | null): string {
  if (value === null) return 'null';
  const text = JSON.stringify(value);
  return text.length > VALUE_WIDTH ? `${text.slice(0, VALUE_WIDTH)}…"` : text;
}

function sequenceLines(result: CheckResult, { c }: Style): string[] {
  if (result.sequences.length === 0) return [];
  const lines = [''];
  for (const sequence of result.sequences) {
    const nodes = sequence.nodes
      .map(({ node, lastValue }) => `${node} ${lastValue ?? 'has none'}`)
      .join(', ');
    const behind = sequence.behind
      ? ` ${c.yellow(`behind the highest value in use, ${sequence.highestInUse ?? ''}: the next insert collides`)}`
      : '';
    lines.push(
      `${sequence.behind ? c.yellow('!') : c.dim('·')} sequence ${label(sequence)}: ${result.leader} ${sequence.leaderLastValue}${behind}${nodes === '' ? '' : c.dim(`; ${nodes} (set on promotion)`)}`,
    );
  }
  return lines;
}

function closing(result: CheckResult, { c }: Style): string[] {
  const nodes = new Set(result.tables.flatMap((table) => table.nodes.map((node) => node.node)));
  if (result.verdict === 'equal' && !result.scope.data)
    return [
      c.green(`✓ Every replica's tables are defined as on ${result.leader}, as far as it matters for apply.`),
    ];
  if (result.verdict === 'equal') {
    const rows = result.tables.reduce((sum, table) => sum + BigInt(table.rows), 0n);
    return [
      c.green(
        `✓ ${String(nodes.size)} ${nodes.size === 1 ? 'replica equals' : 'replicas equal'} ${result.leader}: ${formatCount(rows)} rows in ${String(result.tables.length)} ${result.tables.length === 1 ? 'table' : 'tables'}.`,
      ),
    ];
  }
  const { skipped } = result;
  if (skipped.length > 0 && verdictOf({ ...result, skipped: [] }) === 'equal')
    return [
      c.yellow(
        `? What was compared is equal; ${skipped.length === 1 ? '1 table was' : `${String(skipped.length)} tables were`} left out.`,
      ),
      `  ${c.cyan(`repctl check ${skipped.map(label).join(' ')}`)}`,
    ];
  if (result.verdict === 'unverified')
    return [
      c.yellow('? Nothing is proven to differ, but not everything could be verified.'),
      `  ${c.cyan('repctl status')}, then repctl check again`,
    ];
  const inRows = result.tables.flatMap((table) =>
    table.nodes.filter((node) => node.verdict === 'diverged').map((node) => node.node),
  );
  const inDefinitions = result.schema.flatMap(({ severity, node }) => (severity === 'error' ? [node] : []));
  const names = [...new Set([...inRows, ...inDefinitions])];
  return [
    c.red(`✗ ${names.join(', ')} ${names.length === 1 ? 'has' : 'have'} diverged from ${result.leader}.`),
    ...names.map((node) =>
      inRows.includes(node)
        ? `  ${c.cyan(`repctl repair --node ${node}`)}   sets its rows right, and asks first`
        : `  ${node}: what is defined otherwise there is for you to alter; repair sets rows right only`,
    ),
  ];
}

/** One line for stderr: what is being read, how much of it, how fast. */
export function renderProgress(progress: CheckProgress, elapsedMs: number, style: Style): string {
  const { rows, before = 0, ofRows } = progress;
  const share = ofRows > 0 ? Math.min(1, rows / ofRows) : 1;
  const width = 24;
  const full = Math.round(share * width);
  const rate = elapsedMs > 0 ? Math.round(((rows - before) / elapsedMs) * 1000) : 0;
  const here = share - (ofRows > 0 ? before / ofRows : 0);
  const left = here > 0 && share < 1 ? `, ${formatDuration((elapsedMs / here) * (1 - share))} left` : '';
  const line = `${label(progress.table)} ${'█'.repeat(full)}${'░'.repeat(width - full)} ${formatCount(rows)} rows, ${formatCount(rate)}/s${left}`;
  return line.slice(0, Math.max(20, style.width - 1));
}
