/** The leader that a failover left behind, should it answer after all. */
import type { TableName } from '../../cluster/model.js';
import { setFence } from '../../replication/fencing.js';
import type { RunnerContext } from './context.js';

/** A refused connection takes 1 ms; one that nobody answers must not hold the siblings up. */
const WAIT_MS = 100;
const FENCE_MS = 2000;

export type FormerLeader = 'fenced' | 'silent';

/**
 * Best effort: a former leader that answers by now takes no more writes of clients. Waited for only briefly; while
 * the rest of the failover runs it goes on trying. Never throws: it is not what the failover is about, and `status`
 * is critical as long as an unfenced leader of an earlier epoch answers.
 */
export async function fenceFormer(
  context: RunnerContext,
  leader: string,
  tables: readonly TableName[],
): Promise<FormerLeader> {
  const fencing = context.fleet
    .session(leader)
    .then((session) =>
      setFence(session, {
        ...{ tables, wanted: 'enabled', timeoutMs: FENCE_MS },
        endUnconfirmed: () => context.fleet.fresh(leader),
      }),
    )
    .then(
      () => 'fenced' as const,
      () => 'silent' as const,
    );
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<FormerLeader>((resolve) => {
    timer = setTimeout(resolve, WAIT_MS, 'silent');
  });
  return Promise.race([fencing, late]).finally(() => {
    clearTimeout(timer);
  });
}
