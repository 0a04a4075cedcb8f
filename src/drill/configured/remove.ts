/** Takes away what a drill made on the user's own cluster, its own or that of one that was killed. */
import type { Fleet } from '../../cluster/fleet.js';
import type { Children } from '../children.js';
import { succeeded } from '../ground.js';
import { DRILL_TABLE, removeSql } from './table.js';

/**
 * No longer replicated first, where it may be; then the table and its schema on every node. Throws `drill-failed` and
 * what servers answer.
 */
export async function removeTable(
  fleet: Fleet,
  children: Pick<Children, 'repctl'>,
  replicated: boolean,
): Promise<void> {
  const table = `${DRILL_TABLE.schema}.${DRILL_TABLE.name}`;
  if (replicated)
    succeeded(await children.repctl(['publication', 'drop', table, '--yes']), `publication drop ${table}`);
  for (const { name } of fleet.config.nodes) {
    const session = await fleet.session(name);
    await session.transaction(async () => {
      for (const statement of removeSql) await session.simple(statement);
    });
  }
}
