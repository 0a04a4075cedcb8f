import { BaseCommand } from '../cli/base-command.js';
import { observe } from '../cluster/observe.js';
import { type History, historyOf } from '../replication/views.js';
import { renderHistory } from '../ui/history.js';

export default class HistoryCommand extends BaseCommand<typeof HistoryCommand> {
  static override summary = 'Show who led when and why, and every finished operation with its times.';
  static override description =
    'Epochs and events travel in the replicated data; they are read from the leader, or from the most advanced node that answers.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
  ];

  async run(): Promise<History> {
    const snapshot = await observe(this.fleet(this.cluster()));
    return this.show(historyOf(snapshot), renderHistory);
  }
}
