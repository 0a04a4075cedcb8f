import type { ChangeResult } from '../../cli/change-command.js';
import { SubscriptionCommand, subscriptionArgs, subscriptionFlags } from '../../cli/subscription-command.js';

export default class SubscriptionEnable extends SubscriptionCommand<typeof SubscriptionEnable> {
  static override summary = 'Let a subscription go on.';
  static override description = 'Its worker starts and goes on exactly where it stopped.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n3',
    '<%= config.bin %> <%= command.id %> repctl_n3_e1 --yes',
  ];
  static override args = subscriptionArgs;
  static override flags = subscriptionFlags;

  async run(): Promise<ChangeResult> {
    return this.changeSubscription(this.args.subscription, this.flags, { verb: 'enable' });
  }
}
