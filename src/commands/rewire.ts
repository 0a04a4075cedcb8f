import { Args, Flags } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import { planRewire } from '../operations/rewire.js';

export default class Rewire extends ChangeCommand<typeof Rewire> {
  static override summary = 'Attach a node to the present leader by the cheapest safe method.';
  static override description = `mapped: no row is copied; the node goes on with precisely the next transaction.
recopy: only with --recopy; the node is emptied and every row is copied again.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> n3',
    '<%= config.bin %> <%= command.id %> n1 --recopy --accept-data-loss',
  ];
  static override args = { node: Args.string({ description: 'The node to attach.', required: true }) };
  static override flags = {
    recopy: Flags.boolean({ summary: 'Empty the node and copy every row again.' }),
    'accept-data-loss': Flags.boolean({ summary: 'Throw away what a former leader has and nobody else.' }),
  };

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const { node } = this.args;
    const request = { node, recopy: this.flags.recopy, acceptDataLoss: this.flags['accept-data-loss'] };
    return this.change({
      fleet: this.fleet(config),
      planner: (snapshot) => planRewire(snapshot, config, request),
      question: request.recopy ? `Empty ${node} and copy it again?` : `Attach ${node} now?`,
      next: 'repctl status',
    });
  }
}
