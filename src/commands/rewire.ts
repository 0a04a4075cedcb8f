import { Args, Flags } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import type { Fleet } from '../cluster/fleet.js';
import { observe } from '../cluster/observe.js';
import { tablesWithRows, unfit } from '../operations/fitness.js';
import { type RewireRequest, planRewire } from '../operations/rewire.js';
import type { Planner } from '../operations/run.js';

export default class Rewire extends ChangeCommand<typeof Rewire> {
  static override summary = 'Attach a node to the present leader by the cheapest safe method.';
  static override description = `mapped: no row is copied; the node goes on with precisely the next transaction.
reconcile: where that is not possible, also for a database that was never in the cluster: every row is compared by
digest while the leader takes writes, and those that differ are written. What they were is kept in a file. Rows of a
database that was never in the cluster are replaced only with --overwrite.
recopy: only with --recopy; the node is emptied and every row is copied again.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> n3',
    '<%= config.bin %> <%= command.id %> n3 --reconcile --dry-run',
    '<%= config.bin %> <%= command.id %> n5 --overwrite',
    '<%= config.bin %> <%= command.id %> n1 --recopy --accept-data-loss',
  ];
  static override args = { node: Args.string({ description: 'The node to attach.', required: true }) };
  static override flags = {
    recopy: Flags.boolean({ summary: 'Empty the node and copy every row again.' }),
    reconcile: Flags.boolean({
      summary: 'Compare every row, even where the stream alone would do.',
      exclusive: ['recopy'],
    }),
    'accept-data-loss': Flags.boolean({ summary: 'Throw away what a former leader has and nobody else.' }),
    overwrite: Flags.boolean({
      summary: 'Replace rows of a database that was never in the cluster.',
    }),
  };

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const { node } = this.args;
    const { recopy, reconcile, overwrite, 'accept-data-loss': acceptDataLoss } = this.flags;
    const fleet = this.fleet(config);
    const request = { node, recopy, reconcile, overwrite, acceptDataLoss };
    const found = await this.lookAtTables(fleet, (snapshot) => planRewire(snapshot, config, request));
    return this.change({
      fleet,
      planner: (snapshot) => planRewire(snapshot, config, { ...request, ...found }),
      question: recopy ? `Empty ${node} and copy it again?` : `Attach ${node} now?`,
      next: 'repctl status',
    });
  }

  /** Tables are looked at only where rows will be written: a plan that maps must not wait for it. */
  private async lookAtTables(
    fleet: Fleet,
    planner: Planner,
  ): Promise<Pick<RewireRequest, 'unfit' | 'holding'>> {
    const first = planner(await observe(fleet));
    if (first.kind === 'refused') return {};
    const actions = first.plan.steps.map((step) => step.action);
    const writing = actions.find((action) => action.kind === 'reconcile' || action.kind === 'recopy');
    if (writing === undefined) return {};
    const { leader, node, tables } = writing;
    // A database that is given its name only now was never in the cluster.
    const foreign = actions.some((action) => action.kind === 'prepare');
    return {
      unfit: await unfit(fleet, { leader, nodes: [leader, node], tables }),
      holding: foreign ? await tablesWithRows(fleet, node, tables) : [],
    };
  }
}
