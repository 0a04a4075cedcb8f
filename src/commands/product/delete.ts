import { Args, Flags } from '@oclif/core';
import { RoutedCommand, writeFlags } from '../../cli/routed-command.js';
import { parseVersion, requestIdOf } from '../../products/request.js';
import { type ProductWritten, changeProduct } from '../../products/service.js';
import { renderWritten } from '../../ui/products.js';

export default class ProductDelete extends RoutedCommand<typeof ProductDelete> {
  static override summary = 'Delete a product on the leader.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> MUG-1',
    '<%= config.bin %> <%= command.id %> MUG-1 --if-version 3',
  ];

  static override args = {
    sku: Args.string({ required: true, description: 'Its SKU (or the key of your own products table).' }),
  };

  static override flags = {
    ...writeFlags,
    'if-version': Flags.string({ summary: 'Only while it is at this version.', helpValue: 'VERSION' }),
  };

  async run(): Promise<ProductWritten> {
    const requestId = requestIdOf(this.flags['request-id']);
    const version = this.flags['if-version'];
    const ifVersion = version === undefined ? undefined : parseVersion(version);
    const written = await changeProduct(
      this.routing(this.cluster(), this.flags.session, 'write'),
      requestId,
      () => ({ action: 'delete', key: this.args.sku, ifVersion }),
    );
    return this.show(written, renderWritten);
  }
}
