/** What a drill finds on the user's own cluster before it begins: by node, and of the cluster. Reads only. */
import { type Analysis, analyse } from '../../cluster/analyse.js';
import type { Fleet } from '../../cluster/fleet.js';
import { type LockHolder, holderSqlFor, toHolder } from '../../cluster/lock-sql.js';
import type { Snapshot } from '../../cluster/model.js';
import { observe } from '../../cluster/observe.js';
import { DRILL_TABLE, LOOK_SQL } from './table.js';

export interface NodeLook {
  readonly node: string;
  /** Whether this role may create a schema. */
  readonly may: boolean;
  /** Whether schema repctl_drill is there. */
  readonly there: boolean;
  readonly comment: string | null;
  /** Whether the drill's table is in it. */
  readonly table: boolean;
  /** How many relations that are no drill's. */
  readonly strange: number;
}

export interface ClusterLook {
  readonly snapshot: Snapshot;
  readonly analysis: Analysis;
  /** Of the nodes that answer. */
  readonly nodes: readonly NodeLook[];
  /** Another drill that is at it. */
  readonly holder: LockHolder | undefined;
}

export async function lookAt(fleet: Fleet): Promise<ClusterLook> {
  const snapshot = await observe(fleet, { pending: true, holders: true });
  const there = snapshot.nodes.filter((node) => node.reachable);
  const nodes = await Promise.all(
    there.map(async ({ name }) => {
      const session = await fleet.session(name);
      const [row] = await session.query<Omit<NodeLook, 'node'>>(LOOK_SQL, [
        DRILL_TABLE.schema,
        DRILL_TABLE.name,
      ]);
      const [held] = await session.query<Parameters<typeof toHolder>[1]>(holderSqlFor('drill'));
      return { look: row && { node: name, ...row }, holder: held && toHolder(name, held) };
    }),
  );
  return {
    snapshot,
    analysis: analyse(snapshot, fleet.config),
    nodes: nodes.flatMap(({ look }) => look ?? []),
    holder: nodes.find(({ holder }) => holder !== undefined)?.holder,
  };
}
