import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import { statusLine } from '../cli/status-line.js';
import { observe } from '../cluster/observe.js';
import { check } from '../consistency/check.js';
import type { CheckResult } from '../consistency/result.js';
import { EXIT } from '../errors.js';
import { renderCheck, renderProgress } from '../ui/check.js';

const EXITS = { equal: EXIT.done, diverged: EXIT.diverged, unverified: EXIT.unhealthy } as const;

export default class Check extends BaseCommand<typeof Check> {
  static override summary = 'Compare the data, schema and sequences of all replicas with the leader.';
  static override description =
    'Reads only, while writes go on: a row that is merely on its way is no difference. ' +
    'Exit 0: equal. 5: diverged. 4: something could not be verified.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> products --node n4 --rows 50',
    '<%= config.bin %> <%= command.id %> --json',
  ];
  static override args = {
    table: Args.string({ description: 'Tables to compare; all published ones by default.', multiple: true }),
  };
  static override flags = {
    node: Flags.string({
      summary: 'Compare only this replica (may be repeated).',
      multiple: true,
      // Or `check --node n4 products` would look for a node called products.
      multipleNonGreedy: true,
      helpValue: 'NODE',
      default: [],
    }),
    rows: Flags.integer({
      summary: 'How many differing rows to show, per table and replica.',
      helpValue: 'N',
      min: 0,
      max: 10_000,
      default: 10,
    }),
    concurrency: Flags.integer({
      summary: 'Blocks compared at once: connections per node.',
      helpValue: 'N',
      min: 1,
      max: 16,
      default: 2,
    }),
    'block-rows': Flags.integer({
      summary: 'Rows in a block.',
      helpValue: 'N',
      min: 100,
      max: 10_000_000,
      default: 50_000,
    }),
  };

  async run(): Promise<CheckResult> {
    const config = this.cluster();
    const fleet = this.fleet(config);
    const line = statusLine(process.stderr, !this.jsonEnabled());
    const style = this.errStyle();
    let result: CheckResult;
    try {
      result = await check(fleet, await observe(fleet), {
        tables: this.args.table ?? [],
        nodes: this.flags.node,
        rows: this.flags.rows,
        concurrency: this.flags.concurrency,
        blockRows: this.flags['block-rows'],
        waitMs: config.statementTimeoutMs,
        onProgress: (progress) => {
          line.show((elapsedMs) => renderProgress(progress, elapsedMs, style));
        },
      });
    } finally {
      line.clear();
    }
    this.exitWith(EXITS[result.verdict]);
    return this.show(result, renderCheck);
  }
}
