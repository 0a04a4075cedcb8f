import { Flags } from '@oclif/core';
import type { ChangeResult } from '../../cli/change-command.js';
import { SubscriptionCommand, subscriptionArgs, subscriptionFlags } from '../../cli/subscription-command.js';
import { parseLsn } from '../../cli/lsn.js';

export default class SubscriptionSkip extends SubscriptionCommand<typeof SubscriptionSkip> {
  static override summary =
    'Pass over one transaction that cannot be applied. What it changed is lost on this node.';
  static override description = `The position is in the server's log, in the context of the error: "… transaction 731, finished at 0/14C0378".
Everything that this transaction changed is lost on this node; repctl check shows it afterwards, repctl repair brings it back. PostgreSQL lets only a superuser do this.`;
  static override examples = ['<%= config.bin %> <%= command.id %> n3 --lsn 0/14C0378'];
  static override args = subscriptionArgs;
  static override flags = {
    ...subscriptionFlags,
    lsn: Flags.string({
      summary: 'Where the transaction finishes, in the WAL of the leader.',
      helpValue: 'LSN',
      required: true,
    }),
  };

  async run(): Promise<ChangeResult> {
    return this.changeSubscription(this.args.subscription, this.flags, {
      verb: 'skip',
      lsn: parseLsn(this.flags.lsn, '--lsn'),
    });
  }
}
