/**
 * What clients did, as they know it: every transaction with its changes and its outcome. The rows that must be there
 * follow from it: each transaction inserts one row into `journal`, so that whether it happened is read from the
 * database, and what it did is replayed here.
 */

/** Keys of a writer's own rows; two writers never share one. */
export type Change =
  | { readonly kind: 'insert'; readonly key: number; readonly size: number }
  | { readonly kind: 'update'; readonly key: number }
  /** Every small row of the writer. */
  | { readonly kind: 'touch' }
  | { readonly kind: 'move'; readonly key: number; readonly to: number }
  | { readonly kind: 'delete'; readonly key: number }
  /** `count` rows of `size` bytes from key `from` on. */
  | { readonly kind: 'bulk'; readonly from: number; readonly count: number; readonly size: number }
  | { readonly kind: 'clear'; readonly from: number; readonly count: number };

export interface Transaction {
  readonly writer: number;
  readonly seq: number;
  readonly changes: readonly Change[];
  /** `unknown`: the connection was lost before the answer came. `refused`: the server said no. */
  outcome: 'unknown' | 'acknowledged' | 'refused';
  /** When it was answered, Date.now(). */
  at?: number;
  /** What the acknowledged transaction saw of itself. */
  node?: string;
  epoch?: number;
  leader?: string;
  /** Whether its commit waited for replicas, as far as its session knew. */
  waits?: boolean;
  /** Positions in the node's WAL before the commit record and at or after its end. */
  before?: string;
  after?: string;
  /** What sequences handed out, by their names. */
  handedOut?: Readonly<Record<string, string>>;
}

export interface Ledger {
  readonly transactions: Transaction[];
  /** A new writer's number; each has one connection's worth of transactions, in order, of which the last may be unknown. */
  newWriter(): number;
}

export function newLedger(): Ledger {
  let writers = 0;
  return { transactions: [], newWriter: () => (writers += 1) };
}

const KEYS = 10_000_000;
export const firstKey = (writer: number): number => writer * KEYS;

const ROW = `repeat(md5(k::text), s / 32)`;

/** The statement of a change. */
export function changeSql(change: Change, writer: number): string {
  const owner = String(writer);
  switch (change.kind) {
    case 'insert':
      return bulkSql(change.key, 1, change.size, owner);
    case 'bulk':
      return bulkSql(change.from, change.count, change.size, owner);
    case 'update':
      return `update items set version = version + 1 where key = ${String(change.key)}`;
    case 'touch':
      return `update items set version = version + 1 where owner = ${owner} and size < 1000`;
    case 'move':
      return `update items set key = ${String(change.to)} where key = ${String(change.key)}`;
    case 'delete':
      return `delete from items where key = ${String(change.key)}`;
    case 'clear':
      return `delete from items where key between ${String(change.from)} and ${String(change.from + change.count - 1)}`;
  }
}

const bulkSql = (from: number, count: number, size: number, owner: string): string =>
  `insert into items select k, ${owner}, 1, k, s, ${ROW} from generate_series(${String(from)}, ${String(from + count - 1)}) k, (values (${String(size)})) v(s)`;

export interface Item {
  readonly key: number;
  readonly owner: number;
  readonly version: number;
  readonly born: number;
  readonly size: number;
}

/** The rows of `items` after those transactions, in that order. */
export function replay(transactions: readonly Transaction[]): Map<number, Item> {
  const rows = new Map<number, Item>();
  const raise = (row: Item): void => void rows.set(row.key, { ...row, version: row.version + 1 });
  for (const { writer, changes } of transactions)
    for (const change of changes)
      switch (change.kind) {
        case 'insert':
          rows.set(change.key, newItem(change.key, writer, change.size));
          break;
        case 'bulk':
          for (let key = change.from; key < change.from + change.count; key += 1)
            rows.set(key, newItem(key, writer, change.size));
          break;
        case 'update': {
          const row = rows.get(change.key);
          if (row) raise(row);
          break;
        }
        case 'touch':
          for (const row of rows.values()) if (row.owner === writer && row.size < 1000) raise(row);
          break;
        case 'move': {
          const row = rows.get(change.key);
          if (row) {
            rows.delete(change.key);
            rows.set(change.to, { ...row, key: change.to });
          }
          break;
        }
        case 'delete':
          rows.delete(change.key);
          break;
        case 'clear':
          for (let key = change.from; key < change.from + change.count; key += 1) rows.delete(key);
          break;
      }
  return rows;
}

const newItem = (key: number, owner: number, size: number): Item => ({
  key,
  owner,
  version: 1,
  born: key,
  size,
});
