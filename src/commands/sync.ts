import { Args, Flags } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import { syncRequest } from '../cli/sync-request.js';
import { observe } from '../cluster/observe.js';
import { type SyncView, syncView } from '../cluster/sync-view.js';
import { planSync } from '../operations/sync.js';
import { renderSync } from '../ui/sync.js';

export default class Sync extends ChangeCommand<typeof Sync> {
  static override summary = 'Show or set whether commits wait for replicas.';
  static override description = `async: a commit is acknowledged when the leader has flushed it; a leader that dies may take some with it.
any K: when K of the replicas have flushed it too; a failover then says when nothing can be lost. all: all that follow.
A leader that is cut off from them acknowledges nothing. It moves with the leader. It holds for every database of that
server, and not for sessions that turn synchronous_commit down.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> any 1',
    '<%= config.bin %> <%= command.id %> all --dry-run',
    '<%= config.bin %> <%= command.id %> async --yes',
  ];
  static override args = {
    mode: Args.string({ description: 'async, any or all; default: show it.' }),
    count: Args.string({ description: 'With any: how many replicas must confirm.' }),
  };
  static override flags = {
    'accept-waiting': Flags.boolean({
      summary: 'Set it although fewer replicas stream than commits will wait for.',
    }),
    'accept-minority': Flags.boolean({ summary: 'Go on although fewer than half of the nodes answer.' }),
    'accept-unrecorded': Flags.boolean({
      summary: 'Wait for fewer although too few replicas can hear of it now.',
    }),
  };

  async run(): Promise<ChangeResult | SyncView> {
    const config = this.cluster();
    const wanted = syncRequest(this.args.mode, this.args.count);
    const fleet = this.fleet(config);
    if (wanted === undefined) return this.show(syncView(await observe(fleet)), renderSync);
    const options = {
      wanted,
      acceptWaiting: this.flags['accept-waiting'],
      acceptUnrecorded: this.flags['accept-unrecorded'],
      acceptMinority: this.flags['accept-minority'],
    };
    return this.change({
      fleet,
      planner: (snapshot) => planSync(snapshot, config, options),
      question: 'Change what commits wait for?',
      next: 'repctl status',
    });
  }
}
