/** Tables without an integer key: buckets by hash, in one reading. */
import { bucketCount, bucketListSql, bucketPartsSql, type KeyHash, type PartDigest } from '../blocks.js';
import { listDifferences } from './rows.js';
import { inPortions, mergeDigests } from './portions.js';
import { askAll, type Lane, live, noteBlock, type Run, stillOpen } from './run.js';

const BUCKET_BATCH = 200_000;

export async function compareBuckets(run: Run, lane: Lane): Promise<void> {
  const mask = bucketCount(run.leader.shape.estimatedRows, run.collect ? 16 : 64) - 1;
  const keyed = run.plan.method === 'buckets';
  const answer = await askAll(run, lane, live(run), async (session, side) => {
    const digests = new Map<number, PartDigest>();
    await inPortions(run, session, side, async (part) => {
      const rows = await session.query<PartDigest>(bucketPartsSql(run.plan, part), [mask]);
      const count = mergeDigests(digests, rows, keyed);
      if (session === lane.leader) run.onRows?.(count);
      return count;
    });
    return digests;
  });
  const differing = new Map<number, number>();
  const nobody: PartDigest = { part: 0, rows: '0', digest: '0' };
  for (let part = 0; part <= mask; part += 1) {
    const mine = answer.leader.get(part) ?? nobody;
    const theirs = new Map([...answer.nodes].map(([node, digests]) => [node, digests.get(part) ?? nobody]));
    const suspects = noteBlock(run, mine, theirs);
    if (suspects.length === 0) continue;
    const most = [mine, ...theirs.values()].reduce((rows, digest) => Math.max(rows, Number(digest.rows)), 0);
    differing.set(part, most);
  }
  let batch: number[] = [];
  let rows = 0;
  const list = async () => {
    const nodes = stillOpen(run, [...answer.nodes.keys()]);
    const wanted = batch;
    batch = [];
    rows = 0;
    if (nodes.length === 0 || wanted.length === 0) return;
    await listDifferences(run, lane, nodes, async (session, side) => {
      const found: KeyHash[] = [];
      await inPortions(run, session, side, async (part, rowsRead) => {
        const listed = await session.query<KeyHash>(bucketListSql(run.plan, part), [mask, wanted]);
        for (const row of listed) found.push(row);
        return rowsRead;
      });
      return keyed ? found : addCopies(found);
    });
  };
  for (const [part, most] of differing) {
    batch.push(part);
    rows += most;
    if (rows >= BUCKET_BATCH) await list();
  }
  await list();
}

/** Rows without a key are counted where they are listed: a portion lists those that it has. */
function addCopies(rows: readonly KeyHash[]): KeyHash[] {
  const copies = new Map<string, bigint>();
  for (const { key, hash } of rows) copies.set(key, (copies.get(key) ?? 0n) + BigInt(hash));
  return [...copies].map(([key, count]) => ({ key, hash: String(count) }));
}
