/** Whole tables at once: for proving that two of them are equal at one snapshot, as `node add` needs it. */
import type { TableName } from '../cluster/model.js';
import type { Session } from '../postgres/session.js';
import {
  DIGEST_SETTINGS,
  type DigestColumn,
  type Flavour,
  SELF_TEST_HASH,
  SELF_TEST_SQL,
  digestColumns,
  readSettingsSql,
  setSettingsSql,
  tableDigestSql,
} from './digest.js';
import { type TableShape, findShape } from './shape.js';

/** Of all rows; both are the server's text of a number. Equal digests mean equal rows, in whatever order. */
export interface TableDigest {
  readonly rows: string;
  readonly digest: string;
}

export interface TableEquality {
  readonly table: TableName;
  readonly equal: boolean;
  /** Why they are not; null when they are equal. */
  readonly reason: string | null;
  /** null where a table is missing. */
  readonly leader: TableDigest | null;
  readonly node: TableDigest | null;
}

const names = Object.keys(DIGEST_SETTINGS);

/** Pins {@link DIGEST_SETTINGS} for the life of the session. For sessions that do nothing else. */
export async function pinForDigests(session: Session): Promise<void> {
  await session.query(setSettingsSql, [names, Object.values(DIGEST_SETTINGS)]);
}

/** Runs `body` with the settings pinned and puts the old ones back; works inside a transaction too. */
async function withDigestSettings<T>(session: Session, body: () => Promise<T>): Promise<T> {
  const before = await session.query<{ name: string; value: string }>(readSettingsSql, [names]);
  await pinForDigests(session);
  try {
    return await body();
  } finally {
    // In a transaction that failed this fails too, and its end takes the settings back anyway.
    await session
      .query(setSettingsSql, [before.map((row) => row.name), before.map((row) => row.value)])
      .catch(() => undefined);
  }
}

/** The fast flavour where every server hashes as expected, else the slow one for all. */
export async function commonFlavour(sessions: readonly Session[]): Promise<Flavour> {
  return (await hashingOtherwise(sessions)).length === 0 ? 'hash' : 'sha256';
}

/** Nodes whose servers do not hash as expected. */
export async function hashingOtherwise(sessions: readonly Session[]): Promise<string[]> {
  const hashes = await Promise.all(sessions.map((session) => session.query<{ hash: string }>(SELF_TEST_SQL)));
  return sessions.flatMap(({ node }, index) => (hashes[index]?.[0]?.hash === SELF_TEST_HASH ? [] : [node]));
}

async function digestOf(
  session: Session,
  shape: TableShape,
  columns: readonly DigestColumn[],
  options: { flavour: Flavour; keyed: boolean; filter?: string | null },
): Promise<TableDigest> {
  const [row] = await session.query<TableDigest>(tableDigestSql(shape, columns, options));
  return row ?? { rows: '0', digest: '0' };
}

/**
 * Whether both sessions see the same rows in each table: what the leader publishes of it (all columns but
 * generated ones where it is not published yet). Both sides are read at once, tables one after the other.
 */
export async function tablesEqual(
  leader: Session,
  node: Session,
  tables: readonly TableName[],
): Promise<TableEquality[]> {
  return withDigestSettings(leader, () =>
    withDigestSettings(node, async () => {
      const flavour = await commonFlavour([leader, node]);
      const results: TableEquality[] = [];
      for (const table of tables) results.push(await tableEqual(leader, node, table, flavour));
      return results;
    }),
  );
}

async function tableEqual(
  leader: Session,
  node: Session,
  table: TableName,
  flavour: Flavour,
): Promise<TableEquality> {
  const [ours, theirs] = await Promise.all([findShape(leader, table), findShape(node, table)]);
  const no = (reason: string): TableEquality => ({ table, equal: false, reason, leader: null, node: null });
  if (!ours) return no(`${leader.node} has no such table`);
  if (!theirs) return no(`${node.node} has no such table`);
  const columns = digestColumns(ours, [theirs]);
  const missing = columns.filter(({ name }) => !theirs.columns.some((column) => column.name === name));
  if (missing.length > 0)
    return no(`${node.node} lacks column ${missing.map(({ name }) => name).join(', ')}`);
  const keyed = ours.key.length > 0;
  const [left, right] = await Promise.all([
    digestOf(leader, ours, columns, { flavour, keyed, filter: ours.filter }),
    digestOf(node, theirs, columns, { flavour, keyed }),
  ]);
  const equal = left.rows === right.rows && left.digest === right.digest;
  const reason = equal
    ? null
    : left.rows === right.rows
      ? `the same number of rows (${left.rows}), but not the same rows`
      : `${left.rows} rows on ${leader.node}, ${right.rows} on ${node.node}`;
  return { table, equal, reason, leader: left, node: right };
}
