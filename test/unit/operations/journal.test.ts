import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { execute } from '../../../src/plan/execute.js';
import { openJournal } from '../../../src/plan/journal.js';

describe('the audit file', () => {
  let directory: string;
  let ran: number;
  const plan = {
    operation: 'test',
    title: 'a test',
    notes: [],
    steps: ['one', 'two'].map((id) => ({
      id,
      node: 'n1',
      title: id,
      why: '',
      sql: [],
      action: { kind: 'act' as const },
    })),
  };
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'repctl-journal-'));
    ran = 0;
  });
  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  const run = (act: () => void) =>
    execute(
      plan,
      {
        act: () => {
          ran += 1;
          act();
          return Promise.resolve({ url: 'postgres://app:s3cret@h/db' });
        },
      },
      { journal: openJournal(directory, 'a/b') },
    );

  it('is for its owner alone and holds no password', async () => {
    await run(() => undefined);
    const file = path.join(directory, 'audit', 'a%2Fb.jsonl');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).not.toContain('s3cret');
    expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(4);
  });

  it('stops the operation before anything is done where it cannot be written: exit 6', async () => {
    writeFileSync(path.join(directory, 'audit'), '');
    await expect(run(() => undefined)).rejects.toMatchObject({ code: 'audit-unwritable', exit: 6 });
    expect(ran).toBe(0);
  });

  it('stops it with exit 7 where it fails after a step', async () => {
    const breakIt = () => {
      rmSync(path.join(directory, 'audit'), { recursive: true });
      writeFileSync(path.join(directory, 'audit'), '');
    };
    await expect(run(breakIt)).rejects.toMatchObject({ code: 'audit-unwritable', exit: 7 });
    expect(ran).toBe(1);
  });
});
