/**
 * npm run test:long -- --sabotage: the program with a fault planted (test/support/histories/faults.ts) plays random
 * histories until the judge says what is wrong. A fault that nobody notices is a failure of the judge.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FAULTS } from '../support/histories/faults.js';
import { playSeed } from '../support/histories/history.js';
import { buildProgram } from '../support/histories/program.js';
import { type Stage, startStage } from '../support/histories/stage.js';

/** Within so many histories a fault must have been caught. */
const MOST = 30;

describe('planted faults', () => {
  let stage: Stage;
  const table: string[] = [];

  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(async () => {
    await stage.down();
    console.log(
      ['| fault | caught by | seed | histories |', '| --- | --- | --- | --- |', ...table].join('\n'),
    );
  });

  it.each(FAULTS)('$name is caught', async (fault) => {
    const program = await buildProgram(fault);
    try {
      let caught: readonly string[] = [];
      let seed = 1;
      for (; caught.length === 0 && seed <= MOST; seed += 1)
        caught = (
          await playSeed(
            seed,
            { stage, program, patienceMs: 20_000 },
            { rounds: fault.rounds, kills: false, big: false, sync: false },
          )
        ).violations.filter((violation) => fault.signs.test(violation));
      const kinds = [...new Set(caught.map((one) => one.split(/[:(;]| after | on /u)[0]))];
      table.push(
        `| ${fault.what} | ${kinds.join(', ') || 'NOBODY'} | ${String(seed - 1)} | ${String(seed - 1)} |`,
      );
      console.log([table.at(-1), ...caught.map((one) => `  ${one.slice(0, 300)}`)].join('\n'));
      expect(caught.length, `${fault.what}: ${String(MOST)} histories noticed nothing`).toBeGreaterThan(0);
    } finally {
      program.remove();
    }
  });
});
