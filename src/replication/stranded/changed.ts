/** The keys of rows that were changed, as slots tell. */
import { SCHEMA } from '../../cluster/names.js';
import type { TableShape } from '../../consistency/shape.js';
import type { Lsn } from '../../postgres/lsn.js';
import type { Session } from '../../postgres/session.js';
import { type KeyColumns, decodeSlot } from './decode.js';
import { type KeySet, keySet } from './touched.js';

export interface ChangedRequest {
  readonly slot: string;
  readonly keys: KeyColumns;
  /** Decode at least up to here. */
  readonly upTo?: Lsn | undefined;
  /** The epoch by which the former leader's reign ended. */
  readonly successorEpoch: number;
}

export interface Changed {
  readonly keys: KeySet;
  /** The slot reaches back to that epoch's beginning: every change since then is in `keys`. */
  readonly complete: boolean;
}

/**
 * What was changed on the present leader since the fork, from its slot for the former one. The first transaction of
 * an epoch is its promotion, which inserts into repctl.epoch, and it travels in the stream like any other: where the
 * slot shows that row, it shows everything after it. What came through a subscription before that, the former leader
 * sent itself. `session` must be a fresh one.
 */
export async function changedSince(session: Session, request: ChangedRequest): Promise<Changed> {
  const { slot, upTo } = request;
  const keys = keySet();
  let complete = false;
  for await (const { change, origin } of decodeSlot(session, { slot, keys: request.keys, upTo })) {
    const promotion = change.schema === SCHEMA && change.table === 'epoch' && change.op === 'insert';
    complete ||= promotion && change.row?.['epoch'] === String(request.successorEpoch);
    if (complete || origin === null) keys.add(change);
  }
  return { keys, complete };
}

/** The primary keys of these tables, for {@link decodeSlot}. */
export function keyColumnsOf(shapes: readonly TableShape[]): KeyColumns {
  const known = new Map(shapes.map((shape) => [JSON.stringify([shape.schema, shape.name]), shape.key]));
  return (schema, table) => known.get(JSON.stringify([schema, table])) ?? [];
}
