/** Decoded changes as lines of a stranded file: numbered, with unchanged values fetched and the leader's row noted. */
import { SCHEMA } from '../../cluster/names.js';
import type { TableShape } from '../../consistency/shape.js';
import type { Session } from '../../postgres/session.js';
import type { DecodedChange } from './decode.js';
import type { RowChange, StrandedLine, Values } from './model.js';
import { keyText, rowDigest, rowsOf } from './rows.js';
import type { Touched } from './touched.js';

export interface LineSources {
  /** The former leader, fenced: rows as they stand at the end of everything that is stranded. */
  readonly node: Session;
  /** The new leader at a snapshot. */
  readonly leader: Session;
  /**
   * What was changed there up to a position at or past that snapshot. Asked for at the first line: finding out means
   * decoding all that the leader wrote since the fork, which is for nothing where nothing is stranded.
   */
  readonly touched: () => Promise<Touched>;
  /** The definition of a table; undefined when the leader has none of that name. */
  readonly shape: (schema: string, table: string) => TableShape | undefined;
}

/** repctl's own records are no data of anybody's; repctl.request is: it tells that a product write happened. */
export const isBookkeeping = ({ schema, table }: Pick<RowChange, 'schema' | 'table'>): boolean =>
  schema === SCHEMA && table !== 'request';

const BATCH = 400;
const BATCH_BYTES = 4_000_000;

/** Lines in the order of `changes`; memory holds one batch, and one short text for each key. */
export async function* strandedLines(
  changes: AsyncIterable<DecodedChange>,
  sources: LineSources,
): AsyncGenerator<StrandedLine> {
  const seen = new Set<string>();
  let batch: StrandedLine[] = [];
  let bytes = 0;
  let transaction = 0;
  let change = 0;
  let lsn: string | undefined;
  for await (const decoded of changes) {
    if (isBookkeeping(decoded.change)) continue;
    if (decoded.transaction.lsn !== lsn) {
      lsn = decoded.transaction.lsn;
      transaction += 1;
      change = 0;
    }
    change += 1;
    batch.push({ transaction, change, ...decoded.transaction, ...decoded.change });
    bytes += weight(decoded.change);
    if (batch.length >= BATCH || bytes > BATCH_BYTES) {
      yield* await complete(batch, sources, seen);
      batch = [];
      bytes = 0;
    }
  }
  yield* await complete(batch, sources, seen);
}

const weight = ({ row = {}, old = {} }: RowChange): number =>
  [...Object.values(row), ...Object.values(old)].reduce((sum, value) => sum + (value?.length ?? 0), 0);

async function complete(
  batch: readonly StrandedLine[],
  sources: LineSources,
  seen: Set<string>,
): Promise<readonly StrandedLine[]> {
  if (batch.length === 0) return [];
  const bases = await basesOf(batch, sources, seen);
  const fetched = await fetchedOf(batch, sources);
  return batch.map((line, index) => {
    const { unchanged, ...rest } = line;
    const base = bases.get(index);
    return {
      ...rest,
      ...(unchanged === undefined ? {} : filled(line, unchanged, fetched.get(index))),
      ...(base === undefined ? {} : { base }),
    };
  });
}

function filled(
  line: StrandedLine,
  unchanged: readonly string[],
  now: Values | undefined,
): Pick<StrandedLine, 'row' | 'fetched' | 'missing'> {
  if (now === undefined) return { ...(line.row ? { row: line.row } : {}), missing: unchanged };
  const values = Object.fromEntries(unchanged.map((name) => [name, now[name] ?? null]));
  return { row: { ...line.row, ...values }, fetched: unchanged };
}

/** The node's present rows for changes that left out a value stored out of line. */
async function fetchedOf(
  batch: readonly StrandedLine[],
  { node, shape }: LineSources,
): Promise<Map<number, Values | undefined>> {
  const wanted = [...batch.entries()].filter(
    ([, line]) => line.unchanged !== undefined && Object.keys(line.key).length > 0,
  );
  return lookUp(wanted, (line) => line.key, node, shape);
}

/** What the leader has of each row that is met for the first time, unless it was changed there since the fork. */
async function basesOf(
  batch: readonly StrandedLine[],
  sources: LineSources,
  seen: Set<string>,
): Promise<Map<number, string>> {
  const touched = await sources.touched();
  const first: [number, StrandedLine][] = [];
  for (const [index, line] of batch.entries()) {
    if (line.op === 'truncate' || Object.keys(line.key).length === 0) continue;
    const keys = line.oldKey === undefined ? [line.key] : [line.oldKey, line.key];
    const news = keys.map((key) => JSON.stringify([line.schema, line.table, keyText(key)]));
    const met = news[0] !== undefined && seen.has(news[0]);
    for (const text of news) seen.add(text);
    if (!met && !touched.has(line, keys[0] ?? {})) first.push([index, line]);
  }
  const rows = await lookUp(first, (line) => line.oldKey ?? line.key, sources.leader, sources.shape);
  return new Map([...rows].map(([index, row]) => [index, rowDigest(row)]));
}

/** Rows of lines of several tables, one question for each table. */
async function lookUp(
  lines: readonly (readonly [number, StrandedLine])[],
  keyOf: (line: StrandedLine) => Values,
  session: Session,
  shape: LineSources['shape'],
): Promise<Map<number, Values | undefined>> {
  const result = new Map<number, Values | undefined>();
  const groups = new Map<string, (readonly [number, StrandedLine])[]>();
  for (const entry of lines) {
    const { schema, table, ...line } = entry[1];
    // An identity of other columns (it was changed in between) is another question.
    const name = JSON.stringify([schema, table, Object.keys(keyOf({ schema, table, ...line }))]);
    const group = groups.get(name) ?? [];
    groups.set(name, group);
    group.push(entry);
  }
  for (const group of groups.values()) {
    const table = group[0]?.[1];
    const definition = table && shape(table.schema, table.table);
    if (definition === undefined) continue;
    const rows = await rowsOf(
      session,
      definition,
      group.map(([, line]) => keyOf(line)),
    );
    for (const [index, [place]] of group.entries()) result.set(place, rows[index]);
  }
  return result;
}
