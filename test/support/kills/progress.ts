/** What a series of cells has done so far, in a file that outlives it: one JSON line a cell, appended as it ends. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type CellResult, nameOf } from './cell.js';

export interface Entry {
  /** As nameOf() gives it. */
  readonly cell: string;
  readonly struck: string;
  readonly violations: readonly string[];
  readonly acknowledged: number;
  readonly lost: number;
  readonly ms: number;
  readonly steps: CellResult['steps'];
}

export interface Progress {
  /** What is known of a cell that was run before, in this series or in an earlier one. */
  of(cell: string): Entry | undefined;
  /** All that was run, each cell once, its last result. */
  entries(): readonly Entry[];
  add(result: CellResult): void;
}

/**
 * The record in a file; without one it lasts as long as the process. A file belongs to one state of the sources: other
 * steps give other cells. A last line that was cut short is a cell that is not done.
 */
export function openProgress(file: string | undefined): Progress {
  const known = new Map<string, Entry>();
  if (file !== undefined && existsSync(file)) {
    const text = readFileSync(file, 'utf8');
    for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n')) {
      if (line === '') continue;
      const entry = JSON.parse(line) as Entry;
      known.set(entry.cell, entry);
    }
    // What is appended next begins a line of its own.
    if (text !== '' && !text.endsWith('\n')) writeFileSync(file, text.slice(0, text.lastIndexOf('\n') + 1));
  }
  return {
    of: (cell) => known.get(cell),
    entries: () => [...known.values()],
    add({ cell, struck, violations, acknowledged, lost, ms, steps }) {
      const entry: Entry = { cell: nameOf(cell), struck, violations, acknowledged, lost, ms, steps };
      known.set(entry.cell, entry);
      if (file !== undefined) appendFileSync(file, `${JSON.stringify(entry)}\n`);
    },
  };
}
