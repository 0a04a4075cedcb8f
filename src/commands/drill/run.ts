import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { confirm } from '../../cli/confirm.js';
import { chosenScenarios } from '../../cli/drill-choice.js';
import { drillWatch, gameDayWatch } from '../../cli/drill-watch.js';
import { httpUrl } from '../../cli/http-url.js';
import { sandboxPlace } from '../../drill/sandbox-place.js';
import { runDrills } from '../../drill/series.js';
import { clusterPlace } from '../../drill/configured/place.js';
import { requireSafe } from '../../drill/configured/refusals.js';
import { survey } from '../../drill/configured/survey.js';
import type { Place } from '../../drill/ground.js';
import type { Scenario } from '../../drill/scenario.js';
import { EXIT } from '../../errors.js';
import { sandboxDirectory } from '../../sandbox/account.js';
import { type DrillReport, renderDrill } from '../../ui/drill.js';
import { renderDrillPlan } from '../../ui/drill-question.js';

export default class DrillRun extends BaseCommand<typeof DrillRun> {
  static override summary = 'Break a cluster of its own on purpose, under load, and judge what clients saw.';
  static override description = [
    'Each run has real servers of its own, clients that write and read at a given rate, and steps: faults, and commands of repctl as one would type them. Judged is what clients were told against what is there in the end. The sandbox is not the one of `repctl sandbox`, and is gone afterwards.',
    '',
    'With --game-day a person mends: something is broken, drawn by --seed, and what repctl commands do about it in another terminal is watched and graded.',
    '',
    'With --cluster it runs on the configured cluster instead, which is in use: only scenarios marked safe, after confirmation, on a table of its own that is removed again; leadership ends where it began.',
    '',
    'Exit 0: every expectation met. 4: one was violated. What was measured is kept below the state directory, also after Ctrl-C.',
  ].join('\n');
  static override examples = [
    '<%= config.bin %> <%= command.id %> leader-killed',
    '<%= config.bin %> <%= command.id %> leader-killed switchover-under-load --repeat 5',
    '<%= config.bin %> <%= command.id %> --all --json',
    '<%= config.bin %> <%= command.id %> --game-day --seed 7',
    '<%= config.bin %> <%= command.id %> ./mine.yaml --seed 7 --keep',
    '<%= config.bin %> <%= command.id %> planned-switchover --cluster -c repctl.yaml',
  ];
  static override args = {
    scenario: Args.string({ description: 'Names of scenarios, or files.', multiple: true }),
  };
  static override flags = {
    all: Flags.boolean({ summary: 'Every scenario that drill list shows.' }),
    seed: Flags.integer({
      summary: 'What is left to chance is drawn by it.',
      default: 1,
      min: 0,
      max: 2 ** 31,
    }),
    repeat: Flags.integer({
      summary: 'So many runs of each, with seeds that follow each other.',
      default: 1,
      min: 1,
      max: 1000,
    }),
    'game-day': Flags.boolean({
      summary: 'Break something and let you mend it with repctl, in another terminal.',
      exclusive: ['all', 'repeat'],
    }),
    'time-limit': Flags.string({
      summary: 'How long you have for it; default 30m.',
      helpValue: 'DURATION',
      dependsOn: ['game-day'],
    }),
    cluster: Flags.boolean({
      summary: 'Against the configured cluster instead of a sandbox; only scenarios marked safe.',
      exclusive: ['all', 'game-day', 'keep', 'http', 'dir'],
    }),
    yes: Flags.boolean({ char: 'y', summary: 'Go ahead without asking.', dependsOn: ['cluster'] }),
    keep: Flags.boolean({ summary: 'Leave the sandbox of the last run up.' }),
    http: Flags.string({
      summary: 'Clients go through your own service (docs/drill.md); several URLs take turns.',
      helpValue: 'URL',
      multiple: true,
    }),
    dir: Flags.string({ summary: 'Where its sandbox is; must be new or empty.', helpValue: 'DIR' }),
  };

  async run(): Promise<DrillReport> {
    const { flags } = this;
    const gameDay = flags['game-day'];
    const scenarios = chosenScenarios(this.args.scenario ?? [], flags);
    const http = flags.http?.map(httpUrl);
    const style = this.errStyle();
    const place = flags.cluster
      ? await this.configuredPlace(scenarios)
      : sandboxPlace(await sandboxDirectory(flags.dir, 'drill'));
    const watch = (gameDay ? gameDayWatch : drillWatch)(process.stderr, style, this.jsonEnabled());
    try {
      const { results, skipped } = await runDrills({
        scenarios,
        seed: flags.seed,
        repeat: flags.repeat,
        keep: flags.keep,
        place,
        signal: this.interruptible(
          `Stopping; ${flags.cluster ? 'the table of the drill is removed' : 'the sandbox is taken down'}, what was measured is kept.`,
        ),
        watch,
        ...(http === undefined ? {} : { http }),
        ...(gameDay ? { command: (seed) => `repctl drill run --game-day --seed ${String(seed)}` } : {}),
        ...(flags.cluster ? { options: this.clusterOptions() } : {}),
      });
      watch.end();
      const met = results.every((one) => one.status === 'met');
      const interrupted = results.some((one) => one.status === 'interrupted');
      this.exitWith(met ? EXIT.done : interrupted ? EXIT.interrupted : EXIT.unhealthy);
      return this.show({ results, skipped, met }, renderDrill);
    } finally {
      watch.end();
    }
  }

  /** Asks first. Nothing was changed when it throws. */
  private async configuredPlace(scenarios: readonly Scenario[]): Promise<Place> {
    const { yes, repeat } = this.flags;
    requireSafe(scenarios);
    const config = this.cluster();
    const found = await survey(this.fleet(config), scenarios);
    const { lines, question } = renderDrillPlan({ survey: found, scenarios, repeat });
    this.say(`${lines.join('\n')}\n`);
    await confirm({ question, yes, json: this.jsonEnabled(), instead: 'Add --yes to go ahead.' });
    this.onInterrupt(
      () => 'What the drill made may be left: the next repctl drill run --cluster removes it. repctl status',
    );
    return clusterPlace(config, scenarios);
  }

  /** What leads to the same cluster again. */
  private clusterOptions(): string {
    const { config } = this.flags;
    return ` --cluster${config === undefined ? '' : ` -c ${config}`}`;
  }
}
