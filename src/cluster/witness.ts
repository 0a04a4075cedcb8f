/**
 * A leader that does not answer here may answer elsewhere: each replica that holds a connection to it is asked to
 * log in there itself. CREATE SUBSCRIPTION connects (and does nothing else with create_slot=false), in a transaction
 * that is rolled back.
 */
import { conninfoOf } from '../config/connection.js';
import { replicationUrl } from '../config/schema.js';
import { messageOf } from '../errors.js';
import { ident, literal } from '../postgres/quote.js';
import type { Session } from '../postgres/session.js';
import { sqlStateOf } from '../postgres/sqlstate.js';
import { currentEpoch, nodeNamed, reachableNodes } from './epochs.js';
import type { Fleet } from './fleet.js';
import type { Snapshot } from './model.js';
import { PUBLICATION, subscriptionName } from './names.js';

/** Longer silence is no answer: milliseconds. */
const ANSWER_MS = 1500;
const PROBE = 'repctl_witness';

/** The snapshot with `silentTo` of the leader filled in; unchanged where it answers or nobody is connected to it. */
export async function askWitnesses(fleet: Fleet, snapshot: Snapshot): Promise<Snapshot> {
  const epoch = currentEpoch(snapshot);
  const leader = epoch && nodeNamed(snapshot, epoch.leader);
  if (epoch === undefined || leader === undefined || leader.reachable) return snapshot;
  const witnesses = reachableNodes(snapshot).filter((node) =>
    node.subscriptions.some(
      (one) => one.name === subscriptionName(node.name, epoch.epoch) && one.workerPid !== null,
    ),
  );
  const silent = await Promise.all(
    witnesses.map(async ({ name }) => ((await isSilent(fleet, name, leader.name)) ? [name] : [])),
  );
  const heard = { ...leader, silentTo: silent.flat() };
  return { ...snapshot, nodes: snapshot.nodes.map((node) => (node === leader ? heard : node)) };
}

/** Whether `leader` gives `witness` no answer; false also when the witness could not try, which proves nothing. */
async function isSilent(fleet: Fleet, witness: string, leader: string): Promise<boolean> {
  const url = replicationUrl(fleet.node(leader), witness);
  const connection = conninfoOf(url, { application_name: PROBE });
  // A session of its own: the refusal of the leader (08006) must not look like the end of a shared one.
  let session: Session | undefined;
  try {
    session = await fleet.fresh(witness);
    await session.simple(`begin; set local statement_timeout = ${String(ANSWER_MS)}`);
    await session.simple(
      `create subscription ${ident(PROBE)} connection ${literal(connection)} publication ${ident(PUBLICATION)} with (create_slot = false, copy_data = false, enabled = false)`,
    );
    return false;
  } catch (error) {
    const state = sqlStateOf(error);
    // Nobody answered in time, or nobody is there; FATAL is what a living server says to somebody it does not let in.
    return state === '57014' || (state === '08006' && !messageOf(error).includes('FATAL:'));
  } finally {
    await session?.close();
  }
}
