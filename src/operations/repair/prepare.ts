/** Looks before `repair` plans: what differs, and with --sql the statements row by row. */
import { ownSubscription } from '../../cluster/epochs.js';
import type { Fleet } from '../../cluster/fleet.js';
import type { Snapshot } from '../../cluster/model.js';
import { type Participants, participantsOf } from '../../consistency/checking/participants.js';
import { commonFlavour, pinForDigests } from '../../consistency/equal.js';
import {
  type FindRequest,
  type NodeDifferences,
  caughtUp,
  findDifferences,
} from '../../consistency/repair/find.js';
import { statementsFor } from '../../consistency/repair/statements.js';
import { SAMPLES } from './plan.js';
import { lookAhead } from './clear-way.js';
import { isFailing } from './failing.js';
import type { Failing, RepairRequest } from './model.js';

export interface PrepareRequest extends Omit<FindRequest, 'most' | 'samples'> {
  readonly nodes: readonly string[];
  readonly maxRows: number;
  /** Statements for every row. */
  readonly sql: boolean;
}

/** Changes nothing. Throws as `check` does. */
export async function prepareRepair(
  fleet: Fleet,
  snapshot: Snapshot,
  { nodes, maxRows, sql, ...request }: PrepareRequest,
): Promise<Omit<RepairRequest, 'shown'>> {
  for (const node of nodes) fleet.node(node);
  const who = participantsOf(snapshot, nodes);
  const behind = await behindAmong(fleet, who);
  // Of a replica that cannot get on nothing can be proven before it does.
  const stalled = behind.flatMap(({ node, stall }) =>
    stall === undefined || stall.obstacles.length === 0 ? [] : [{ node, stall }],
  );
  const moving = who.replicas.filter(({ name }) => !stalled.some(({ node }) => node === name));
  const { differences: found, unpublished } =
    moving.length === 0
      ? { differences: [], unpublished: [] }
      : await findDifferences(
          fleet,
          { leader: who.leader, replicas: moving },
          { ...request, most: maxRows + 1, samples: SAMPLES },
        );
  const failing = await failingAmong(
    fleet,
    behind.filter(({ node }) => found.some((one) => one.node === node && isUndecided(one))),
  );
  const statements = new Map<string, readonly string[]>();
  for (const node of sql ? new Set(found.map((one) => one.node)) : []) {
    const tables = found
      .filter((one) => one.node === node)
      .map((one) => ({ table: one.table, keys: one.rows.map(({ key }) => key) }));
    const leader = await fleet.fresh(who.leader.name, 'repctl repair');
    const replica = await fleet.fresh(node, 'repctl repair');
    try {
      await Promise.all([leader, replica].map(pinForDigests));
      const flavour = await commonFlavour([leader, replica]);
      statements.set(node, await statementsFor(leader, replica, tables, flavour));
    } finally {
      await Promise.all([leader.close(), replica.close()]);
    }
  }
  return {
    only: request.only,
    maxRows,
    found,
    stalled,
    failing,
    tables: request.tables,
    unpublished,
    unreachable: who.unreachable,
    sql: statements,
  };
}

/** A replica that is behind for longer than this is asked what stands in its way. */
const BEHIND_MS = 1_500;

/** Those, and the transactions that they have to apply next. */
async function behindAmong(fleet: Fleet, { leader, replicas }: Participants): Promise<Failing[]> {
  const looked = await Promise.all(
    replicas.map(async (replica): Promise<Failing | undefined> => {
      const subscription = ownSubscription(replica);
      if (subscription?.enabled !== true || (await caughtUp(fleet, leader, replica, BEHIND_MS)))
        return undefined;
      const { name: node } = replica;
      return { node, stall: await lookAhead({ fleet, leader: leader.name, node }) };
    }),
  );
  return looked.filter((one) => one !== undefined);
}

/** Rows of it were waited for in vain. */
const isUndecided = ({ rows, others }: NodeDifferences): boolean =>
  others.undecided > 0 || rows.some(({ proven }) => !proven);

async function failingAmong(fleet: Fleet, behind: readonly Failing[]): Promise<Failing[]> {
  const fails = await Promise.all(behind.map(({ node }) => isFailing(fleet, node)));
  return behind.filter((_, index) => fails[index]);
}
