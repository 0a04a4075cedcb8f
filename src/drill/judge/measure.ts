/** A recorded history → figures. Pure: the same lines give the same figures, whenever and wherever. */
import type { History } from '../history.js';
import { judgeBalance } from './balance.js';
import { type Stale, type Violations, judgeGuarantees, staleReads } from './guarantees.js';
import { type NodeLag, judgeLag } from './lag.js';
import { type RowVerdict, judgeRows, leaderOf } from './rows.js';
import { judgeTraffic } from './traffic.js';
import { type Recovery, type Service, judgeService, recoveries } from './service.js';

/** What `repctl status` said when all was over; null where it was not asked. */
export interface End {
  readonly state: string | null;
  readonly epoch: number | null;
}

export interface Measurements {
  /** How long the workload ran, milliseconds. */
  readonly ms: number;
  readonly writes: Service;
  readonly reads: Service;
  /** How many reads each node served. */
  readonly readsByNode: Readonly<Record<string, number>>;
  /** What the least-read replica answered as a share of what the most-read did; null where there are not two. */
  readonly readBalance: number | null;
  readonly readsByLevel: Readonly<Record<string, number>>;
  /** Reads that missed rows acknowledged before they began, by level: what the level allows included. */
  readonly staleByLevel: Stale;
  readonly rto: readonly Recovery[];
  /** null where no leader answered in the end. */
  readonly rpo: RowVerdict['loss'] | null;
  readonly violations: Readonly<
    Record<'doubled' | 'phantoms' | 'totals' | keyof Violations, readonly string[]>
  >;
  readonly lag: Readonly<Record<string, NodeLag>>;
  /** Bytes that each node sent to others while clients were at work; null: not counted. */
  readonly sentBytes: Readonly<Record<string, number>> | null;
  /** Nodes whose rows differ from the leader's in the end. */
  readonly differing: readonly string[];
  readonly end: End & { readonly leader: string | null };
}

const counted = (values: readonly (string | undefined)[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const value of values) if (value !== undefined) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
};

export function measure(history: History, ms: number, end: End): Measurements {
  const rows = judgeRows(history);
  const leader = leaderOf(history.finals);
  const good = history.reads.filter((read) => read.outcome === 'ok');
  return {
    ms: Math.round(ms),
    // Strays stand for clients that nobody could serve rightly: what becomes of their writes is judged, not the service.
    writes: judgeService(
      history.writes.filter((write) => !write.client.startsWith('s')),
      ms,
    ),
    reads: judgeService(history.reads, ms),
    readsByNode: counted(good.map((read) => read.node)),
    readBalance: judgeBalance(history).share,
    readsByLevel: counted(good.map((read) => read.level)),
    staleByLevel: staleReads(history),
    rto: recoveries(history),
    rpo: rows?.loss ?? null,
    violations: {
      doubled: rows?.doubled ?? [],
      phantoms: rows?.phantoms ?? [],
      totals: rows?.totals ?? [],
      ...judgeGuarantees(history),
    },
    lag: judgeLag(history),
    sentBytes: judgeTraffic(history.traffic),
    differing: history.finals
      .filter((final) => final !== leader && final.rows?.digest !== leader?.rows?.digest)
      .map((final) => final.node),
    end: { ...end, leader: leader?.node ?? null },
  };
}
