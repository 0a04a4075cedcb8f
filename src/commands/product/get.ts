import { Args } from '@oclif/core';
import { RoutedCommand, readFlags } from '../../cli/routed-command.js';
import { type ProductRead, getProduct } from '../../products/service.js';
import { renderProduct } from '../../ui/products.js';

export default class ProductGet extends RoutedCommand<typeof ProductGet> {
  static override summary = 'Show a product, read from a replica.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> MUG-1',
    '<%= config.bin %> <%= command.id %> MUG-1 --level strong',
    '<%= config.bin %> <%= command.id %> MUG-1 --node n3 --json',
  ];

  static override args = {
    sku: Args.string({ required: true, description: 'Its SKU (or the key of your own products table).' }),
  };

  static override flags = { ...readFlags };

  async run(): Promise<ProductRead> {
    const { level, node, session } = this.flags;
    const routing = this.routing(this.cluster(), session, 'read');
    return this.show(await getProduct(routing, { level, node }, this.args.sku), renderProduct);
  }
}
