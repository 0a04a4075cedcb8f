/** What publication add and drop share. */
import { Args, type Command } from '@oclif/core';
import { observe } from '../cluster/observe.js';
import type { TableName } from '../cluster/model.js';
import { operatorName } from '../operations/operator.js';
import { orRefuse } from '../operations/run.js';
import { observeTables } from '../operations/tables/observe.js';
import { tablesRunners } from '../operations/tables/run.js';
import type { TablesAction } from '../operations/tables/actions.js';
import type { TablesState } from '../operations/tables/model.js';
import { execute } from '../plan/execute.js';
import type { Planned } from '../plan/plan.js';
import { parseTable, tableKey } from '../replication/publications.js';
import { ChangeCommand, type ChangeResult } from './change-command.js';

export const tablesArgs = {
  tables: Args.string({
    description: 'Tables, such as orders or app.orders.',
    required: true,
    multiple: true,
  }),
};

export abstract class TablesCommand<T extends typeof Command> extends ChangeCommand<T> {
  protected async changeTables(
    names: readonly string[],
    planner: (state: TablesState, request: readonly TableName[]) => Planned<TablesAction>,
    question: (tables: string) => string,
  ): Promise<ChangeResult> {
    const request = names.map(parseTable);
    const fleet = this.fleet(this.cluster());
    return this.carryOut({
      fleet,
      plan: async () => orRefuse(planner(await observeTables(fleet, await observe(fleet), request), request)),
      question: question(request.map(tableKey).join(', ')),
      next: 'repctl publication show',
      run: (plan, options) =>
        execute(
          plan,
          tablesRunners({ fleet, operator: operatorName(), reason: options.reason ?? null }),
          options,
        ),
    });
  }
}
