import type { ChangeResult } from '../../cli/change-command.js';
import { TablesCommand, tablesArgs } from '../../cli/tables-command.js';
import { planAddTables } from '../../operations/tables/add.js';

export default class PublicationAdd extends TablesCommand<typeof PublicationAdd> {
  static override summary = 'Replicate more tables, on every node alike, while the cluster is in use.';
  static override description = `Publication, fence and subscriptions change on every node. Where a replica's table is empty its rows are copied; where it is not, it is attached only if it equals the leader's row by row.
Interrupted, the same command goes on. Add the table to tables: in the configuration too, for nodes that are added later.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> orders',
    '<%= config.bin %> <%= command.id %> app.orders app.order_lines --dry-run',
  ];
  static override args = tablesArgs;

  async run(): Promise<ChangeResult> {
    return this.changeTables(this.args.tables, planAddTables, (tables) => `Replicate ${tables}?`);
  }
}
