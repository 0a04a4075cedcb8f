/**
 * How a publication sends one table, from the catalogs alone: pg_publication_tables opens every table of the
 * publication, and so would wait for a lock on any other of them, once for each table that is looked at.
 */

/**
 * For `from pg_class c left join lateral (…) p on true`; `publication` is an SQL expression for its name. No row where
 * the table is not in it. Columns: rowfilter (text, null without one), attrs (int2[], null without a column list),
 * gencols (pg_publication.pubgencols of 18, `s` for stored ones; null before).
 */
export const publishedSql = (publication: string): string => `
  select pg_get_expr(r.prqual, r.prrelid) as rowfilter, r.prattrs::int2[] as attrs, to_jsonb(b) ->> 'pubgencols' as gencols
  from pg_catalog.pg_publication b
  left join pg_catalog.pg_publication_rel r on r.prpubid = b.oid and r.prrelid = c.oid
  cross join lateral (
    select bool_or(m.oid = c.oid) as itself, bool_or(m.oid <> c.oid) as above
    from (select c.oid as oid union select a.oid from pg_catalog.pg_partition_ancestors(c.oid) a(oid)) t(oid)
    join pg_catalog.pg_class m on m.oid = t.oid
    where b.puballtables
       or exists (select from pg_catalog.pg_publication_rel e where e.prpubid = b.oid and e.prrelid = m.oid)
       or exists (select from pg_catalog.pg_publication_namespace s where s.pnpubid = b.oid and s.pnnspid = m.relnamespace)
  ) member
  where b.pubname = ${publication}
    and case when b.pubviaroot then member.itself and not member.above else c.relkind = 'r' and member.itself is not null end`;

/** Whether column `a` is sent, where the table is in the publication `p`. Before 18 generated columns never are. */
export const IS_SENT_SQL = `
  case when p.attrs is null then a.attgenerated = '' or (a.attgenerated = 's' and coalesce(p.gencols, 'n') = 's')
       else a.attnum = any(p.attrs) and (a.attgenerated = '' or current_setting('server_version_num')::int >= 180000) end`;
