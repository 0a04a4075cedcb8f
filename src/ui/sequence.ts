import { tableKey } from '../replication/publications.js';
import type { SequenceList } from '../replication/sequence-view.js';
import type { Style } from './color.js';
import { dash, withUnseen } from './parts.js';
import { renderTable } from './table.js';

export function renderSequences(result: SequenceList, style: Style): string {
  const { c } = style;
  const rows = result.sequences.flatMap((sequence) => [
    ...sequence.nodes.map((one, i) => [
      i === 0 ? tableKey(sequence) : '',
      i === 0 ? sequence.columns.map((column) => `${column.name}.${column.column}`).join(', ') || 'free' : '',
      one.node === result.leader ? `${one.node} ★` : one.node,
      one.isCalled ? one.lastValue : c.dim(`${one.lastValue} (unused)`),
      dash(one.highestInUse),
    ]),
    ...sequence.missingOn.map((node) => ['', '', node, c.red('missing'), '–']),
  ]);
  const table =
    rows.length === 0
      ? 'No sequence.'
      : renderTable(
          [
            { head: 'Sequence' },
            { head: 'Used by' },
            { head: 'Node' },
            { head: 'Last value', align: 'right' },
            { head: 'Highest in use', align: 'right' },
          ],
          rows,
          style,
        );
  return withUnseen(table, result.unreachable, style);
}
