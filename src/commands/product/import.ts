import { Args, Flags } from '@oclif/core';
import { openInput } from '../../cli/input.js';
import { progressLine } from '../../cli/progress-line.js';
import { RoutedCommand, sessionFlag } from '../../cli/routed-command.js';
import { type ImportResult, importProducts } from '../../products/import.js';
import { type RejectFile, openRejectFile } from '../../products/reject-file.js';
import { describeProducts } from '../../products/table.js';
import type { Mark } from '../../routing/token.js';
import { write } from '../../routing/write.js';
import { renderImport, renderImportProgress } from '../../ui/products.js';

type Imported = ImportResult & { node: string; token: Mark; rejectFile: string | null };

export default class ProductImport extends RoutedCommand<typeof ProductImport> {
  static override summary = 'Create and update products from CSV or NDJSON, by SKU.';
  static override description =
    'All or nothing, unless --continue is given. UTF-8; the first line of a CSV file names the columns; an empty field is null, "" an empty text. Columns that the server keeps (id, version, created_at, updated_at) are left to it.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> products.csv',
    '<%= config.bin %> <%= command.id %> products.csv --dry-run',
    '<%= config.bin %> product export --format ndjson | <%= config.bin %> <%= command.id %> - --format ndjson',
    '<%= config.bin %> <%= command.id %> products.csv --continue --reject-file rejects.ndjson',
  ];

  static override args = {
    file: Args.string({ default: '-', description: 'The file; - is stdin.' }),
  };

  static override flags = {
    ...sessionFlag,
    format: Flags.option({
      summary: 'What the input is; by the name of the file, else csv.',
      options: ['csv', 'ndjson'] as const,
    })(),
    'dry-run': Flags.boolean({ summary: 'Do everything, then take it back.' }),
    continue: Flags.boolean({ summary: 'Leave out what does not fit and import the rest.' }),
    'reject-file': Flags.string({
      summary: 'With --continue: where to write what was left out.',
      helpValue: 'FILE',
      default: 'rejects.ndjson',
    }),
  };

  async run(): Promise<Imported> {
    const { session, 'dry-run': dryRun } = this.flags;
    const format = this.flags.format ?? (/\.(?:ndjson|jsonl)$/i.test(this.args.file) ? 'ndjson' : 'csv');
    const config = this.cluster();
    const input = openInput(this.args.file);
    const line = progressLine(process.stderr, this.jsonEnabled());
    let rejects: RejectFile | undefined;
    try {
      const { value, node, token } = await write(
        this.routing(config, session, 'write'),
        async (target) => {
          const table = await describeProducts(target.session, config);
          rejects ??= this.flags.continue ? openRejectFile(this.flags['reject-file']) : undefined;
          return importProducts(target.session, table, {
            input,
            format,
            dryRun,
            reject: rejects && ((reject) => rejects?.add(reject)),
            beforeCommit: () => rejects?.flush(),
            progress: (progress) => {
              line.show(renderImportProgress(progress, this.errStyle()));
            },
          });
        },
        () => false,
        'Run the same import again: what is there already is left as it is.',
      );
      line.clear();
      const rejectFile = value.rejected > 0 ? this.flags['reject-file'] : null;
      if (value.ignoredColumns.length > 0)
        this.say(this.errStyle().c.dim(`Left to the server: ${value.ignoredColumns.join(', ')}.`));
      return this.show({ ...value, node, token, rejectFile }, renderImport);
    } finally {
      line.clear();
      rejects?.close();
    }
  }
}
