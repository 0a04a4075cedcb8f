import { describe, expect, it } from 'vitest';
import { plainStyle } from '../../../src/ui/color.js';
import { renderTable } from '../../../src/ui/table.js';

const columns = [
  { head: 'Node' },
  { head: 'Note', optional: true },
  { head: 'Lag', align: 'right' as const },
  { head: 'Why', optional: true },
];
const rows = [['n1', 'a note', '12 ms', 'because']];

describe('a table that is too wide', () => {
  it('keeps every column where there is room', () => {
    expect(renderTable(columns, rows, plainStyle(30))).toBe(
      'Node  Note      Lag  Why\nn1    a note  12 ms  because',
    );
  });

  it('loses its optional columns, the last first', () => {
    expect(renderTable(columns, rows, plainStyle(26))).toBe('Node  Note      Lag\nn1    a note  12 ms');
    expect(renderTable(columns, rows, plainStyle(12))).toBe('Node    Lag\nn1    12 ms');
    expect(renderTable(columns, rows, plainStyle(5))).toBe('Node    Lag\nn1    12 ms');
  });
});
