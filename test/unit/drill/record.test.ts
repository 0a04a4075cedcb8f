/** Where runs are recorded: a line at a time, each run in a place of its own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRecord } from '../../../src/drill/record.js';
import { RepctlError } from '../../../src/errors.js';

const LINE = { kind: 'traffic', at: 0, sent: {} } as const;
let below: string;
beforeEach(() => {
  below = mkdtempSync(path.join(tmpdir(), 'record-'));
});
afterEach(() => {
  rmSync(below, { recursive: true, force: true });
});

const failure = (body: () => unknown): RepctlError => {
  try {
    body();
  } catch (error) {
    if (error instanceof RepctlError) return error;
    throw error;
  }
  throw new Error('it did not fail');
};

describe('a record', () => {
  it('is a line for each thing seen, in a directory of its own', () => {
    const first = openRecord('run', below);
    const second = openRecord('run', below);
    first.add(LINE);
    first.close();
    second.close();
    expect([first.run, second.run]).toEqual(['run', 'run-2']);
    expect(readFileSync(path.join(first.directory, 'samples.ndjson'), 'utf8')).toBe(
      `${JSON.stringify(LINE)}\n`,
    );
  });

  it('that cannot be made says where', () => {
    const file = path.join(below, 'file');
    writeFileSync(file, '');
    expect(failure(() => openRecord('run', file))).toMatchObject({ code: 'recording-failed' });
  });
});
