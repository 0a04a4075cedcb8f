/** Pieces of catalog queries that decide whether a table can be replicated; `c` is its pg_class row. */

/** `name type` of each column, generated ones left out. */
export const COLUMNS_SQL = `
       array(select a.attname || ' ' || format_type(a.atttypid, a.atttypmod) from pg_attribute a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
              order by a.attname)`;

/** Changed rows can be named in the table and all its partitions; needs a CTE members (oid, member). */
export const IDENTIFIABLE_SQL = `
       (select coalesce(bool_and(case m.relreplident
                 when 'f' then true
                 when 'd' then exists (select from pg_index i where i.indrelid = m.oid and i.indisprimary)
                 when 'i' then exists (select from pg_index i where i.indrelid = m.oid and i.indisreplident)
                 else false end), true)
          from members b join pg_class m on m.oid = b.member where b.oid = c.oid and m.relkind = 'r')`;
