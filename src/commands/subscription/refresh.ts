import { Flags } from '@oclif/core';
import type { ChangeResult } from '../../cli/change-command.js';
import { SubscriptionCommand, subscriptionArgs, subscriptionFlags } from '../../cli/subscription-command.js';

export default class SubscriptionRefresh extends SubscriptionCommand<typeof SubscriptionRefresh> {
  static override summary = 'Take up tables that the publication gained, forget those that it lost.';
  static override description = `repctl publication add does this, and more, for every node; this is for foreign subscriptions and for repair.
Rows of tables that are new to the subscription are copied, unless --no-copy says that they are there already.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> n3',
    '<%= config.bin %> <%= command.id %> theirs --node n3 --foreign --no-copy --yes',
  ];
  static override args = subscriptionArgs;
  static override flags = {
    ...subscriptionFlags,
    copy: Flags.boolean({ summary: 'Copy the rows of new tables.', default: true, allowNo: true }),
  };

  async run(): Promise<ChangeResult> {
    return this.changeSubscription(this.args.subscription, this.flags, {
      verb: 'refresh',
      copyData: this.flags.copy,
    });
  }
}
