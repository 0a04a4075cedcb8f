import { Flags } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../../cli/change-command.js';
import { planDestroy } from '../../operations/destroy.js';

export default class ClusterDestroy extends ChangeCommand<typeof ClusterDestroy> {
  static override summary = 'Remove everything that repctl made; rows and tables stay.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --dry-run',
    '<%= config.bin %> <%= command.id %> --without-unreachable',
  ];
  static override flags = {
    'without-unreachable': Flags.boolean({ summary: 'Leave nodes that do not answer as they are.' }),
  };

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    return this.change({
      fleet: this.fleet(config),
      planner: (snapshot) =>
        planDestroy(snapshot, config, { withoutUnreachable: this.flags['without-unreachable'] }),
      question: `Destroy cluster ${config.cluster}? Replication ends; rows stay.`,
    });
  }
}
