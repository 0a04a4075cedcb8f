import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { chosenScenarios } from '../../cli/drill-choice.js';
import { drillWatch, gameDayWatch } from '../../cli/drill-watch.js';
import { httpUrl } from '../../cli/http-url.js';
import { sandboxPlace } from '../../drill/sandbox-place.js';
import { runDrills } from '../../drill/series.js';
import { EXIT } from '../../errors.js';
import { sandboxDirectory } from '../../sandbox/account.js';
import { type DrillReport, renderDrill } from '../../ui/drill.js';

export default class DrillRun extends BaseCommand<typeof DrillRun> {
  static override summary = 'Break a cluster of its own on purpose, under load, and judge what clients saw.';
  static override description = [
    'Each run has real servers of its own, clients that write and read at a given rate, and steps: faults, and commands of repctl as one would type them. Judged is what clients were told against what is there in the end. The sandbox is not the one of `repctl sandbox`, and is gone afterwards.',
    '',
    'With --game-day a person mends: something is broken, drawn by --seed, and what repctl commands do about it in another terminal is watched and graded.',
    '',
    'Exit 0: every expectation met. 4: one was violated. What was measured is kept below the state directory, also after Ctrl-C.',
  ].join('\n');
  static override examples = [
    '<%= config.bin %> <%= command.id %> leader-killed',
    '<%= config.bin %> <%= command.id %> leader-killed switchover-under-load --repeat 5',
    '<%= config.bin %> <%= command.id %> --all --json',
    '<%= config.bin %> <%= command.id %> --game-day --seed 7',
    '<%= config.bin %> <%= command.id %> ./mine.yaml --seed 7 --keep',
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
    const watch = (gameDay ? gameDayWatch : drillWatch)(process.stderr, style, this.jsonEnabled());
    try {
      const { results, skipped } = await runDrills({
        scenarios,
        seed: flags.seed,
        repeat: flags.repeat,
        keep: flags.keep,
        place: sandboxPlace(await sandboxDirectory(flags.dir, 'drill')),
        signal: this.interruptible('Stopping; the sandbox is taken down, what was measured is kept.'),
        watch,
        ...(http === undefined ? {} : { http }),
        ...(gameDay ? { command: (seed) => `repctl drill run --game-day --seed ${String(seed)}` } : {}),
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
}
