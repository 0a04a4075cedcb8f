/**
 * What a failover may lose, as far as anybody knows. Pure.
 *
 * A leader that dies under load nearly always has acknowledged something that it had not sent yet, and how much only
 * its own disk tells: refusing for that would refuse every failover, and nobody could judge it better for being
 * asked. So it is said, recorded in the epoch, and `rejoin` saves what was stranded. What is *refused* without
 * --accept-data-loss is loss that is known, because somebody saw it:
 *  - published transactions that a repctl command counted as applied nowhere (WAL alone is no proof: checkpoints,
 *    vacuum and unpublished tables write it too), and which did not arrive until the end;
 *  - transactions that a replica received and could not apply in time (the drain finds those: runners/drain.ts).
 * There the operator can do something about it: wait, end the session that blocks, or start the leader again.
 */
import type { Epoch, Finding } from '../cluster/model.js';
import type { SeenLeader, Unapplied } from '../cluster/last-seen.js';
import { type LossGuarantee, lossGuarantee, syncText } from '../cluster/sync.js';
import { bytes } from '../cluster/words.js';
import { type Lsn, compareLsn, lsnDistance, maxLsn } from '../postgres/lsn.js';
import { type Facts, subscriptionOf } from './facts.js';

/** What may be lost, as exactly as anybody can know while the leader is gone. */
export interface Risk {
  readonly leader: string;
  /** What the new leader has of the former one's WAL. */
  readonly forkPoint: Lsn;
  /** The furthest position of the former leader that a replica received or a repctl command saw. */
  readonly lastKnownLsn: Lsn;
  /** When a command saw it, RFC 3339; null when none did in this epoch. */
  readonly seenAt: string | null;
  /** How long ago that was, milliseconds; what the leader did since then nobody knows. */
  readonly seenMsAgo: number | null;
  /** WAL between the two; not all of it need be writes, and more may have come after it. */
  readonly knownBytes: number;
  /** At most so many published transactions up to `lastKnownLsn` are missing; 0 none that anybody knows of. */
  readonly knownTransactions: number;
  /** Commit time of the first of them, RFC 3339. */
  readonly knownSince: string | null;
  /** What commits waited for, and whether that makes the loss of an acknowledged one impossible. */
  readonly sync: Pick<LossGuarantee, 'mode' | 'k' | 'impossible' | 'why'>;
}

export interface RiskQuestion {
  readonly epoch: Epoch;
  readonly forkPoint: Lsn;
  /** The nodes whose positions are known: the most advanced of them takes over. */
  readonly present: readonly string[];
  readonly seen: SeenLeader | undefined;
}

export function riskOf(facts: Facts, { epoch, forkPoint, present, seen }: RiskQuestion): Risk {
  const note = noteOf(epoch, seen);
  const lastKnownLsn = positions(facts, epoch)
    .concat(note?.lsn ?? [])
    .reduce<Lsn>((best, lsn) => maxLsn(best, lsn), forkPoint);
  const missing = missingOf(note, forkPoint);
  const { mode, k, impossible, why } = lossGuarantee(facts.snapshot, present);
  return {
    leader: epoch.leader,
    forkPoint,
    lastKnownLsn,
    seenAt: note?.at ?? null,
    seenMsAgo:
      note === undefined ? null : Math.max(0, Date.parse(facts.snapshot.takenAt) - Date.parse(note.at)),
    knownBytes: lsnDistance(forkPoint, lastKnownLsn),
    knownTransactions: missing?.transactions ?? 0,
    knownSince: missing?.since ?? null,
    sync: { mode, k, impossible, why },
  };
}

/** Every position of the leader that a replica tells of now. */
const positions = (facts: Facts, epoch: Epoch): Lsn[] =>
  facts.reachable
    .map((node) => subscriptionOf(node, epoch.epoch))
    .flatMap((one) => [one?.receivedLsn, one?.latestEndLsn, one?.appliedLsn])
    .filter((lsn) => lsn != null);

/** The note, if it is about this very reign. */
const noteOf = (epoch: Epoch, seen: SeenLeader | undefined): SeenLeader | undefined =>
  seen?.epoch === epoch.epoch && seen.leader === epoch.leader ? seen : undefined;

/** A commit record begins before its end, which is the position of whoever applied it. */
const missingOf = (note: SeenLeader | undefined, reached: Lsn): Unapplied | undefined =>
  note?.unapplied !== undefined && compareLsn(reached, note.unapplied.upTo) <= 0 ? note.unapplied : undefined;

/** The refusal for loss that is known; undefined while what was received may still bring those transactions. */
export function knownLoss(facts: Facts, question: RiskQuestion): Finding | undefined {
  const { epoch, forkPoint, seen } = question;
  const note = noteOf(epoch, seen);
  const reached = positions(facts, epoch).reduce<Lsn>((best, lsn) => maxLsn(best, lsn), forkPoint);
  const missing = missingOf(note, reached);
  if (note === undefined || missing === undefined) return undefined;
  return {
    code: 'data-loss',
    severity: 'error',
    node: epoch.leader,
    message: `Up to ${transactions(missing)} that ${epoch.leader} committed since ${missing.since} would be lost: no replica had them when it was last seen (${note.at}), and none has them now.`,
    fix: `Start ${epoch.leader} again if that is possible; to lose them: repctl failover --accept-data-loss`,
  };
}

const transactions = ({ transactions: count }: Pick<Unapplied, 'transactions'>): string =>
  `${String(count)} ${count === 1 ? 'transaction' : 'transactions'}`;

export function riskNote(risk: Risk): string {
  const { leader, forkPoint, lastKnownLsn, seenAt, seenMsAgo, knownBytes, sync } = risk;
  if (sync.impossible)
    return `at risk: nothing that ${leader} acknowledged: commits waited for ${syncText(sync)}, and enough of those replicas answer (not counting sessions that set synchronous_commit themselves)`;
  const what = `at risk: writes that ${leader} acknowledged after ${forkPoint} and had not sent yet; how many only ${leader} knows`;
  const seen =
    seenAt === null || seenMsAgo === null
      ? 'no command of this machine saw it in this epoch'
      : `last seen ${(seenMsAgo / 1000).toFixed(1)} s ago, ${seenAt.slice(0, 19)}Z`;
  const beyond =
    knownBytes === 0 ? '' : `; its WAL is known to reach ${lastKnownLsn}, ${bytes(knownBytes)} further`;
  const why = sync.mode === 'async' ? '' : `; ${syncText(sync)} does not rule it out: ${sync.why ?? ''}`;
  return `${what} (${seen}${beyond}${why})`;
}

/** One more note for what is known to be lost. */
export const lossNotes = ({ leader, knownTransactions, knownSince, sync }: Risk): string[] =>
  knownTransactions === 0 || sync.impossible
    ? []
    : [
        `known to be missing: up to ${transactions({ transactions: knownTransactions })} that ${leader} committed since ${knownSince ?? ''}, applied by no replica when it was last seen`,
      ];
