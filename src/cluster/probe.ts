/**
 * The true end-to-end delay: a row in repctl.event, committed on the leader, until a reader sees it on each
 * replica. A row and not a WAL message: a message is not flushed until the WAL writer wakes, and the slot's
 * confirmation waits for the replica's flush, so a message measures a quarter of a second of waiting that no
 * reader has. The row costs 2 to 5 ms and goes the way that every row goes.
 */
import { randomUUID } from 'node:crypto';
import type { Session } from '../postgres/session.js';
import type { Fleet } from './fleet.js';
import { PROBE_KIND } from './names.js';

export interface ProbeRequest {
  readonly leader: string;
  readonly replicas: readonly string[];
  readonly epoch: number;
  readonly samples: number;
  /** How long one probe is waited for. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called after each sample with the number done. */
  readonly onSample?: ((done: number) => void) | undefined;
}

/** A probe that was left by a run that was killed is older than any that could still be waited for. */
const pruneSql = `delete from repctl.event where kind = $1 and (details ->> 'run' = $2 or at < clock_timestamp() - interval '10 minutes')`;

/**
 * Delays in milliseconds by replica, one a sample, from the moment that the leader acknowledged the commit; null
 * where the row did not arrive in time (that replica is not waited for again). Its own rows are deleted at the end.
 */
export async function probe(
  fleet: Fleet,
  request: ProbeRequest,
): Promise<ReadonlyMap<string, readonly (number | null)[]>> {
  const run = randomUUID();
  const leader = await fleet.session(request.leader);
  // Polling must not wait behind another statement of the run.
  const readers = new Map(
    await Promise.all(request.replicas.map(async (name) => [name, await fleet.fresh(name)] as const)),
  );
  const delays = new Map<string, (number | null)[]>(request.replicas.map((name) => [name, []]));
  try {
    for (let done = 0; done < request.samples && request.signal?.aborted !== true; done += 1) {
      const waiting = request.replicas.filter((name) => !delays.get(name)?.includes(null));
      if (waiting.length === 0) break;
      const id = randomUUID();
      const written = { at: Number.POSITIVE_INFINITY };
      const seen = waiting.map(async (name) => {
        const reader = readers.get(name);
        const at = reader && (await awaitRow(reader, id, request));
        return [name, at] as const;
      });
      // Whatever happens to the insert, nobody is left waiting unheard.
      const settled = Promise.allSettled(seen);
      await leader.query(
        `insert into repctl.event (id, epoch, kind, operator, details)
         values ($1, $2, '${PROBE_KIND}', current_user, jsonb_build_object('run', $3::text))`,
        [id, request.epoch, run],
      );
      written.at = performance.now();
      await settled;
      for (const [name, at] of await Promise.all(seen))
        delays.get(name)?.push(at === null || at === undefined ? null : Math.max(0, at - written.at));
      request.onSample?.(done + 1);
    }
  } finally {
    await leader.query(pruneSql, [PROBE_KIND, run]).catch(() => undefined);
    await Promise.allSettled([...readers.values()].map((reader) => reader.close()));
  }
  return delays;
}

/** performance.now() when the row was seen; null when it was not in time. */
async function awaitRow(reader: Session, id: string, request: ProbeRequest): Promise<number | null> {
  const deadline = performance.now() + request.timeoutMs;
  while (performance.now() < deadline && request.signal?.aborted !== true) {
    const rows = await reader.query('select from repctl.event where id = $1', [id]);
    if (rows.length > 0) return performance.now();
  }
  return null;
}
