import path from 'node:path';
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { drillsDirectory } from '../../drill/record.js';
import { readDrills } from '../../drill/report/read.js';
import { experimentsOf } from '../../drill/report/summary.js';
import { writeReport } from '../../drill/report/write.js';
import { renderCsv } from '../../ui/drill-report/csv.js';
import { renderMarkdown } from '../../ui/drill-report/markdown.js';
import { type ReportResult, renderReported } from '../../ui/drill-report/reported.js';
import { listed } from '../../cli/list-flag.js';

export default class DrillReport extends BaseCommand<typeof DrillReport> {
  static override summary = 'Tell of drills that were recorded: timelines, figures, verdicts.';
  static override description =
    'One self-contained HTML file: no network, no script, light and dark, fit for print and telephone. Markdown and CSV hold the same figures, --json too.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --last 5 --out drills.html',
    '<%= config.bin %> <%= command.id %> --scenario leader-killed --format md --out -',
    '<%= config.bin %> <%= command.id %> --json',
  ];
  static override args = {
    run: Args.string({
      description: 'Names of runs, or how they begin; all by default.',
      multiple: true,
    }),
  };
  static override flags = {
    scenario: Flags.string({
      summary: 'Only runs of this scenario (may be repeated).',
      ...listed,
      multipleNonGreedy: true,
      helpValue: 'NAME',
    }),
    last: Flags.integer({ summary: 'Only the last so many runs of each.', helpValue: 'N', min: 1 }),
    format: Flags.option({
      summary: 'What to write.',
      options: ['html', 'md', 'csv'] as const,
      default: 'html',
    })(),
    out: Flags.string({
      summary: 'The file to write, - for standard output; default report.FORMAT beside the runs.',
      helpValue: 'FILE',
    }),
  };

  async run(): Promise<ReportResult> {
    const { flags } = this;
    const { drills, unreadable } = await readDrills({
      runs: this.args.run ?? [],
      scenarios: flags.scenario,
      last: flags.last,
    });
    const results = drills.map(({ result }) => result);
    const experiments = experimentsOf(results);
    const text = async (): Promise<string> => {
      if (flags.format === 'csv') return renderCsv(results);
      if (flags.format === 'md') return renderMarkdown(experiments, results);
      // The charts' library is large: nobody else loads it.
      const { renderHtml } = await import('../../ui/drill-report/html.js');
      return renderHtml({ drills, experiments, madeAt: new Date().toISOString() });
    };
    const file =
      flags.out === '-'
        ? null
        : path.resolve(flags.out ?? path.join(drillsDirectory(), `report.${flags.format}`));
    if (file !== null) await writeReport(file, await text());
    else if (!this.jsonEnabled()) process.stdout.write(await text());
    const result = { file, experiments, runs: results.map(({ run }) => run), unreadable };
    return file === null ? result : this.show(result, renderReported);
  }
}
