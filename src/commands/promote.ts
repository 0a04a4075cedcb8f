import { Args } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import {
  failoverFlags,
  failoverQuestion,
  failoverRequest,
  nextAfterFailover,
} from '../cli/failover-flags.js';
import { switchoverFlags, switchoverRequest } from '../cli/switchover-flags.js';
import { awaitedBack } from '../operations/failover.js';
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
    let awaited: string | undefined;
    return this.change({
      fleet: this.fleet(config),
      planner: (snapshot) => {
        awaited = awaitedBack(snapshot, config);
        return planPromote(snapshot, config, request);
      },
      question: (plan) => (plan.operation === 'failover' ? failoverQuestion(plan) : `Promote ${target} now?`),
      next: () => nextAfterFailover(awaited),
    });
  }
}
