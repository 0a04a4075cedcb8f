import { Args } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import {
  failoverFlags,
  failoverQuestion,
  failoverRequest,
  nextAfterFailover,
} from '../cli/failover-flags.js';
import { awaitedBack, planFailover } from '../operations/failover.js';

export default class Failover extends ChangeCommand<typeof Failover> {
  static override summary =
    'The leader is gone: promote the most advanced replica and attach the others to it.';
  static override description = `Says what is at risk before it asks. No row is copied: each sibling goes on with precisely the next
transaction. Interrupted at any point, the same command finishes the work.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --dry-run',
    '<%= config.bin %> <%= command.id %> n3 --yes --reason "rack 2 lost power"',
  ];
  static override args = {
    node: Args.string({ description: 'The new leader; default: the most advanced replica.' }),
  };
  static override flags = failoverFlags;

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const request = failoverRequest({
      cluster: config.cluster,
      target: this.args.node,
      flags: this.flags,
      shown: this.shown,
    });
    let awaited: string | undefined;
    return this.change({
      fleet: this.fleet(config),
      planner: (snapshot) => {
        awaited = awaitedBack(snapshot, config);
        return planFailover(snapshot, config, request);
      },
      question: failoverQuestion,
      next: () => nextAfterFailover(awaited),
    });
  }
}
