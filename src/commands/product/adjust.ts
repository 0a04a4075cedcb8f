import { Args } from '@oclif/core';
import { RoutedCommand, writeFlags } from '../../cli/routed-command.js';
import { parseDelta, requestIdOf } from '../../products/request.js';
import { type ProductWritten, changeProduct } from '../../products/service.js';
import { renderWritten } from '../../ui/products.js';

export default class ProductAdjust extends RoutedCommand<typeof ProductAdjust> {
  static override summary = 'Add to the stock of a product or take from it, atomically.';
  static override description = 'Refused (exit 6) when there is less in stock than is to be taken.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> MUG-1 +5',
    '<%= config.bin %> <%= command.id %> MUG-1 -3',
  ];

  static override args = {
    sku: Args.string({ required: true, description: 'Its SKU (or the key of your own products table).' }),
    change: Args.string({ required: true, description: 'How many more or fewer: +5 or -3.' }),
  };

  static override flags = { ...writeFlags };

  override async init(): Promise<void> {
    // The parser would take -3 for a flag; with a space before it is an argument.
    this.argv = this.argv.map((word) => (/^-\d+$/.test(word) ? ` ${word}` : word));
    await super.init();
  }

  async run(): Promise<ProductWritten> {
    const delta = parseDelta(this.args.change);
    const requestId = requestIdOf(this.flags['request-id']);
    const written = await changeProduct(
      this.routing(this.cluster(), this.flags.session, 'write'),
      requestId,
      () => ({ action: 'adjust', key: this.args.sku, delta }),
    );
    return this.show(written, renderWritten);
  }
}
