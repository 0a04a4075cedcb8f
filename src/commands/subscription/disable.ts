import type { ChangeResult } from '../../cli/change-command.js';
import { SubscriptionCommand, subscriptionArgs, subscriptionFlags } from '../../cli/subscription-command.js';

export default class SubscriptionDisable extends SubscriptionCommand<typeof SubscriptionDisable> {
  static override summary = 'Stop a subscription for a while.';
  static override description =
    'The node falls behind, and the leader keeps all WAL for it until it is enabled again.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n3',
    '<%= config.bin %> <%= command.id %> repctl_n3_e1 --yes',
  ];
  static override args = subscriptionArgs;
  static override flags = subscriptionFlags;

  async run(): Promise<ChangeResult> {
    return this.changeSubscription(this.args.subscription, this.flags, { verb: 'disable' });
  }
}
