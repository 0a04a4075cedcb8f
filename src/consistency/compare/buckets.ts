/** Tables without an integer key: buckets by hash, in one reading. */
import { bucketCount, bucketListSql, bucketPartsSql, type KeyHash, type PartDigest } from '../blocks.js';
import { listDifferences } from './rows.js';
import { askAll, type Lane, live, noteBlock, type Run, stillOpen } from './run.js';

const BUCKET_BATCH = 200_000;

export async function compareBuckets(run: Run, lane: Lane): Promise<void> {
  const mask = bucketCount(run.leader.shape.estimatedRows, run.collect ? 16 : 64) - 1;
  const answer = await askAll(run, lane, live(run), async (session, side) => {
    const rows = await session.query<PartDigest>(bucketPartsSql(run.plan, side), [mask]);
    return new Map(rows.map((row) => [row.part, row]));
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
    await listDifferences(run, lane, nodes, (session, side) =>
      session.query<KeyHash>(bucketListSql(run.plan, side), [mask, wanted]),
    );
  };
  for (const [part, most] of differing) {
    batch.push(part);
    rows += most;
    if (rows >= BUCKET_BATCH) await list();
  }
  await list();
}
