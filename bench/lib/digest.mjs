// The bare digest of the products table, as `check` has it but with no safety at all: one statement, one backend.
const text = (column) => `(t.${column}::text) collate "C"`;
const row = [
  text('attributes'),
  'timestamptz_send(t.created_at)',
  text('currency'),
  text('description'),
  'int8send(t.id)',
  text('name'),
  'numeric_send(t.price)',
  text('sku'),
  'int8send(t.stock::int8)',
  'timestamptz_send(t.updated_at)',
  'int8send(t.version::int8)',
];
export const BARE_DIGEST = `select count(*)::int as rows, bit_xor(hashtextextended(hash_record_extended(row(${row.join(', ')}), 0)::text, 1))::text as digest from only products t`;
/** What a session needs for it: one backend a node, as psql would do it. */
export const BARE_SETTINGS = 'set jit = off; set max_parallel_workers_per_gather = 0';
