/** Rows from one server to another: COPY to COPY, no value is read here. */
import { pipeline } from 'node:stream/promises';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { RepctlError } from '../../errors.js';
import { abandon } from '../../postgres/copy.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf, translateError } from '../../postgres/sqlstate.js';
import { watched } from '../../postgres/watchdog.js';

/** Opens another connection to the node and closes it: a server that is silent is asked so whether it is there. */
export type Knock = (node: string) => Promise<void>;

const SILENT_MS = 10_000;

/**
 * Number of rows. `source` is a query without parameters, `target` a table with its columns. Both servers' errors,
 * and their going away or silent, come out as RepctlError. The sessions are of no use after an error.
 */
export async function pipeRows(
  from: Session,
  source: string,
  to: Session,
  target: string,
  knock: Knock,
): Promise<number> {
  const out = from.client.query(copyTo(`copy (${source}) to stdout`));
  const into = to.client.query(copyFrom(`copy ${target} from stdin`));
  // pipeline() rejects with the first error; the other end's follows from it.
  const failed: { session?: Session } = {};
  out.on('error', () => (failed.session ??= from));
  into.on('error', () => (failed.session ??= to));
  const silent: { node?: string } = {};
  const ask = async ({ node }: Session) => {
    try {
      await knock(node);
    } catch (error) {
      if (error instanceof RepctlError && error.code === 'node-unreachable') silent.node ??= node;
      throw error;
    }
  };
  try {
    await watched(
      pipeline(out, into),
      SILENT_MS,
      async () => {
        await Promise.all([ask(from), ask(to)]);
      },
      () => {
        abandon(from);
        abandon(to);
      },
    );
    return into.rowCount;
  } catch (error) {
    // What the other one would go on sending nobody reads.
    abandon(from);
    if (error instanceof RepctlError) throw error;
    // Both were abandoned then; which of them noticed first says nothing.
    if (silent.node !== undefined)
      throw translateError(new Error('the server does not answer any more'), {
        node: silent.node,
        phase: 'query',
      });
    const session = failed.session ?? to;
    if (sqlStateOf(error) !== undefined || !from.alive || !to.alive)
      throw translateError(error, { node: session.node, phase: 'query' });
    throw error;
  }
}
