import { Args } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import { failoverFlags, failoverRequest } from '../cli/failover-flags.js';
import { switchoverFlags, switchoverRequest } from '../cli/switchover-flags.js';
import { planPromote } from '../operations/promote.js';

export default class Promote extends ChangeCommand<typeof Promote> {
  static override summary = 'Make a node the leader: a switchover when the leader answers, else a failover.';
  static override description = 'The plan says which of the two it is and why, before it asks.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n2',
    '<%= config.bin %> <%= command.id %> n2 --dry-run',
  ];
  static override args = { node: Args.string({ description: 'The new leader.', required: true }) };
  static override flags = { ...failoverFlags, ...switchoverFlags };

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const { node: target } = this.args;
    const request = {
      target,
      failover: failoverRequest({ cluster: config.cluster, target, flags: this.flags, shown: this.shown }),
      switchover: switchoverRequest(target, this.flags),
    };
    return this.change({
      fleet: this.fleet(config),
      planner: (snapshot) => planPromote(snapshot, config, request),
      question: `Promote ${target} now?`,
      next: 'repctl status',
    });
  }
}
