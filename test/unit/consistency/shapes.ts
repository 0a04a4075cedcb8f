import type { ColumnShape, TableShape } from '../../../src/consistency/shape.js';

export const column = (name: string, base: string, more: Partial<ColumnShape> = {}): ColumnShape => ({
  name,
  type: base,
  base,
  notNull: false,
  generated: '',
  defaultExpression: null,
  identity: '',
  collation: null,
  output: null,
  equals: '=',
  published: true,
  ...more,
});

export const shape = (columns: ColumnShape[], more: Partial<TableShape> = {}): TableShape => ({
  schema: 'public',
  name: 'items',
  kind: 'r',
  columns,
  key: ['id'],
  keys: [more.key ?? ['id']],
  uniques: [],
  filter: null,
  estimatedRows: 0,
  bytes: 0,
  ...more,
});
