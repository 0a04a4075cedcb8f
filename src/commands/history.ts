import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import { observe } from '../cluster/observe.js';
import { stateDir } from '../config/paths.js';
import { RepctlError } from '../errors.js';
import { readAudit } from '../plan/audit.js';
import { type History, historyOf, readEvents, told } from '../replication/views/history.js';
import { reignOf } from '../replication/views/reign.js';
import { renderHistory } from '../ui/history.js';

/** More than any cluster has had; each is a small row. */
const ALL_EVENTS = 10_000;

export default class HistoryCommand extends BaseCommand<typeof HistoryCommand> {
  static override summary = 'Show who led when and why, what it cost, and every operation with its times.';
  static override description =
    'Epochs and events travel in the replicated data; they are read from the leader, or from the most advanced node that answers. --audit shows what was done from this machine, interrupted runs too.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> 3',
    '<%= config.bin %> <%= command.id %> --audit',
    '<%= config.bin %> <%= command.id %> --json',
  ];
  static override args = { epoch: Args.integer({ description: 'Show this epoch in detail.', min: 1 }) };
  static override flags = {
    limit: Flags.integer({ summary: 'How many events or runs.', default: 20, min: 1, max: ALL_EVENTS }),
    audit: Flags.boolean({ summary: 'Show what was done from this machine.' }),
  };

  async run(): Promise<History> {
    const config = this.cluster();
    const fleet = this.fleet(config);
    const { epoch } = this.args;
    const { limit, audit } = this.flags;
    const history = historyOf(await observe(fleet));
    const all = await readEvents(await fleet.session(history.readFrom), Math.max(limit, ALL_EVENTS));
    const reign = epoch === undefined ? undefined : reignOf(history.epochs, all, epoch);
    if (epoch !== undefined && reign === undefined)
      throw new RepctlError('unknown-epoch', `There is no epoch ${String(epoch)}.`, {
        hint: 'repctl history',
      });
    return this.show(
      {
        ...history,
        ...told(history.epochs, all),
        events: all.slice(0, limit),
        ...(reign === undefined ? {} : { reign }),
        ...(audit ? { audit: await readAudit(stateDir(), config.cluster, limit) } : {}),
      },
      renderHistory,
    );
  }
}
