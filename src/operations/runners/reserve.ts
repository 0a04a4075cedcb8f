/** Writes down the number of a coming epoch on other nodes, before anybody is promoted under it: see next-epoch.ts. */
import { randomUUID } from 'node:crypto';
import type { Fleet } from '../../cluster/fleet.js';
import { within } from '../../cluster/within.js';
import { EXIT, RepctlError, messageOf } from '../../errors.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { reservedTableSql } from '../../replication/metadata.js';
import type { Reservation } from '../actions.js';
import type { RunnerContext } from './context.js';

/**
 * What this node's history has got past is no news any more. A number is never given to a second node; the row stays the
 * first run's, whose promotion may be on its way still when this one takes its own back.
 */
const RESERVE_SQL = `
with past as (delete from repctl.reserved where epoch <= (select max(epoch) from repctl.epoch))
insert into repctl.reserved as there (epoch, node, run) values ($1, $2, $3)
    on conflict (epoch) do update set at = excluded.at where there.node = excluded.node
returning epoch`;

/** How long the others are waited for once enough have it, milliseconds: nobody takes writes meanwhile. */
const OTHERS_MS = 100;

/** A node that froze meanwhile is not waited for. */
const WITHDRAW_MS = 1000;

/** A reservation with the run that made it. */
export interface Reserved extends Reservation {
  readonly run: string;
}

/**
 * Notes it down everywhere at once, and waits until as many as needed have it (with --accept-minority: as many as
 * answer at once). Throws `not-reserved` (exit 6).
 */
export async function reserveEpoch(context: RunnerContext, reservation: Reservation): Promise<void> {
  const { epoch, node, on } = reservation;
  const needed = context.acceptMinority === true ? 0 : reservation.needed;
  const reserved = { ...reservation, run: randomUUID() };
  if (context.handover !== undefined) context.handover.reserved = reserved;
  const failures: string[] = [];
  const taken: string[] = [];
  let told = 0;
  await new Promise<void>((resolve) => {
    const end = () => {
      const late = on.length - told - failures.length;
      if (late === 0 || told + late < needed) resolve();
      else if (told >= needed) setTimeout(resolve, OTHERS_MS);
    };
    for (const name of on)
      void reserveOn(context.fleet, name, reserved)
        .then((noted) => {
          if (!noted) taken.push(name);
          told += 1;
        })
        .catch((error: unknown) => failures.push(messageOf(error)))
        .finally(end);
    end();
  });
  const details = { epoch, node };
  if (taken.length > 0)
    throw new RepctlError(
      'not-reserved',
      `Epoch ${String(epoch)} was promised to another node than ${node} meanwhile (${taken.join(', ')}).`,
      {
        exit: EXIT.refused,
        hint: 'Nobody was promoted. Run the same command again: it takes a higher number.',
        details,
      },
    );
  if (told >= needed) return;
  throw new RepctlError(
    'not-reserved',
    `${String(needed)} nodes must know that ${node} is about to lead epoch ${String(epoch)}, and ${String(told)} could be told: ${failures.join('; ')}`,
    {
      exit: EXIT.refused,
      hint: 'Nobody was promoted. Mend these nodes; or, if you know that nobody else leads, add --accept-minority.',
      details,
    },
  );
}

/** False: that number was promised to another node. */
async function reserveOn(fleet: Fleet, name: string, { epoch, node, run }: Reserved): Promise<boolean> {
  const session = await fleet.session(name);
  const reserve = () => session.query(RESERVE_SQL, [epoch, node, run]);
  let rows: unknown[];
  try {
    rows = await reserve();
  } catch (error) {
    // 42P01 undefined_table: the cluster was created before there were reservations.
    if (sqlStateOf(error) !== '42P01') throw error;
    await session.simple(reservedTableSql);
    rows = await reserve();
  }
  return rows.length > 0;
}

/** Takes back what this run noted down, once it is certain that it promoted nobody. Where it cannot be reached a number is left out. */
export async function withdrawReservation(fleet: Fleet, { epoch, run, on }: Reserved): Promise<void> {
  const withdraw = async (name: string) => {
    const session = await fleet.session(name);
    await session.query('delete from repctl.reserved where epoch = $1 and run = $2', [epoch, run]);
  };
  await Promise.allSettled(on.map((name) => within(WITHDRAW_MS, name, withdraw(name))));
}
