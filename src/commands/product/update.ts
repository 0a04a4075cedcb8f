import { Args, Flags } from '@oclif/core';
import { RoutedCommand, writeFlags } from '../../cli/routed-command.js';
import { parseVersion, requestIdOf, valuesOf } from '../../products/request.js';
import { type ProductWritten, changeProduct } from '../../products/service.js';
import { renderWritten } from '../../ui/products.js';
import { listed } from '../../cli/list-flag.js';

export default class ProductUpdate extends RoutedCommand<typeof ProductUpdate> {
  static override summary = 'Change columns of a product on the leader.';
  static override description =
    'With --if-version the change is refused (exit 6) when somebody changed the product meanwhile.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> MUG-1 --price 10.49',
    '<%= config.bin %> <%= command.id %> MUG-1 --price 10.49 --if-version 3',
    '<%= config.bin %> <%= command.id %> MUG-1 --set sku=MUG-100 --unset description',
  ];

  static override args = {
    sku: Args.string({ required: true, description: 'Its SKU (or the key of your own products table).' }),
  };

  static override flags = {
    ...writeFlags,
    name: Flags.string({ summary: 'Its name.' }),
    description: Flags.string({ summary: 'What it is.' }),
    price: Flags.string({ summary: 'Price, with at most two decimal places.' }),
    currency: Flags.string({ summary: 'Currency, three letters.' }),
    stock: Flags.string({ summary: 'Pieces in stock; see also product adjust.' }),
    attributes: Flags.string({ summary: 'Anything else, as JSON.', helpValue: 'JSON' }),
    set: Flags.string({ summary: 'Any column.', helpValue: 'COLUMN=VALUE', ...listed }),
    unset: Flags.string({ summary: 'Make a column null.', helpValue: 'COLUMN', ...listed }),
    'if-version': Flags.string({ summary: 'Only while it is at this version.', helpValue: 'VERSION' }),
  };

  async run(): Promise<ProductWritten> {
    const { name, description, price, currency, stock, attributes, set, unset, session } = this.flags;
    const requestId = requestIdOf(this.flags['request-id']);
    const version = this.flags['if-version'];
    const ifVersion = version === undefined ? undefined : parseVersion(version);
    const named = { name, description, price, currency, stock, attributes };
    const written = await changeProduct(
      this.routing(this.cluster(), session, 'write'),
      requestId,
      (table) => ({
        action: 'update',
        key: this.args.sku,
        values: valuesOf(table, { named, set, unset }),
        ifVersion,
      }),
    );
    return this.show(written, renderWritten);
  }
}
