import { Flags } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import { observe } from '../cluster/observe.js';
import { type History, historyOf, readEvents } from '../replication/views/history.js';
import { renderHistory } from '../ui/history.js';

export default class HistoryCommand extends BaseCommand<typeof HistoryCommand> {
  static override summary = 'Show who led when and why, and every finished operation with its times.';
  static override description =
    'Epochs and events travel in the replicated data; they are read from the leader, or from the most advanced node that answers.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
  ];

  static override flags = {
    limit: Flags.integer({ summary: 'How many events.', default: 20, min: 1, max: 10_000 }),
  };

  async run(): Promise<History> {
    const fleet = this.fleet(this.cluster());
    const history = historyOf(await observe(fleet));
    const events = await readEvents(await fleet.session(history.readFrom), this.flags.limit);
    return this.show({ ...history, events }, renderHistory);
  }
}
