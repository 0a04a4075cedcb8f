import { Flags } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import { parseDuration } from '../cli/duration.js';
import { repeat } from '../cli/repeat.js';
import { styleFor } from '../cli/terminal.js';
import type { LagReport } from '../cluster/lag.js';
import { measureLag } from '../cluster/measure-lag.js';
import { EXIT, RepctlError } from '../errors.js';
import { renderLag, sparkValue } from '../ui/lag.js';

export default class Lag extends BaseCommand<typeof Lag> {
  static override summary = 'Show how far each replica is behind: bytes, time, transactions.';
  static override description =
    'With --probe rows are committed on the leader (in repctl.event, deleted afterwards) and awaited on each replica: the true end-to-end delay. Exit status 4 when a threshold is crossed or a figure that it needs is not known.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --probe --samples 100',
    '<%= config.bin %> <%= command.id %> --probe --watch',
    '<%= config.bin %> <%= command.id %> --max-bytes 1000000 --max-seconds 5 --json',
  ];

  static override flags = {
    probe: Flags.boolean({ summary: 'Measure the end-to-end delay with rows of its own.' }),
    samples: Flags.integer({
      summary: 'How many rows --probe sends (20; 1 a look with --watch).',
      min: 1,
      max: 100_000,
    }),
    watch: Flags.boolean({ char: 'w', summary: 'Draw it again and again until Ctrl-C.' }),
    interval: Flags.string({
      summary: 'Time between two looks with --watch.',
      helpValue: 'DURATION',
      default: '1s',
    }),
    'max-bytes': Flags.integer({ summary: 'Exit 4 when a replica is further behind.', min: 0 }),
    'max-seconds': Flags.string({ summary: 'Exit 4 when a replica is later.', helpValue: 'SECONDS' }),
  };

  async run(): Promise<LagReport | undefined> {
    const { flags } = this;
    const config = this.cluster();
    const fleet = this.fleet(config);
    const limits = { maxBytes: flags['max-bytes'], maxSeconds: secondsOf(flags['max-seconds']) };
    const samples =
      flags.probe || flags.samples !== undefined ? (flags.samples ?? (flags.watch ? 1 : 20)) : 0;
    if (!flags.watch) {
      // Ctrl-C ends the probing, not the process: the rows that it wrote must go.
      const signal = samples > 0 ? this.interruptible('') : undefined;
      const report = await measureLag(fleet, { limits, samples, signal });
      if (signal?.aborted === true)
        throw new RepctlError('interrupted', 'Interrupted.', { exit: EXIT.interrupted });
      this.show(report, renderLag);
      if (report.crossed.length > 0) this.exitWith(EXIT.unhealthy);
      return report;
    }
    if (this.jsonEnabled()) throw new RepctlError('usage', '--watch and --json do not go together.');
    const signal = this.interruptible('');
    const history = new Map<string, (number | null)[]>();
    await repeat(process.stdout, parseDuration(flags.interval, '--interval'), signal, async () => {
      const report = await measureLag(fleet, { limits, samples, signal });
      for (const it of report.replicas)
        history.set(it.node, [...(history.get(it.node) ?? []), sparkValue(it)].slice(-200));
      return renderLag(report, styleFor(process.stdout, flags['no-color']), history);
    });
    this.exitWith(EXIT.interrupted);
    return undefined;
  }
}

function secondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new RepctlError(
    'usage',
    `--max-seconds takes a number that is not negative, not ${JSON.stringify(text)}.`,
  );
}
