/** The table of a drill on the user's own cluster: in a schema of its own, marked as what it is. Pure. */
import type { TableName } from '../../cluster/model.js';
import { ident, literal } from '../../postgres/quote.js';
import { productsSql } from '../../products/schema.js';

/** Called products, as the routing of products wants it. */
export const DRILL_TABLE: TableName = { schema: 'repctl_drill', name: 'products' };

/** What the comment of the schema says of the drill that made it. */
export interface Mark {
  readonly run: string;
  /** Who led when it began. */
  readonly leader: string;
}

const MARK = /^repctl drill (?<run>\S+), led by (?<leader>[a-z][a-z0-9_]{0,29})$/u;

export const markText = ({ run, leader }: Mark): string => `repctl drill ${run}, led by ${leader}`;

export function markOf(comment: string | null): Mark | undefined {
  const { run, leader } = MARK.exec(comment ?? '')?.groups ?? {};
  return run === undefined || leader === undefined ? undefined : { run, leader };
}

const schema = ident(DRILL_TABLE.schema);

/** One transaction: a schema that is there without its mark would be nobody's. */
export const createSql = (mark: Mark): readonly string[] => [
  `create schema ${schema}`,
  `comment on schema ${schema} is ${literal(markText(mark))}`,
  ...productsSql(DRILL_TABLE),
];

/** One transaction, safe to run again. Without cascade: what somebody else has put into the schema keeps it. */
export const removeSql: readonly string[] = [
  `drop table if exists ${schema}.${ident(DRILL_TABLE.name)}`,
  `drop schema if exists ${schema}`,
];

/**
 * What is in the way, and what this role may: one row. $1 schema, $2 table. Relations are tables, views, sequences
 * and the like, but for those that belong to the table.
 */
export const LOOK_SQL = `
select has_database_privilege(current_database(), 'create') as may,
       n.oid is not null as there,
       obj_description(n.oid, 'pg_namespace') as comment,
       to_regclass(quote_ident($1) || '.' || quote_ident($2)) is not null as "table",
       (select count(*)::int from pg_class c where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
          and c.relname <> $2 and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
            and d.objid = c.oid and d.refobjid = to_regclass(quote_ident($1) || '.' || quote_ident($2))
            and d.deptype in ('a', 'i'))) as strange
  from (select) one left join pg_namespace n on n.nspname = $1`;
