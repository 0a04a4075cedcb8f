import { Args, Flags } from '@oclif/core';
import { RoutedCommand, writeFlags } from '../../cli/routed-command.js';
import { requestIdOf, valuesOf } from '../../products/request.js';
import { type ProductWritten, changeProduct } from '../../products/service.js';
import { renderWritten } from '../../ui/products.js';
import { listed } from '../../cli/list-flag.js';

export default class ProductCreate extends RoutedCommand<typeof ProductCreate> {
  static override summary = 'Create a product on the leader.';
  static override examples = [
    `<%= config.bin %> <%= command.id %> MUG-1 --name 'Blue mug' --price 9.99 --stock 20`,
    `<%= config.bin %> <%= command.id %> MUG-2 --name Mug --price 8 --attributes '{"colour":"red"}'`,
    `<%= config.bin %> <%= command.id %> 17 --set title=Mug --set weight=0.4`,
  ];

  static override args = {
    sku: Args.string({ required: true, description: 'Its SKU (or the key of your own products table).' }),
  };

  static override flags = {
    ...writeFlags,
    name: Flags.string({ summary: 'Its name.' }),
    description: Flags.string({ summary: 'What it is.' }),
    price: Flags.string({ summary: 'Price, with at most two decimal places.' }),
    currency: Flags.string({ summary: 'Currency, three letters; EUR unless given.' }),
    stock: Flags.string({ summary: 'Pieces in stock; 0 unless given.' }),
    attributes: Flags.string({ summary: 'Anything else, as JSON.', helpValue: 'JSON' }),
    set: Flags.string({ summary: 'Any column.', helpValue: 'COLUMN=VALUE', ...listed }),
  };

  async run(): Promise<ProductWritten> {
    const { name, description, price, currency, stock, attributes, set, session } = this.flags;
    const requestId = requestIdOf(this.flags['request-id']);
    const named = { name, description, price, currency, stock, attributes };
    const written = await changeProduct(
      this.routing(this.cluster(), session, 'write'),
      requestId,
      (table) => ({
        action: 'create',
        key: this.args.sku,
        values: valuesOf(table, { named: { [table.key.name]: this.args.sku, ...named }, set }),
      }),
    );
    return this.show(written, renderWritten);
  }
}
