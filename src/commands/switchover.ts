import { Args } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import { switchoverFlags, switchoverRequest } from '../cli/switchover-flags.js';
import { planSwitchover } from '../operations/switchover.js';

export default class Switchover extends ChangeCommand<typeof Switchover> {
  static override summary = 'Move the leadership to a replica: nothing is lost, no row is copied.';
  static override description = `The leader is fenced and drained, the target promoted, and everybody, the former leader too, follows it.
Any failure before the promotion is rolled back (exit 8): the cluster is as before. After it, the same command
goes on (exit 7).`;
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> n2 --dry-run',
    '<%= config.bin %> <%= command.id %> n2 --yes --drain-timeout 30s --terminate-blockers',
    '<%= config.bin %> <%= command.id %> n2 --without n4',
  ];
  static override args = {
    node: Args.string({ description: 'The new leader; default: the replica of the highest priority.' }),
  };
  static override flags = switchoverFlags;

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const request = switchoverRequest(this.args.node, this.flags);
    return this.change({
      fleet: this.fleet(config),
      planner: (snapshot) => planSwitchover(snapshot, config, request),
      question: 'Switch over now?',
      next: 'repctl status',
    });
  }
}
