import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { observe } from '../../cluster/observe.js';
import { requireAnswers } from '../../replication/views/answers.js';
import { type SubscriptionList, subscriptionList } from '../../replication/views/subscription.js';
import { renderSubscriptions } from '../../ui/subscription.js';

export default class SubscriptionListCommand extends BaseCommand<typeof SubscriptionListCommand> {
  static override summary = 'Show the subscriptions of every node, how far they are and what failed.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --node n2 --json',
  ];
  static override flags = {
    node: Flags.string({ summary: 'Only this node.', helpValue: 'NODE' }),
  };

  async run(): Promise<SubscriptionList> {
    const { node } = this.flags;
    const snapshot = await observe(this.fleet(this.cluster()));
    requireAnswers(snapshot, node);
    return this.show(subscriptionList(snapshot, node), renderSubscriptions);
  }
}
