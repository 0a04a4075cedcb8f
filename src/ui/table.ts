/** Tables as repctl prints them: a bold head, two spaces between columns, no frames; the same text in a pipe. */
import Table from 'cli-table3';
import { redact } from '../config/redact.js';
import type { Style } from './color.js';

export interface Column {
  readonly head: string;
  readonly align?: 'left' | 'right';
  /** May be left out where the table is too wide; the last such column goes first. */
  readonly optional?: boolean;
}

const NO_FRAME = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/**
 * Cells may carry colour. Lines have no trailing spaces. Returns lines joined by newlines, without a last one.
 * Wider than the terminal, it loses its optional columns one by one.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: Style,
): string {
  const text = renderAll(columns, rows, style);
  const left = columns.findLastIndex((column) => column.optional === true);
  if (left === -1 || widest(text) <= style.width) return text;
  return renderTable(
    columns.filter((_, index) => index !== left),
    rows.map((row) => row.filter((_, index) => index !== left)),
    style,
  );
}

const widest = (text: string): number =>
  Math.max(...text.split('\n').map((line) => line.replaceAll(/\u001B\[[\d;]*m/gu, '').length));

function renderAll(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string {
  const table = new Table({
    head: columns.map((column) => style.c.bold(column.head)),
    colAligns: columns.map((column) => column.align ?? 'left'),
    chars: NO_FRAME,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  for (const row of rows) table.push(row.map((cell) => redact(cell)));
  return table
    .toString()
    .split('\n')
    .map((line) => line.replace(/ +((?:\u001B\[\d+m)*)$/u, '$1'))
    .join('\n');
}
