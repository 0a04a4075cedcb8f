import { Flags } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../../cli/change-command.js';
import { planCreate } from '../../operations/create.js';
import { unfit } from '../../operations/fitness.js';
import { PRODUCTS } from '../../products/schema.js';
import { preflight, unlessBlocked } from '../../operations/preflight.js';
import { nodesWithRows, tablesToPublish } from '../../operations/targets.js';

export default class ClusterCreate extends ChangeCommand<typeof ClusterCreate> {
  static override summary = 'Make a cluster out of the configured databases.';
  static override description = `One node leads, the others become its replicas: metadata schema, publication, fences, initial copy,
standby slots. What is there already is left alone, so the same command goes on after an interruption.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --leader n2 --dry-run',
    '<%= config.bin %> <%= command.id %> --with-products --yes',
  ];
  static override flags = {
    leader: Flags.string({ summary: 'First leader; default: the first node.', helpValue: 'NODE' }),
    'with-products': Flags.boolean({ summary: 'Make the products table on every node.' }),
  };

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const fleet = this.fleet(config);
    const { leader, 'with-products': products } = this.flags;
    if (leader !== undefined) fleet.node(leader);
    const first = leader ?? config.nodes[0]?.name ?? '';
    const tables = await tablesToPublish(fleet, first, products);
    const others = config.nodes.map((node) => node.name).filter((name) => name !== first);
    const prefilled = await nodesWithRows(fleet, others, tables);
    const findings = await unfit(fleet, {
      leader: first,
      nodes: [first, ...others],
      tables,
      willMake: products ? PRODUCTS : undefined,
    });
    const inTheWay = await preflight(fleet);
    return this.change({
      fleet,
      planner: (snapshot) =>
        unlessBlocked(
          planCreate(snapshot, config, { leader, tables, products, prefilled, unfit: findings }),
          inTheWay,
        ),
      question: `Create cluster ${config.cluster}?`,
      next: 'repctl status',
    });
  }
}
