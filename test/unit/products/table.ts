/** Our table, as the catalog describes it. */
import type { ColumnKind, ProductColumn, ProductTable } from '../../../src/products/table.js';

export const column = (
  name: string,
  type: string,
  kind: ColumnKind,
  over: Partial<ProductColumn> = {},
): ProductColumn => ({
  name,
  type,
  cast: type.replace(/\(.*\)/, ''),
  kind,
  notNull: true,
  default: null,
  managed: false,
  collatable: kind === 'text',
  ...over,
});

const sku = column('sku', 'text', 'text');

export const products: ProductTable = {
  schema: 'public',
  name: 'products',
  key: sku,
  columns: [
    column('id', 'bigint', 'integer', { managed: true }),
    sku,
    column('name', 'text', 'text'),
    column('description', 'text', 'text', { notNull: false }),
    column('price', 'numeric(12,2)', 'numeric'),
    column('currency', 'text', 'text', { default: `'EUR'::text` }),
    column('stock', 'integer', 'integer', { default: '0' }),
    column('attributes', 'jsonb', 'json', { default: `'{}'::jsonb` }),
    column('version', 'integer', 'integer', { default: '1' }),
    column('updated_at', 'timestamp with time zone', 'timestamptz', { default: 'now()' }),
  ],
};
