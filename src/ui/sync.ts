/** `repctl sync`: what commits wait for. */
import { syncText } from '../cluster/sync.js';
import type { SyncView } from '../cluster/sync-view.js';
import type { Style } from './color.js';
import { renderFindings } from './findings.js';
import { renderTable } from './table.js';

export function renderSync(view: SyncView, style: Style): string {
  const { c } = style;
  const { sync } = view;
  const lines = [
    `${c.bold(view.cluster)}   sync ${syncText(sync)}   leader ${view.leader}`,
    sync.k === 0
      ? 'Commits wait for no replica: a leader that dies may take acknowledged writes with it.'
      : `Each commit waits for ${String(sync.k)} of ${sync.names.join(', ')}; any ${String(sync.names.length - sync.k + 1)} of them have every acknowledged one.`,
    ...(sync.waiting === null || sync.waiting === 0
      ? []
      : [c.yellow(`${String(sync.waiting)} ${sync.waiting === 1 ? 'session waits' : 'sessions wait'} now.`)]),
  ];
  const table =
    view.replicas.length === 0
      ? ''
      : renderTable(
          [{ head: 'Replica' }, { head: 'Counts' }, { head: 'Connected' }, { head: 'Applies with' }],
          view.replicas.map((one) => [
            one.name,
            one.counts ? 'yes' : 'no',
            one.connected ? c.green('yes') : c.red('no'),
            one.synchronousCommit ?? '–',
          ]),
          style,
        );
  return [lines.join('\n'), table, renderFindings(view.findings, style)]
    .filter((part) => part !== '')
    .join('\n\n');
}
