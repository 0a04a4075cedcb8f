import { Args } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import { fenceFlags, fenceTimeoutMs } from '../cli/fence-flags.js';
import { reachableNodes } from '../cluster/epochs.js';
import { isStaleLeader, wayBack } from '../cluster/report.js';
import { planFence } from '../operations/fence.js';

export default class Fence extends ChangeCommand<typeof Fence> {
  static override summary = "Stop clients' writes to a node at once.";
  static override description = `Writers in flight finish, no new one is let in: every INSERT, UPDATE, DELETE, TRUNCATE, COPY and MERGE on a
published table, also a superuser's, is refused with SQLSTATE 25006. Readers and replication go on. Proved by a write on
every table that must be refused. For a leader of old that came back and has clients; a leader that is fenced leaves
the cluster without a writer until unfence.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> n1',
    '<%= config.bin %> <%= command.id %> n1 --yes --terminate-blockers --reason "came back on its own"',
  ];
  static override args = { node: Args.string({ description: 'The node to fence.', required: true }) };
  static override flags = fenceFlags;

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const { node } = this.args;
    const request = {
      node,
      timeoutMs: fenceTimeoutMs(this.flags, config),
      terminateBlockers: this.flags['terminate-blockers'],
    };
    let next = 'repctl status';
    return this.change({
      fleet: this.fleet(config),
      planner: (snapshot) => {
        const stale = reachableNodes(snapshot).find(
          (one) => one.name === node && isStaleLeader(snapshot, one),
        );
        if (stale !== undefined) next = wayBack(snapshot, stale);
        return planFence(snapshot, config, request);
      },
      question: `Stop all writes to ${node}?`,
      next: () => next,
    });
  }
}
