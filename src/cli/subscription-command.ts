/** What enable, disable, refresh and skip share: find the subscription, plan the change, carry it out. */
import { Args, type Command, Flags } from '@oclif/core';
import { observe } from '../cluster/observe.js';
import { planSubscription, type SubscriptionChange } from '../operations/parts/subscription.js';
import { runParts } from '../operations/parts/run.js';
import { orRefuse } from '../operations/run.js';
import { findSubscription } from '../replication/views/subscription.js';
import { ChangeCommand, type ChangeResult } from './change-command.js';

export const subscriptionArgs = {
  subscription: Args.string({ description: 'Its name, or the node that has it.', required: true }),
};

export const subscriptionFlags = {
  node: Flags.string({ summary: 'The node, where several have one of that name.', helpValue: 'NODE' }),
  foreign: Flags.boolean({ summary: 'Change one that repctl did not make.' }),
};

export abstract class SubscriptionCommand<T extends typeof Command> extends ChangeCommand<T> {
  protected async changeSubscription(
    what: string,
    options: { node?: string | undefined; foreign: boolean },
    change: SubscriptionChange,
  ): Promise<ChangeResult> {
    const fleet = this.fleet(this.cluster());
    const find = async () => findSubscription(await observe(fleet), what, options.node);
    return this.carryOut({
      fleet,
      plan: async () => orRefuse(planSubscription(await find(), change, options.foreign)),
      question: ({ title }) => `${title.replace(/^./, (letter) => letter.toUpperCase())}?`,
      next: `repctl subscription show ${what}`,
      run: runParts,
    });
  }
}
