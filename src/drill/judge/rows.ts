/** Acknowledged and gone, twice there, refused and there after all: writes against what is there in the end. Pure. */
import { groupBy } from './group.js';
import { lsnToNumber } from '../../postgres/lsn.js';
import { UNKNOWN_END } from '../../routing/token.js';
import type { FinalLine, History, WriteLine } from '../history.js';

export interface Loss {
  /** Acknowledged writes that are not there in the end: rows, and changes of stock. */
  readonly rows: number;
  /** WAL of the leader that acknowledged them, from the first lost one to the last; null where positions are not known. */
  readonly bytes: number | null;
  /** From the first lost acknowledgement to the last, milliseconds. */
  readonly ms: number;
  /** The first of them, `w1/17`. */
  readonly lost: readonly string[];
  /** Rows that were saved by a rejoin and are there in the end. */
  readonly broughtBack: number;
  /** Of `rows`, those that no file of a rejoin holds either. */
  readonly unsaved: number;
}

export interface RowVerdict {
  readonly loss: Loss;
  /** Each a violation in words. */
  readonly doubled: readonly string[];
  /** A client was told no, and it is there; or nobody ever wrote it. */
  readonly phantoms: readonly string[];
  readonly totals: readonly string[];
}

export const keyOf = (client: string, n: number): string => `${client}/${String(n)}`;

/** Keys of all rows at a node. */
export function presentAt(final: FinalLine): Set<string> {
  const found = new Set<string>();
  for (const [client, ranges] of Object.entries(final.rows?.present ?? {}))
    for (const [from, to] of ranges) for (let n = from; n <= to; n += 1) found.add(keyOf(client, n));
  return found;
}

export const leaderOf = (finals: readonly FinalLine[]): FinalLine | undefined =>
  finals.find((final) => final.leader && final.rows !== null);

const ofKind = (
  writes: readonly WriteLine[],
  op: WriteLine['op'],
  outcome: WriteLine['outcome'],
): WriteLine[] => writes.filter((write) => write.op === op && write.outcome === outcome);

/** undefined while nobody could say what is there in the end. */
export function judgeRows({ start, writes, finals, stranded }: History): RowVerdict | undefined {
  const final = leaderOf(finals);
  if (final?.rows === undefined || final.rows === null) return undefined;
  const present = presentAt(final);
  const inserts = writes.filter((write) => write.op === 'insert');
  const isThere = (write: WriteLine): boolean => present.has(keyOf(write.client, write.n));
  const lost = inserts.filter((write) => write.outcome === 'ok' && !isThere(write));

  const acked = ofKind(writes, 'adjust', 'ok').length;
  const open = ofKind(writes, 'adjust', 'unknown').length;
  const missing = Math.max(0, acked - final.rows.adjusted);
  const over = final.rows.adjusted - acked - open;

  const known = new Set(inserts.map((write) => keyOf(write.client, write.n)));
  const refused = inserts.filter((write) => write.outcome === 'refused' && isThere(write));
  const invented = [...present].filter((key) => !known.has(key));
  const saved = new Set(stranded.flatMap(({ rows }) => rows.map(([client, n]) => keyOf(client, n))));
  // Each file is told of after every rejoin: the last word holds.
  const leftInFiles = stranded.at(-1)?.conflicts ?? 0;
  const atReplicas = finals.flatMap(({ node, rows }) =>
    (rows?.repeated ?? []).map(
      ([client, n, times]) => `row ${keyOf(client, n)} is on ${node} ${String(times)} times`,
    ),
  );
  return {
    loss: {
      rows: lost.length + missing,
      bytes: lost.length === 0 ? 0 : walOf(lost),
      ms: lost.length === 0 ? 0 : spread(lost.map((write) => write.end)),
      lost: lost.slice(0, 20).map((write) => keyOf(write.client, write.n)),
      broughtBack: inserts.filter((write) => saved.has(keyOf(write.client, write.n)) && isThere(write))
        .length,
      unsaved:
        lost.filter((write) => !saved.has(keyOf(write.client, write.n))).length +
        Math.max(0, missing - leftInFiles),
    },
    doubled: [
      ...atReplicas,
      ...(over > 0
        ? [
            `${String(over)} changes of stock more than ${String(acked)} acknowledged and ${String(open)} unknown ones`,
          ]
        : []),
    ],
    phantoms: [
      ...refused.map(
        (write) => `row ${keyOf(write.client, write.n)} is there although its client was refused`,
      ),
      ...invented.map((key) => `row ${key} is there although nobody wrote it`),
    ],
    totals:
      start !== undefined && final.rows.total !== start.total
        ? [`in the end transfers left ${String(final.rows.total)} of ${String(start.total)}`]
        : [],
  };
}

const spread = (values: readonly number[]): number => Math.max(...values) - Math.min(...values);

/** LSNs of one epoch only: positions of different leaders are never compared. */
function walOf(lost: readonly WriteLine[]): number | null {
  const byEpoch = groupBy(lost, (write) => write.epoch);
  let bytes = 0;
  for (const [epoch, writes] of byEpoch) {
    const spans = writes
      .map((write) => write.lsn)
      .filter((lsn) => lsn !== undefined && lsn[1] !== UNKNOWN_END);
    if (epoch === undefined || spans.length < writes.length) return null;
    const edge = (index: 0 | 1): number[] => spans.map((span) => Number(lsnToNumber(span?.[index] ?? '0/0')));
    bytes += Math.max(...edge(1)) - Math.min(...edge(0));
  }
  return bytes;
}
