import type { ChangeResult } from '../../cli/change-command.js';
import { TablesCommand, tablesArgs } from '../../cli/tables-command.js';
import { planDropTables } from '../../operations/tables/drop.js';

export default class PublicationDrop extends TablesCommand<typeof PublicationDrop> {
  static override summary = 'Stop replicating tables, on every node alike. Their rows stay.';
  static override description =
    'Publication, subscriptions and fence change on every node; afterwards each node is written to by itself. Interrupted, the same command goes on.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> orders',
    '<%= config.bin %> <%= command.id %> app.orders --yes --json',
  ];
  static override args = tablesArgs;

  async run(): Promise<ChangeResult> {
    return this.changeTables(this.args.tables, planDropTables, (tables) => `Stop replicating ${tables}?`);
  }
}
