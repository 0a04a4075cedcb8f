import { Flags } from '@oclif/core';
import { withOutput } from '../../cli/output.js';
import { progressLine } from '../../cli/progress-line.js';
import { RoutedCommand, readFlags } from '../../cli/routed-command.js';
import { RepctlError } from '../../errors.js';
import { type ExportResult, exportProducts } from '../../products/export.js';
import { parseColumns } from '../../products/list.js';
import { describeProducts } from '../../products/table.js';
import { read } from '../../routing/read.js';
import { formatBytes, formatCount } from '../../ui/format.js';

type Exported = ExportResult & { node: string; epoch: number | null; output: string | null };

export default class ProductExport extends RoutedCommand<typeof ProductExport> {
  static override summary = 'Write all products as CSV or NDJSON, as they are at one moment.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> > products.csv',
    '<%= config.bin %> <%= command.id %> --format ndjson --output products.ndjson',
    '<%= config.bin %> <%= command.id %> --columns sku,price | head',
  ];

  static override flags = {
    ...readFlags,
    format: Flags.option({
      summary: 'What to write; by the name of the file, else csv.',
      options: ['csv', 'ndjson'] as const,
    })(),
    columns: Flags.string({ summary: 'Only these columns, with commas between.' }),
    output: Flags.string({ char: 'o', summary: 'Into this file instead of stdout.', helpValue: 'FILE' }),
  };

  async run(): Promise<Exported> {
    const { level, node, session, columns, output } = this.flags;
    if (this.jsonEnabled() && output === undefined)
      throw new RepctlError(
        'usage',
        '--json needs --output: stdout cannot hold the products and the report.',
      );
    const format = this.flags.format ?? (/\.(?:ndjson|jsonl)$/i.test(output ?? '') ? 'ndjson' : 'csv');
    const config = this.cluster();
    const line = progressLine(process.stderr, this.jsonEnabled() || output === undefined);
    const routing = this.routing(config, session, 'read');
    // Once rows are out, another node cannot begin anew.
    const { value, served } = await read(routing, { level, node, repeatable: false }, async (source) => {
      const table = await describeProducts(source, config);
      return withOutput(output, (stream) =>
        exportProducts(source, table, {
          columns: parseColumns(table, columns),
          format,
          output: stream,
          progress: (bytes) => {
            line.show(`exporting ${formatBytes(bytes)}`);
          },
        }),
      );
    });
    line.clear();
    const result = { ...value, node: served.node, epoch: served.epoch, output: output ?? null };
    if (output !== undefined)
      this.say(
        `✓ ${formatCount(value.rows)} products, ${formatBytes(value.bytes)}, from ${served.node} to ${output}`,
      );
    return result;
  }
}
