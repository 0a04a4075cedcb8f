import { Args } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import { failoverFlags, failoverRequest } from '../cli/failover-flags.js';
import { planPromote } from '../operations/promote.js';

export default class Promote extends ChangeCommand<typeof Promote> {
  static override summary = 'Make a node the leader: a failover when the present leader is gone.';
  static override description =
    'A leader that answers is not replaced yet: the planned switchover comes with the next release.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n2',
    '<%= config.bin %> <%= command.id %> n2 --dry-run',
  ];
  static override args = { node: Args.string({ description: 'The new leader.', required: true }) };
  static override flags = failoverFlags;

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const request = failoverRequest({
      cluster: config.cluster,
      target: this.args.node,
      flags: this.flags,
    });
    return this.change({
      fleet: this.fleet(config),
      planner: (snapshot) => planPromote(snapshot, config, request),
      question: `Promote ${this.args.node} now?`,
      next: 'repctl status',
    });
  }
}
