/** A repctl cluster on test servers, made by the product's own operation. */
import type { Fleet } from '../../src/cluster/fleet.js';
import { planCreate } from '../../src/operations/create.js';
import { runOperation } from '../../src/operations/run.js';
import { nodesWithRows, tablesToPublish } from '../../src/operations/targets.js';
import type { FinishedStep } from '../../src/plan/execute.js';
import { noJournal } from '../../src/plan/journal.js';

/** `cluster create --with-products` on bare servers; the first node leads. */
export async function createCluster(
  fleet: Fleet,
  options: { products?: boolean } = {},
): Promise<FinishedStep[]> {
  const products = options.products ?? true;
  const leader = fleet.config.nodes[0]?.name ?? '';
  const tables = await tablesToPublish(fleet, leader, products);
  const others = fleet.config.nodes.slice(1).map((node) => node.name);
  const prefilled = await nodesWithRows(fleet, others, tables);
  return runOperation((snapshot) => planCreate(snapshot, fleet.config, { tables, products, prefilled }), {
    fleet,
    journal: noJournal,
  });
}
