import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import { repairArgs, repairFlags } from '../cli/repair-flags.js';
import { statusLine } from '../cli/status-line.js';
import { observe } from '../cluster/observe.js';
import { EXIT } from '../errors.js';
import { operatorName } from '../operations/operator.js';
import { planRepair, verdictOf, wantedOf } from '../operations/repair/plan.js';
import { prepareRepair } from '../operations/repair/prepare.js';
import { repairRunners } from '../operations/repair/run.js';
import { orRefuse } from '../operations/run.js';
import { execute } from '../plan/execute.js';
import { renderProgress } from '../ui/check.js';
import { plainStyle } from '../ui/color.js';
import { renderRepaired, resultsOf, rowsToShow } from '../ui/repair.js';

const EXITS = { equal: EXIT.done, diverged: EXIT.diverged, unverified: EXIT.unhealthy } as const;

export default class Repair extends ChangeCommand<typeof Repair> {
  static override summary = 'Make rows of replicas that differ equal to the leader again.';
  static override description = `Compares as check does, shows what differs and asks. Then every row is proven once more under lock and replaced, in
one transaction per replica, while writes go on; what it was is kept in a file. The leader's rows are only read.
Exit 0: what was touched is equal now. 5: something differs still. 4: something could not be proven and stays as it was.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --dry-run --sql',
    '<%= config.bin %> <%= command.id %> products --node n4',
    '<%= config.bin %> <%= command.id %> --only missing --yes --reason "restored from a backup by mistake"',
  ];
  static override args = repairArgs;
  static override flags = repairFlags;

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const fleet = this.fleet(config);
    const found = await this.look(fleet);
    const shown = rowsToShow(wantedOf(found), plainStyle());
    const request = { ...found, shown };
    const result = await this.carryOut({
      fleet,
      plan: async () => orRefuse(planRepair(await observe(fleet), config, request)),
      question: 'Set these rows right?',
      sql: this.flags.sql,
      report: renderRepaired,
      run: (plan, { reason, stateDir, signal, ...options }) =>
        execute(
          plan,
          repairRunners({
            fleet,
            operator: operatorName(),
            reason: reason ?? null,
            stateDir,
            signal,
            waitMs: config.statementTimeoutMs,
          }),
          { ...options, signal },
        ),
    });
    this.exitWith(EXITS[verdictOf(request, result.status === 'done' ? resultsOf(result.steps) : undefined)]);
    return result;
  }

  private async look(fleet: ReturnType<Repair['fleet']>) {
    const line = statusLine(process.stderr, !this.jsonEnabled());
    const style = this.errStyle();
    try {
      return await prepareRepair(fleet, await observe(fleet), {
        tables: this.args.table ?? [],
        nodes: this.flags.node,
        only: this.flags.only,
        maxRows: this.flags['max-rows'],
        sql: this.flags.sql,
        concurrency: this.flags.concurrency,
        blockRows: 50_000,
        waitMs: fleet.config.statementTimeoutMs,
        onProgress: (progress) => {
          line.show((elapsedMs) => renderProgress(progress, elapsedMs, style));
        },
      });
    } finally {
      line.clear();
    }
  }
}
