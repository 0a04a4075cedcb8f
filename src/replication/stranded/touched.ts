/** What was changed on the new leader since the fork: keys by table, and what no key can tell. */
import type { RowChange, Values } from './model.js';

/** More keys than this and comparing whole tables is cheaper, and memory stays bounded. */
export const MAX_KEYS = 1_000_000;

export interface Touched {
  /** Whether the row of that key was, or may have been, changed. */
  has(table: Pick<RowChange, 'schema' | 'table'>, key: Values): boolean;
}

export interface KeySet extends Touched {
  add(change: RowChange): void;
  /** Each key once, by table. */
  readonly tables: ReadonlyMap<string, TableKeys>;
  readonly size: number;
  /** Tables that were emptied, or changed without a key. */
  readonly whole: ReadonlySet<string>;
  /** More than MAX_KEYS: no key was kept beyond that. */
  readonly overflow: boolean;
}

export interface TableKeys {
  readonly schema: string;
  readonly table: string;
  readonly keys: ReadonlyMap<string, Values>;
}

const nameOf = ({ schema, table }: Pick<RowChange, 'schema' | 'table'>): string =>
  JSON.stringify([schema, table]);

/**
 * Two texts that a server may hold for the same value become one: trailing zeros of a fraction, trailing blanks,
 * letters of either case. Taking two rows for one here only makes a conflict where there is none.
 */
const alike = (value: string | null): string | null =>
  value === null
    ? null
    : value
        .toLowerCase()
        .trimEnd()
        .replace(/^(-?\d+)(?:\.0*|(\.\d*?[1-9])0*)$/, '$1$2');

const text = (key: Values, form: (value: string | null) => string | null): string =>
  JSON.stringify(
    Object.entries(key)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => [name, form(value)]),
  );

export function keySet(max = MAX_KEYS): KeySet {
  const tables = new Map<string, { schema: string; table: string; keys: Map<string, Values> }>();
  const loose = new Map<string, Set<string>>();
  const whole = new Set<string>();
  const state = { size: 0, overflow: false };
  const put = (change: RowChange, key: Values): void => {
    const name = nameOf(change);
    if (Object.keys(key).length === 0) {
      whole.add(name);
      return;
    }
    if (state.size >= max) {
      state.overflow = true;
      return;
    }
    const table = tables.get(name) ?? { schema: change.schema, table: change.table, keys: new Map() };
    tables.set(name, table);
    const exact = text(key, (value) => value);
    if (table.keys.has(exact)) return;
    table.keys.set(exact, key);
    state.size += 1;
    const texts = loose.get(name) ?? new Set();
    loose.set(name, texts);
    texts.add(text(key, alike));
  };
  return {
    tables,
    whole,
    get size() {
      return state.size;
    },
    get overflow() {
      return state.overflow;
    },
    add(change) {
      put(change, change.key);
      if (change.oldKey) put(change, change.oldKey);
    },
    has(table, key) {
      const name = nameOf(table);
      return state.overflow || whole.has(name) || (loose.get(name)?.has(text(key, alike)) ?? false);
    },
  };
}
