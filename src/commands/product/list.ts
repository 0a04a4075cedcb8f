import { Flags } from '@oclif/core';
import { RoutedCommand, readFlags } from '../../cli/routed-command.js';
import type { ListRequest } from '../../products/list.js';
import { parseColumns, parseCursor, parseFilter, parseLimit, parseSort } from '../../products/list.js';
import type { Product } from '../../products/output.js';
import { listProducts } from '../../products/service.js';
import { PRODUCT_FORMATS, productsCsv, productsNdjson, renderProducts } from '../../ui/products.js';
import { listed } from '../../cli/list-flag.js';

interface ProductList {
  products: readonly Product[];
  /** For --after; null on the last page. */
  next: string | null;
  node: string;
  epoch: number | null;
}

export default class ProductListCommand extends RoutedCommand<typeof ProductListCommand> {
  static override summary = 'List products, read from a replica.';
  static override description =
    'Pages follow each other by key: --after takes what the page before printed last. Texts are ordered bytewise, the same on every server. For everything at once see product export.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --limit 10',
    `<%= config.bin %> <%= command.id %> --filter 'price>=10' --filter currency=EUR --sort -price`,
    '<%= config.bin %> <%= command.id %> --filter name~mug --columns sku,name,stock --format csv',
  ];

  static override flags = {
    ...readFlags,
    filter: Flags.string({
      char: 'f',
      summary: 'Only these: column=value; also != > >= < <= ~ (contains), is null, is not null.',
      helpValue: 'CONDITION',
      ...listed,
    }),
    sort: Flags.string({
      summary: 'Order by these columns, -column for the other way.',
      ...listed,
    }),
    limit: Flags.string({ char: 'l', summary: 'At most so many.', default: '50' }),
    after: Flags.string({ summary: 'Go on after the page before.', helpValue: 'WORD' }),
    columns: Flags.string({ summary: 'Only these columns, with commas between.' }),
    format: Flags.option({
      summary: 'How to print them.',
      options: PRODUCT_FORMATS,
      default: 'table' as const,
    })(),
  };

  override async init(): Promise<void> {
    // The parser would take -price for flags; price:desc says the same.
    this.argv = this.argv.map((word, index) =>
      word.startsWith('--sort=-')
        ? `--sort=${word.slice('--sort=-'.length)}:desc`
        : this.argv[index - 1] === '--sort' && /^-[^-]/.test(word)
          ? `${word.slice(1)}:desc`
          : word,
    );
    await super.init();
  }

  async run(): Promise<ProductList> {
    const { level, node, session, filter, sort, after, columns, format } = this.flags;
    const limit = parseLimit(this.flags.limit);
    const routing = this.routing(this.cluster(), session, 'read');
    const { page, request, served } = await listProducts(routing, { level, node }, (table): ListRequest => {
      const keys = parseSort(table, sort);
      return {
        filters: filter.map((text) => parseFilter(table, text)),
        sort: keys,
        columns: parseColumns(table, columns),
        limit,
        after: after === undefined ? undefined : parseCursor(table, keys, after),
      };
    });
    const names = request.columns.map((column) => column.name);
    const result = { products: page.products, next: page.next, node: served.node, epoch: served.epoch };
    if (this.jsonEnabled()) return result;
    // Data goes out as it is: hiding what looks like a password would change it.
    if (format === 'csv') process.stdout.write(productsCsv(page, names));
    else if (format === 'ndjson') process.stdout.write(productsNdjson(page));
    else if (format === 'json') process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    else this.show(page, (shown, style) => renderProducts(shown, names, columns !== undefined, style));
    if (page.next !== null) this.say(this.errStyle().c.dim(`More: --after ${shellWord(page.next)}`));
    return result;
  }
}

const shellWord = (text: string): string =>
  /^[\w.:/@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
