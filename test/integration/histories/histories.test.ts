/** The short form of test/long/histories.long.test.ts: a few seeds that between them do most of what there is. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { play, playSeed } from '../../support/histories/history.js';
import { ODD } from '../../support/histories/odd.js';
import { type Program, buildProgram } from '../../support/histories/program.js';
import { type Stage, startStage } from '../../support/histories/stage.js';

describe('random histories', () => {
  let stage: Stage;
  let program: Program;

  beforeAll(async () => {
    program = await buildProgram();
    stage = await startStage();
  });
  afterAll(async () => {
    program.remove();
    await stage.down();
  });

  // One that is cut off by a limit of time would leave its servers to the next one as they are.
  it.each([2, 21, 22, 27])('seed %i', { timeout: 300_000 }, async (seed) => {
    const { violations, log } = await playSeed(seed, { stage, program, patienceMs: 90_000 });
    expect(violations, `npm run test:long -- --seed ${String(seed)}\n${log.join('\n')}`).toEqual([]);
  });

  it.each(Object.entries(ODD))('%s', { timeout: 300_000 }, async (_, history) => {
    const { violations, log } = await play(history, { stage, program, patienceMs: 90_000 });
    expect(violations, log.join('\n')).toEqual([]);
  });
});
