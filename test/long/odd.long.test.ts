/** The odd histories that CI has no time for: npm run test:long odd. The others are in test/integration/histories. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { play } from '../support/histories/history.js';
import { ODD_LONG } from '../support/histories/odd.js';
import { type Program, buildProgram } from '../support/histories/program.js';
import { type Stage, startStage } from '../support/histories/stage.js';

describe('odd histories', () => {
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

  it.each(Object.entries(ODD_LONG))('%s', async (_, history) => {
    const { violations, log } = await play(history, { stage, program });
    expect(violations, log.join('\n')).toEqual([]);
  });
});
