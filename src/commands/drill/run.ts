import { Args } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { chosenScenarios } from '../../cli/drill-choice.js';
import { drillFlags } from '../../cli/drill-flags.js';
import { LEFT_BEHIND, askedPlace, optionsOf } from '../../cli/drill-on-cluster.js';
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
  static override flags = drillFlags;

  async run(): Promise<DrillReport> {
    const { flags } = this;
    const gameDay = flags['game-day'];
    const scenarios = chosenScenarios(this.args.scenario ?? [], flags);
    const http = flags.http?.map(httpUrl);
    const style = this.errStyle();
    const place = flags.cluster
      ? await askedPlace(scenarios, {
          cluster: () => this.cluster(),
          fleet: (config) => this.fleet(config),
          say: (text) => {
            this.say(text);
          },
          yes: flags.yes,
          json: this.jsonEnabled(),
          repeat: flags.repeat,
          width: style.width,
        })
      : sandboxPlace(await sandboxDirectory(flags.dir, 'drill'));
    if (flags.cluster) this.onInterrupt(() => LEFT_BEHIND);
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
        ...(flags.cluster ? { options: optionsOf(flags.config) } : {}),
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
