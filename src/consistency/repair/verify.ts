/** Rows that were set right, looked at once more: as `check` judges rows, with the stream going on. */
import type { TableName } from '../../cluster/model.js';
import type { Session } from '../../postgres/session.js';
import { type RowReading, type Side, rowsParams, rowsSql } from '../blocks.js';
import { foldDoubles } from '../compare/rows.js';
import type { Flavour } from '../digest.js';
import { describeTable } from '../reconcile/table.js';
import { sandwich } from '../recheck.js';
import { type Patience, leaderPosition, waitVisible } from '../visible.js';

export interface VerifyRequest {
  readonly leader: Session;
  readonly node: Session;
  readonly tables: readonly { readonly table: TableName; readonly keys: readonly string[] }[];
  readonly flavour: Flavour;
  readonly subscription: number;
  readonly patience: Patience;
}

export interface Verified {
  /** Proven to differ. */
  readonly differing: number;
  readonly undecided: number;
}

const BATCH = 2_000;

export async function verify(request: VerifyRequest): Promise<Verified> {
  const { leader, node } = request;
  let differing = 0;
  let undecided = 0;
  for (const { table, keys } of request.tables) {
    const described = await describeTable(leader, node, table, request.flavour);
    const { plan } = described;
    const read = async (session: Session, side: Side, wanted: readonly string[], values: boolean) =>
      foldDoubles(await session.query<RowReading>(rowsSql(plan, side, values), rowsParams(plan, wanted)));
    for (let start = 0; start < keys.length; start += BATCH) {
      const { rows } = await sandwich(
        keys.slice(start, start + BATCH),
        {
          leader: (wanted, values) => read(leader, described.leader, wanted, values),
          node: (wanted, values) => read(node, described.node, wanted, values),
          caughtUp: async () =>
            waitVisible(node, request.subscription, await leaderPosition(leader), request.patience),
        },
        { counted: plan.method === 'multiset' },
      );
      differing += rows.filter((row) => row.proven).length;
      undecided += rows.filter((row) => !row.proven).length;
    }
  }
  return { differing, undecided };
}
