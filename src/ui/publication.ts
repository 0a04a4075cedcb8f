import { tableKey } from '../replication/publications.js';
import type { PublicationList, PublicationTable, PublicationView } from '../replication/views/publication.js';
import type { Style } from './color.js';
import { facts, owner, withUnseen } from './parts.js';
import { renderTable } from './table.js';

export function renderPublications(result: PublicationList, style: Style): string {
  const rows = result.publications.map((one) => [
    one.node,
    one.name,
    one.allTables ? 'all' : String(one.tables.length),
    owner(one.own, style),
  ]);
  const table =
    rows.length === 0
      ? 'No publication.'
      : renderTable(
          [
            { head: 'Node' },
            { head: 'Publication' },
            { head: 'Tables', align: 'right' },
            { head: 'Made by' },
          ],
          rows,
          style,
        );
  return withUnseen(table, result.unreachable, style);
}

const IDENTITY: Readonly<Record<string, string>> = {
  d: 'primary key',
  i: 'index',
  f: 'full row',
  n: 'nothing',
};

export function renderPublication(result: PublicationView, style: Style): string {
  const { c } = style;
  const head = facts(
    [
      ['Publication', `${result.name} (${owner(result.own, style)})`],
      ['Nodes', result.nodes.join(', ')],
      ...(result.missingOn.length > 0 ? [['Missing on', c.red(result.missingOn.join(', '))] as const] : []),
      ['Tables', result.allTables ? 'all, also those made later' : String(result.tables.length)],
    ],
    style,
  );
  const table = renderTable(
    [
      { head: 'Table' },
      { head: 'Rows known by' },
      ...(result.own ? [{ head: 'Fence' }] : []),
      { head: 'Published by' },
    ],
    result.tables.map((one) => [
      tableKey(one),
      identity(one, style),
      ...(result.own ? [fence(one)] : []),
      one.nodes.length === result.nodes.length && result.missingOn.length === 0
        ? 'all'
        : c.red(one.nodes.join(', ')),
    ]),
    style,
  );
  return withUnseen(`${head}\n\n${table}`, result.unreachable, style);
}

function identity(table: PublicationTable, { c }: Style): string {
  if (table.replicaIdentity === null) return '–';
  const nothing =
    table.replicaIdentity === 'n' || (table.replicaIdentity === 'd' && table.hasPrimaryKey === false);
  return nothing ? c.red('nothing') : (IDENTITY[table.replicaIdentity] ?? table.replicaIdentity);
}

/** `n1 open · n2, n3 closed`. */
function fence(table: PublicationTable): string {
  const groups = new Map<string, string[]>();
  for (const [node, state] of Object.entries(table.fences ?? {}))
    groups.set(state, [...(groups.get(state) ?? []), node]);
  return [...groups].map(([state, nodes]) => `${state} on ${nodes.join(', ')}`).join(' · ');
}
