import type { SlotList, SlotView } from '../replication/views/slot.js';
import type { Style } from './color.js';
import { formatBytes } from './format.js';
import { dash, owner, withUnseen } from './parts.js';
import { renderTable } from './table.js';

function state(slot: SlotView, { c }: Style): string {
  if (slot.invalidReason !== null || slot.walStatus === 'lost')
    return c.red(`lost${slot.invalidReason === null ? '' : ` (${slot.invalidReason})`}`);
  if (slot.active) return c.green(`read by ${dash(slot.activePid)}`);
  return slot.purpose === 'standby' ? 'held' : c.yellow('idle');
}

const PURPOSE: Readonly<Record<SlotView['purpose'], string>> = {
  feeds: 'feeds',
  standby: 'standby for',
  copy: 'initial copy',
  foreign: '–',
};

export function renderSlots(result: SlotList, style: Style): string {
  const rows = result.slots.map((slot) => [
    slot.node,
    slot.name,
    slot.for === null ? PURPOSE[slot.purpose] : `${PURPOSE[slot.purpose]} ${slot.for}`,
    state(slot, style),
    formatBytes(slot.retainedBytes),
    dash(slot.confirmedFlushLsn),
    slot.base === null ? '–' : `${slot.base.lsn} (e${String(slot.base.epoch)})`,
    owner(slot.own, style),
  ]);
  const table =
    rows.length === 0
      ? 'No slot.'
      : renderTable(
          [
            { head: 'Node' },
            { head: 'Slot' },
            { head: 'For' },
            { head: 'State' },
            { head: 'WAL held', align: 'right' },
            { head: 'Confirmed', optional: true },
            { head: 'Complete after', optional: true },
            { head: 'Made by' },
          ],
          rows,
          style,
        );
  return withUnseen(table, result.unreachable, style);
}
