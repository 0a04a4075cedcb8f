import { Args } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../../cli/change-command.js';
import { removeNodeFromFile } from '../../config/edit.js';
import { configFile } from '../../config/membership.js';
import { planNodeRemove } from '../../operations/destroy.js';

export default class NodeRemove extends ChangeCommand<typeof NodeRemove> {
  static override summary = 'Detach a replica: its slots are dropped everywhere, its rows stay.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n4',
    '<%= config.bin %> <%= command.id %> n4 --dry-run',
  ];
  static override args = { name: Args.string({ description: 'Name of the node.', required: true }) };

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const { name } = this.args;
    const file = configFile(config);
    const result = await this.change({
      fleet: this.fleet(config),
      planner: (snapshot) => planNodeRemove(snapshot, config, name),
      question: `Remove ${name} from cluster ${config.cluster}?`,
      next: 'repctl status',
    });
    if (result.status !== 'planned') removeNodeFromFile(file, name);
    return result;
  }
}
