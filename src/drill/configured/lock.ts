/** One drill at a time on one cluster: an advisory lock on every node, held by connections as long as they live. */
import type { Fleet } from '../../cluster/fleet.js';
import { holderSqlFor, takeSqlFor, toHolder } from '../../cluster/lock-sql.js';
import { operatorName } from '../../operations/operator.js';
import { drillRunning } from './refusals.js';

/**
 * Node after node in the order of the configuration: of two who begin at once one gets the first node and with it all
 * others. The fleet's sessions hold it: closing them gives it back. Throws `drill-running` (exit 6).
 */
export async function lockCluster(fleet: Fleet): Promise<void> {
  for (const { name } of fleet.config.nodes) {
    const session = await fleet.session(name);
    const [row] = await session.query<{ got: boolean }>(takeSqlFor('drill'), [
      'repctl drill',
      `${String(process.pid)} ${operatorName()}`,
    ]);
    if (row?.got === true) continue;
    const [held] = await session.query<Parameters<typeof toHolder>[1]>(holderSqlFor('drill'));
    throw drillRunning(
      held === undefined
        ? {
            node: name,
            pid: 0,
            operator: 'unknown',
            host: null,
            since: '',
            operation: 'drill',
            clientPid: null,
          }
        : toHolder(name, held),
    );
  }
}
