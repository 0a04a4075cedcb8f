import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { observe } from '../../cluster/observe.js';
import {
  findSubscription,
  type SubscriptionView,
  subscriptionView,
} from '../../replication/views/subscription.js';
import { renderSubscription } from '../../ui/subscription.js';

export default class SubscriptionShow extends BaseCommand<typeof SubscriptionShow> {
  static override summary =
    'Show one subscription: worker, positions, state of each table, errors and conflicts.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n2',
    '<%= config.bin %> <%= command.id %> repctl_n2_e1 --json',
  ];
  static override args = {
    subscription: Args.string({ description: 'Its name, or the node that has it.', required: true }),
  };
  static override flags = {
    node: Flags.string({ summary: 'The node, where several have one of that name.', helpValue: 'NODE' }),
  };

  async run(): Promise<SubscriptionView> {
    const snapshot = await observe(this.fleet(this.cluster()));
    const { node, item } = findSubscription(snapshot, this.args.subscription, this.flags.node);
    return this.show(subscriptionView(snapshot, node, item), renderSubscription);
  }
}
