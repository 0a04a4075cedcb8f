/** Whether this role may read a table, and the GRANT that it lacks. */
import type { TableName } from '../cluster/model.js';
import type { Session } from '../postgres/session.js';

/** $1 schema, $2 table, $3 columns. */
const READABLE_SQL = `
  select current_user as role, has_schema_privilege(n.oid, 'usage') as usage,
         not exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = any($3::text[])
                     and not has_column_privilege(c.oid, a.attnum, 'select')) as readable,
         row_security_active(c.oid) as hidden,
         format('grant usage on schema %I to %I', n.nspname, current_user) as "grantUsage",
         format('grant select on %I.%I to %I', n.nspname, c.relname, current_user) as "grantSelect",
         format('alter role %I bypassrls', current_user) as bypass
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = $2`;

interface Row {
  role: string;
  usage: boolean;
  readable: boolean;
  hidden: boolean;
  grantUsage: string;
  grantSelect: string;
  bypass: string;
}

/** Why not all rows and columns can be read here, with what to type; null when they can, or the table is not there. */
export async function whyUnreadable(
  session: Session,
  { schema, name }: TableName,
  columns: readonly string[],
): Promise<string | null> {
  const [row] = await session.query<Row>(READABLE_SQL, [schema, name, columns]);
  if (row === undefined) return null;
  const grants = [...(row.usage ? [] : [row.grantUsage]), ...(row.readable ? [] : [row.grantSelect])];
  if (grants.length > 0) return `${row.role} may not read it on ${session.node}: ${grants.join('; ')};`;
  if (row.hidden) return `row-level security hides rows from ${row.role} on ${session.node}: ${row.bypass};`;
  return null;
}
