import { Args } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import { planUnfence } from '../operations/fence.js';

export default class Unfence extends ChangeCommand<typeof Unfence> {
  static override summary = 'Let the leader take writes again after fence.';
  static override description =
    'Only for the leader of the newest epoch that a majority of the nodes knows; refused anywhere else, where it would make a second writer.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n1',
    '<%= config.bin %> <%= command.id %> n1 --yes',
  ];
  static override args = { node: Args.string({ description: 'The leader.', required: true }) };

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const request = { node: this.args.node, timeoutMs: config.drainTimeoutMs };
    return this.change({
      fleet: this.fleet(config),
      planner: (snapshot) => planUnfence(snapshot, config, request),
      question: `Let ${request.node} take writes?`,
      next: 'repctl status',
    });
  }
}
