/**
 * Where the free sequences of a new leader began. What it hands out from there on shows in no row, and a replica's
 * own sequences know nothing of it: so each promotion leaves a row in `repctl.event`, which travels with the data,
 * and the next one starts from the larger of the two.
 */
import { SEQUENCES_KIND } from '../cluster/names.js';
import type { Session } from '../postgres/session.js';
import { literal } from '../postgres/quote.js';
import { tableKey } from './publications.js';
import { type SequenceInfo, type SequenceUse, sequenceTarget } from './sequences.js';

/** Cycling ones have no larger and smaller. */
const isRecorded = ({ columns, cycle }: SequenceInfo): boolean => columns.length === 0 && !cycle;

/** The sequences with where the last promotion that this node knows of let them begin; no round trip without free ones. */
export async function withRecorded(
  session: Session,
  sequences: readonly SequenceUse[],
): Promise<readonly SequenceUse[]> {
  if (!sequences.some(isRecorded)) return sequences;
  const [row] = await session.query<{ began: Readonly<Record<string, unknown>> | null }>(
    `select details -> 'began' as began from repctl.event where kind = $1 order by epoch desc limit 1`,
    [SEQUENCES_KIND],
  );
  return sequences.map((sequence) => {
    const recorded = row?.began?.[tableKey(sequence)];
    return isRecorded(sequence) && typeof recorded === 'string' && /^-?\d+$/u.test(recorded)
      ? { ...sequence, recorded }
      : sequence;
  });
}

export interface SequenceRecord {
  readonly epoch: number;
  readonly node: string;
  readonly operator: string;
  /** What setPastSql() is given with the same gap. */
  readonly sequences: readonly SequenceUse[];
  readonly gap: number;
}

/** The row, instead of that of an earlier epoch; nothing where there is nothing to record. For the promotion's transaction. */
export function recordSequencesSql({ epoch, node, operator, sequences, gap }: SequenceRecord): string[] {
  const began = sequences.filter(isRecorded).flatMap((sequence) => {
    const target = sequenceTarget(sequence, gap);
    if (target.kind === 'set') return [[tableKey(sequence), target.value]];
    return sequence.isCalled ? [[tableKey(sequence), sequence.lastValue]] : [];
  });
  if (began.length === 0) return [];
  const details = JSON.stringify({ began: Object.fromEntries(began) as Record<string, string> });
  return [
    `delete from repctl.event where kind = ${literal(SEQUENCES_KIND)}`,
    `insert into repctl.event (epoch, kind, node, operator, details) values (${String(epoch)}, ${literal(SEQUENCES_KIND)}, ${literal(node)}, ${literal(operator)}, ${literal(details)})`,
  ];
}
