import path from 'node:path';
import { Args } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import { checkFlags, checkRequest, resumeCommand } from '../cli/check-flags.js';
import { statusLine } from '../cli/status-line.js';
import { observe } from '../cluster/observe.js';
import { check } from '../consistency/check.js';
import { type CheckRequest, requestOf } from '../consistency/checking/request.js';
import { type CheckHistory, noteRun, readHistory } from '../consistency/history.js';
import { type Report, openReport } from '../consistency/report.js';
import type { CheckResult } from '../consistency/result.js';
import { type Checkpoints, openCheckpoints } from '../consistency/resume/file.js';
import { assertCurrent } from '../consistency/resume/frame.js';
import { stateDir } from '../config/paths.js';
import { EXIT, RepctlError } from '../errors.js';
import { renderCheckHistory } from '../ui/check-history.js';
import { renderCheck, renderInterrupted, renderProgress, renderQuiet } from '../ui/check.js';

/** The newest of them. */
const RUNS_SHOWN = 10;

const EXITS = { equal: EXIT.done, diverged: EXIT.diverged, unverified: EXIT.unhealthy } as const;

export default class Check extends BaseCommand<typeof Check> {
  static override summary = 'Compare the data, schema and sequences of all replicas with the leader.';
  static override description =
    'Reads only, while writes go on: a row that is merely on its way is no difference. ' +
    'Exit 0: equal. 5: diverged. 4: something could not be verified.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> products --node n4 --rows 50',
    '<%= config.bin %> <%= command.id %> --schema',
    '<%= config.bin %> <%= command.id %> orders --where "id >= 1000000"',
    '<%= config.bin %> <%= command.id %> --since 2h --json',
    '<%= config.bin %> <%= command.id %> --resume',
  ];
  static override args = {
    table: Args.string({ description: 'Tables to compare; all published ones by default.', multiple: true }),
  };
  static override flags = checkFlags;

  async run(): Promise<CheckResult | CheckHistory> {
    const config = this.cluster();
    if (this.flags.history && this.args.table !== undefined)
      throw new RepctlError('usage', '--history tells of every table that was checked: name none.');
    if (this.flags.history)
      return this.show(await readHistory(stateDir(), config.cluster, RUNS_SHOWN), renderCheckHistory);
    const fleet = this.fleet(config);
    const line = statusLine(process.stderr, !this.jsonEnabled() && !this.flags.quiet);
    const style = this.errStyle();
    const request = checkRequest(this.args.table ?? [], this.flags, config.statementTimeoutMs);
    const file = this.flags.report === undefined ? undefined : path.resolve(this.flags.report);
    const checkpoints = await this.checkpoints(config.cluster, request, file);
    this.onInterrupt(() => renderInterrupted(checkpoints, style));
    let report: Report | undefined;
    let result: CheckResult;
    try {
      const saved = checkpoints?.last;
      const early = saved && (await observe(fleet));
      // A report is cut where the earlier check was noted down last: not for one that is refused.
      if (saved && early) assertCurrent(saved, early);
      // Before anything is read: hours later would be too late to hear that it cannot be written.
      report = file === undefined ? undefined : await openReport(file, saved?.report ?? undefined);
      result = await check(fleet, early ?? (await observe(fleet)), {
        ...request,
        ...(report ? { report } : {}),
        ...(checkpoints ? { checkpoints } : {}),
        onProgress: (progress) => {
          line.show((elapsedMs) => renderProgress(progress, elapsedMs, style));
        },
      });
    } finally {
      line.clear();
      await report?.close();
    }
    this.exitWith(EXITS[result.verdict]);
    const unnoted = result.scope.data ? await noteRun(stateDir(), result) : undefined;
    if (unnoted !== undefined) this.say(`${style.c.yellow('!')} ${unnoted}`);
    return this.show(result, this.flags.quiet ? renderQuiet : renderCheck);
  }
  /** Undefined for what ends in a moment, or holds for one moment alone. */
  private async checkpoints(
    cluster: string,
    request: CheckRequest,
    report: string | undefined,
  ): Promise<Checkpoints | undefined> {
    const { resume, schema, exact } = this.flags;
    if (schema || exact) return undefined;
    return openCheckpoints({
      ...{ stateDir: stateDir(), cluster, resume },
      request: requestOf(request, report),
      command: resumeCommand(this.argv),
      warn: (text) => {
        this.say(`${this.errStyle().c.yellow('!')} ${text}`);
      },
    });
  }
}
