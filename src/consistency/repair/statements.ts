/** What setting rows right comes to, row by row, as SQL that a person can read; nothing runs it. */
import { EXIT, RepctlError } from '../../errors.js';
import { ident, literal, qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { type RowReading, type TablePlan, rowsParams, rowsSql } from '../blocks.js';
import { foldDoubles } from '../compare/rows.js';
import type { Flavour } from '../digest.js';
import { type ReconcileTable, describeTable } from '../reconcile/table.js';
import type { SettleTable } from './settle.js';

const BATCH = 100;
/** What is read by a person, and held in memory until then. */
const MOST_CHARACTERS = 64_000_000;

type Values = readonly (string | null)[];

/** Reads the rows of both sides as they are now. Throws `sql-too-long` (exit 6) when it comes to more than 64 MB. */
export async function statementsFor(
  leader: Session,
  node: Session,
  tables: readonly SettleTable[],
  flavour: Flavour,
): Promise<string[]> {
  const statements: string[] = [];
  let characters = 0;
  for (const { table, keys } of tables) {
    if (keys.length === 0) continue;
    const described = await describeTable(leader, node, table, flavour);
    const { plan } = described;
    for (let start = 0; start < keys.length; start += BATCH) {
      const wanted = keys.slice(start, start + BATCH);
      const [ours, theirs] = await Promise.all(
        (
          [
            [leader, described.leader],
            [node, described.node],
          ] as const
        ).map(async ([session, side]) =>
          foldDoubles(await session.query<RowReading>(rowsSql(plan, side, true), rowsParams(plan, wanted))),
        ),
      );
      for (const key of wanted) {
        const more = statementsOf(described, ours?.get(key), theirs?.get(key));
        characters += more.reduce((sum, one) => sum + one.length, 0);
        if (characters > MOST_CHARACTERS) throw tooLong(node.node);
        statements.push(...more);
      }
    }
  }
  return statements;
}

const tooLong = (node: string): RepctlError =>
  new RepctlError(
    'sql-too-long',
    `The statements for ${node} come to more than ${String(MOST_CHARACTERS / 1e6)} MB. Nothing was changed.`,
    {
      exit: EXIT.refused,
      hint: 'Leave --sql out (repair itself does not hold rows in memory), or name fewer tables.',
      details: { node },
    },
  );

const value = (text: string | null | undefined): string => (text == null ? 'null' : literal(text));
const only = ({ node }: ReconcileTable): string =>
  `${node.shape.kind === 'p' ? '' : 'only '}${qualified(node.shape)}`;

function where(plan: TablePlan, values: Values): string {
  const columns = plan.key.length > 0 ? plan.key : plan.columns;
  return columns
    .map(({ name }) => {
      const text = values[plan.columns.findIndex((column) => column.name === name)];
      return text == null ? `${ident(name)} is null` : `${ident(name)}::text = ${literal(text)}`;
    })
    .join(' and ');
}

function insert(table: ReconcileTable, values: Values): string {
  const written = table.plan.columns.flatMap(({ name }, index) =>
    table.node.shape.columns.some((column) => column.name === name && column.generated === '')
      ? [{ name, text: values[index] }]
      : [],
  );
  return (
    `insert into ${qualified(table.node.shape)} (${written.map(({ name }) => ident(name)).join(', ')}) ` +
    `overriding system value values (${written.map(({ text }) => value(text)).join(', ')})`
  );
}

/** Pure. Rows without a key: as many copies as the leader has. */
export function statementsOf(
  table: ReconcileTable,
  leader: RowReading | undefined,
  node: RowReading | undefined,
): string[] {
  const { plan } = table;
  const ours = leader?.values ?? null;
  const theirs = node?.values ?? null;
  if (plan.method === 'multiset') {
    const more = Number(leader?.hash ?? 0) - Number(node?.hash ?? 0);
    if (more > 0 && ours) return Array.from({ length: more }, () => insert(table, ours));
    if (more === 0 || !theirs) return [];
    return [
      `delete from ${only(table)} where ctid in (select ctid from ${only(table)} where ${where(plan, theirs)} limit ${String(-more)})`,
    ];
  }
  if (leader?.hash === node?.hash) return [];
  if (!ours) return theirs ? [`delete from ${only(table)} where ${where(plan, theirs)}`] : [];
  if (!theirs) return [insert(table, ours)];
  const set = plan.columns.flatMap(({ name }, index) =>
    ours[index] === theirs[index] ? [] : [`${ident(name)} = ${value(ours[index])}`],
  );
  if (set.length === 0)
    return [`delete from ${only(table)} where ${where(plan, theirs)}`, insert(table, ours)];
  return [`update ${only(table)} set ${set.join(', ')} where ${where(plan, theirs)}`];
}
