/**
 * The number of a coming epoch, written down on the other nodes before anybody is promoted under it. A leader that
 * dies before the first replica has heard of it takes the knowledge of its epoch with it; whoever is promoted next
 * finds the number taken, since any two majorities share a node, and takes another one (nextEpoch). So two nodes never
 * lead the same epoch.
 */
import type { Fleet } from '../../cluster/fleet.js';
import { EXIT, RepctlError, messageOf } from '../../errors.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { reservedTableSql } from '../../replication/metadata.js';
import type { Reservation } from '../actions.js';
import type { RunnerContext } from './context.js';

/** What this node's history has got past is no news any more. */
const RESERVE_SQL = `
with past as (delete from repctl.reserved where epoch <= (select max(epoch) from repctl.epoch))
insert into repctl.reserved (epoch, node) values ($1, $2)
    on conflict (epoch) do update set node = excluded.node, at = excluded.at`;

/** Notes it down everywhere at once. Throws `not-reserved` (exit 6) where fewer nodes than needed have it. */
export async function reserveEpoch(context: RunnerContext, reservation: Reservation): Promise<void> {
  const { epoch, node, on, needed } = reservation;
  if (context.handover !== undefined) context.handover.reserved = reservation;
  const outcomes = await Promise.allSettled(on.map((name) => reserveOn(context.fleet, name, epoch, node)));
  const failures = outcomes.flatMap((one) => (one.status === 'rejected' ? [messageOf(one.reason)] : []));
  if (on.length - failures.length >= needed) return;
  throw new RepctlError(
    'not-reserved',
    `Only ${String(on.length - failures.length)} of the ${String(needed)} other nodes that must know of epoch ${String(epoch)} before ${node} leads it could be told: ${failures.join('; ')}`,
    { exit: EXIT.refused, hint: 'repctl status; then the same command again', details: { epoch, node } },
  );
}

async function reserveOn(fleet: Fleet, name: string, epoch: number, node: string): Promise<void> {
  const session = await fleet.session(name);
  try {
    await session.query(RESERVE_SQL, [epoch, node]);
  } catch (error) {
    // 42P01 undefined_table: the cluster was created before there were reservations.
    if (sqlStateOf(error) !== '42P01') throw error;
    await session.simple(reservedTableSql);
    await session.query(RESERVE_SQL, [epoch, node]);
  }
}

/** Takes it back, once it is certain that nobody was promoted. What cannot be reached keeps it: a number left out. */
export async function withdrawReservation(fleet: Fleet, { epoch, node, on }: Reservation): Promise<void> {
  await Promise.allSettled(
    on.map(async (name) => {
      const session = await fleet.session(name);
      await session.query('delete from repctl.reserved where epoch = $1 and node = $2', [epoch, node]);
    }),
  );
}
