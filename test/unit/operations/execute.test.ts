import { describe, expect, it } from 'vitest';
import { execute } from '../../../src/plan/execute.js';
import { noJournal } from '../../../src/plan/journal.js';

describe('a step that leaves its work alone when the operator interrupts', () => {
  const step = { id: 'one', node: 'n1', title: 'one', why: '', sql: [], action: { kind: 'act' as const } };
  const plan = { operation: 'test', title: 'a test', notes: [], steps: [step] };

  it('is an interruption (exit 130), not a bug', async () => {
    const stop = new AbortController();
    const act = () => {
      stop.abort();
      stop.signal.throwIfAborted();
      return Promise.resolve(undefined);
    };
    await expect(execute(plan, { act }, { journal: noJournal, signal: stop.signal })).rejects.toMatchObject({
      code: 'interrupted',
      exit: 130,
    });
  });
});
