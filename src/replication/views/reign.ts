/** One epoch in detail, and what each change of leader cost: announced at the time, found at the rejoin. Pure. */
import { epochAfter, epochBefore } from '../../cluster/epochs.js';
import type { Epoch, EventRow } from '../../cluster/model.js';
import { lsnDistance } from '../../postgres/lsn.js';

export interface FoundLoss {
  /** null where the transactions could not be decoded, only the rows that differed be replaced. */
  readonly transactions: number | null;
  readonly rows: number | null;
  readonly bytes: number | null;
  readonly file: string | null;
}

export interface Loss {
  /** The epoch that began with it. */
  readonly epoch: number;
  /** The former leader. */
  readonly node: string;
  /** Bytes of its WAL past the fork point that somebody had heard of when the leader changed: at least so much. */
  readonly announcedBytes: number | null;
  /** Said at the time: commits waited for replicas, so that no acknowledged one could be lost. */
  readonly ruledOut: boolean;
  /** null until it was rejoined. */
  readonly found: FoundLoss | null;
}

export interface StepTime {
  readonly id: string;
  readonly node: string | null;
  readonly ms: number;
  readonly result: Readonly<Record<string, unknown>> | null;
}

export interface OperationTimes {
  readonly kind: string;
  readonly at: string;
  readonly node: string | null;
  readonly operator: string;
  readonly reason: string | null;
  readonly steps: readonly StepTime[];
}

export interface Reign extends Epoch {
  /** When the next epoch began; null: it goes on. */
  readonly endedAt: string | null;
  /** How it began was not finished: no event tells of its end. */
  readonly unfinished: boolean;
  readonly loss: Loss | null;
  /** Newest first. */
  readonly operations: readonly OperationTimes[];
}

const number = (value: unknown): number | null => (typeof value === 'number' ? value : null);
const object = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;

/** Of each change of leader; epochs newest first. */
export function losses(epochs: readonly Epoch[], events: readonly EventRow[]): readonly Loss[] {
  return epochs.flatMap((epoch) => {
    const { previousLeader: node, forkPoint, previousLsn } = epoch;
    if (node === null) return [];
    const announcedBytes =
      forkPoint === null || previousLsn === null ? null : Math.max(0, lsnDistance(forkPoint, previousLsn));
    const ruledOut = isRuledOut(epoch, events);
    return [{ epoch: epoch.epoch, node, announcedBytes, ruledOut, found: foundOf(epoch, epochs, events) }];
  });
}

/** As the promotion recorded it; an interrupted failover's event may lack that step, and then claims nothing. */
const isRuledOut = ({ epoch, operation }: Epoch, events: readonly EventRow[]): boolean =>
  events
    .filter((event) => event.epoch === epoch && event.kind === operation)
    .flatMap(stepsOf)
    .some(({ result }) => result?.['lossRuledOut'] === true);

/** What the former leader had that nobody else got: told by `stranded` when it was saved, by `rejoin` at its end. */
function foundOf(epoch: Epoch, epochs: readonly Epoch[], events: readonly EventRow[]): FoundLoss | null {
  const reign = epochBefore(epochs, epoch.epoch)?.epoch;
  const next = epochs.find((one) => one.previousLeader === epoch.previousLeader && one.epoch > epoch.epoch);
  for (const event of events) {
    if (event.node !== epoch.previousLeader) continue;
    const told = event.kind === 'stranded' ? event.details : object(event.details['stranded']);
    const mine =
      told?.['reign'] === reign ||
      (told !== undefined &&
        told['reign'] === undefined &&
        event.epoch >= epoch.epoch &&
        event.epoch < (next?.epoch ?? Number.POSITIVE_INFINITY));
    if (told === undefined || !mine) continue;
    const file = told['file'];
    return {
      transactions: number(told['transactions']),
      rows: number(told['rows']) ?? number(told['changes']),
      bytes: number(told['bytes']),
      file: typeof file === 'string' ? file : null,
    };
  }
  return null;
}

/** Steps as operations record them in an event's details. */
export function stepsOf(event: EventRow): readonly StepTime[] {
  const steps = event.details['steps'];
  if (!Array.isArray(steps)) return [];
  return steps.flatMap((step: unknown) => {
    const { id, node, ms, result } = object(step) ?? {};
    if (typeof id !== 'string' || typeof ms !== 'number') return [];
    return [{ id, ms, node: typeof node === 'string' ? node : null, result: object(result) ?? null }];
  });
}

const TOLD_AT_THE_END: ReadonlySet<string> = new Set(['switchover', 'failover']);

export function isUnfinished(epoch: Epoch, events: readonly EventRow[]): boolean {
  return (
    TOLD_AT_THE_END.has(epoch.operation) &&
    !events.some((event) => event.epoch === epoch.epoch && event.kind === epoch.operation)
  );
}

/** undefined: there is no such epoch. */
export function reignOf(
  epochs: readonly Epoch[],
  events: readonly EventRow[],
  wanted: number,
): Reign | undefined {
  const epoch = epochs.find((one) => one.epoch === wanted);
  if (epoch === undefined) return undefined;
  const next = epochAfter(epochs, wanted);
  return {
    ...epoch,
    endedAt: next?.startedAt ?? null,
    unfinished: isUnfinished(epoch, events),
    loss: losses(epochs, events).find((loss) => loss.epoch === wanted) ?? null,
    operations: events
      .filter((event) => event.epoch === wanted && !event.kind.endsWith('-begin'))
      .map((event) => {
        const { kind, at, node, operator, reason } = event;
        return { kind, at, node, operator, reason, steps: stepsOf(event) };
      }),
  };
}
